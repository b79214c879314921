from twisted.trial.unittest import SynchronousTestCase

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
