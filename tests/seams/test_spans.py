from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.records import Attempt, Record, ToolUse
from llamaproxy.seams.spans import Span, first_span, span_in

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()


class HeaderTests(SynchronousTestCase):
    def test_a_well_formed_cause_is_taken(self) -> None:
        for header, sampled in (
            (GOOD, True),
            (f"00-{TRACE}-{SPAN}-00".encode(), False),
            (f"00-{TRACE}-{SPAN}-03".encode(), True),
            (f" 00-{TRACE}-{SPAN}-01 ".encode(), True),
            # Later versions, with and without more behind what this one has.
            (f"01-{TRACE}-{SPAN}-01".encode(), True),
            (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings".encode(), True),
        ):
            self.assertEqual(
                span_in([header], ()), Span(trace_id=TRACE, span_id=SPAN, sampled=sampled), header
            )

    def test_any_other_is_passed_over(self) -> None:
        for headers in (
            [],
            [b""],
            [GOOD, GOOD],
            [GOOD.upper()],
            [GOOD + b"-more"],
            [GOOD + b"0"],
            [GOOD[:-1]],
            [b"ff" + GOOD[2:]],
            [f"00-{'0' * 32}-{SPAN}-01".encode()],
            [f"00-{TRACE}-{'0' * 16}-01".encode()],
            [f"00-{TRACE[:-1]}g-{SPAN}-01".encode()],
            [b"01" + GOOD[2:] + b"more"],
            [b"\xff\xfe"],
        ):
            self.assertIsNone(span_in(headers, ()), headers)

    def test_what_tracing_systems_pass_on_is_passed_on(self) -> None:
        for states, kept in (
            ([b"a=1,b=2"], "a=1,b=2"),
            ([b"a=1", b"b=2"], "a=1,b=2"),
            ([b"a=\xff"], ""),
            ([b"a=" + b"x" * 512], ""),
            ([], ""),
        ):
            span = span_in([GOOD], states)
            assert span is not None
            self.assertEqual(span.state, kept)
            self.assertEqual(span.headers.get("tracestate", ""), kept)
        self.assertEqual(Span(trace_id=TRACE, span_id=SPAN).headers, {"traceparent": GOOD.decode()})

    def test_a_child_is_of_the_same_trace_and_names_its_parent(self) -> None:
        parent = first_span()
        child = parent.child()
        self.assertEqual((child.trace_id, child.parent_id), (parent.trace_id, parent.span_id))
        self.assertNotEqual(child.span_id, parent.span_id)
        self.assertEqual(span_in([child.headers["traceparent"].encode()], ()).span_id, child.span_id)  # type: ignore[union-attr]


class TakenOverTests(SynchronousTestCase):
    def test_what_runs_for_a_later_request_is_told_once_and_at_its_time(self) -> None:
        earlier = Record(request_id="r1", start=100.0, span=first_span())
        earlier.ask(running := Attempt(model="m", at=1.0))
        earlier.use(ToolUse(name="t", at=0.5))
        later = Record(request_id="r2", start=103.0, span=first_span())
        later.take_over(earlier)
        running.error = "told to the later one"
        self.assertEqual([(a.at, a.span, a.error) for a in earlier.attempts], [(1.0, None, "")])
        self.assertEqual([(t.at, t.span) for t in earlier.tools], [(0.5, None)])
        self.assertIs(later.attempts[0], running)
        self.assertEqual((running.at, later.tools[0].at), (-2.0, -2.5))
        self.assertEqual(running.span and running.span.trace_id, earlier.span and earlier.span.trace_id)
        self.assertEqual((earlier.counts_elsewhere, later.counts_elsewhere), (True, False))

    def test_what_is_over_is_told_and_counted_by_whom_it_was_done_for(self) -> None:
        earlier = Record(request_id="r1", start=100.0, span=first_span())
        earlier.ask(Attempt(model="m", at=1.0))
        earlier.break_off("done")
        later = Record(request_id="r2", start=103.0, span=first_span())
        later.take_over(earlier)
        self.assertEqual([(a.model, a.span) for a in later.attempts], [("m", None)])
        self.assertIsNotNone(earlier.attempts[0].span)
        self.assertEqual((earlier.counts_elsewhere, later.counts_elsewhere), (False, True))
