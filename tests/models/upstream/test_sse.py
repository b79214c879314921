from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.models.upstream import sse
from llamaproxy.models.upstream.sse import EventSplitter, LineSplitter, LineTooLongError

STREAM = (
    ": a comment\r\n"
    'data: {"text": "grüße 🌱"}\r\n\r\n'
    "event: message\nid: 7\ndata: two\ndata:lines\n\n"
    "data: old mac\r\r"
    "retry: 100\n\n"
    "data\n\n"
    "data: never ended\n"
).encode()
EVENTS = ['{"text": "grüße 🌱"}'.encode(), b"two\nlines", b"old mac", b""]


class EventSplitterTests(SynchronousTestCase):
    def test_events_are_the_same_wherever_the_stream_is_cut(self) -> None:
        for cut in range(len(STREAM) + 1):
            splitter = EventSplitter()
            events = splitter.received(STREAM[:cut]) + splitter.received(STREAM[cut:])
            self.assertEqual(events, EVENTS, f"cut at {cut}")

    def test_events_are_the_same_byte_by_byte(self) -> None:
        splitter = EventSplitter()
        events = [event for byte in STREAM for event in splitter.received(bytes([byte]))]
        self.assertEqual(events, EVENTS)

    def test_data_of_one_event_over_many_lines_is_bounded(self) -> None:
        splitter = EventSplitter(limit=100)
        with self.assertRaises(LineTooLongError):
            for _ in range(20):
                splitter.received(b"data: 0123456789\n")


class LineSplitterTests(SynchronousTestCase):
    def test_lines_are_the_same_wherever_the_stream_is_cut(self) -> None:
        stream = b'{"a":1}\n{"b":2}\r\n\r\n{"c":3}\r{"d":4}\nrest'
        lines = [b'{"a":1}', b'{"b":2}', b"", b'{"c":3}', b'{"d":4}']
        for first in range(len(stream) + 1):
            for second in range(first, len(stream) + 1):
                splitter = LineSplitter()
                pieces = (stream[:first], stream[first:second], stream[second:])
                self.assertEqual([line for piece in pieces for line in splitter.received(piece)], lines)

    def test_unfinished_line_over_the_limit_is_refused_before_its_end(self) -> None:
        splitter = LineSplitter(limit=10)
        splitter.received(b"0123456789")
        self.assertRaises(LineTooLongError, splitter.received, b"0")

    def test_finished_line_over_the_limit_is_refused(self) -> None:
        splitter = LineSplitter(limit=10)
        splitter.received(b"012345678")
        self.assertRaises(LineTooLongError, splitter.received, b"90\n")

    def test_limit_counts_one_line_and_not_the_stream(self) -> None:
        splitter = LineSplitter(limit=10)
        self.assertEqual([splitter.received(b"0123456\n") for _ in range(5)], [[b"0123456"]] * 5)


PIECES = st.sampled_from(
    [
        b"data: ",
        b"data:",
        b"one",
        b"\n\n",
        b"\n",
        b"\r",
        b"\r\n",
        b"event: error",
        b": ",
        b"{",
        b"\xef\xbb\xbf",
        b"two" * 30,
    ]
)


class PlainEventsTests(SynchronousTestCase):
    """Segments that are told at one look."""

    @settings(max_examples=500, deadline=None)
    @given(
        st.lists(st.one_of(PIECES, st.just(b"data: one\n\n")), max_size=12), st.integers(1, 40), st.booleans()
    )
    def test_they_are_told_as_all_others(self, pieces: list[bytes], cut: int, by_piece: bool) -> None:
        stream = b"".join(pieces)
        segments = pieces if by_piece else [stream[at : at + cut] for at in range(0, len(stream), cut)]
        told = [_told(segments)]
        with patch.object(sse, "_plain_events", return_value=[]):
            told.append(_told(segments))
        self.assertEqual(*told)


def _told(segments: list[bytes]) -> tuple[list[bytes], bytes, bool, str]:
    splitter, events = EventSplitter(limit=200), list[bytes]()
    try:
        for segment in segments:
            events += splitter.received(segment)
        events += splitter.ended()
    except LineTooLongError as error:
        return events, splitter.stray, splitter.is_whole, str(error)
    return events, splitter.stray, splitter.is_whole, ""
