from copy import deepcopy
from pathlib import Path

from twisted.logger import capturedLogs, formatEvent

from llamaproxy.config import Profile
from llamaproxy.seams.apps import FOREVER, Allowance
from llamaproxy.seams.errors import ModelTimeout, ModelUnavailable
from llamaproxy.seams.records import Record
from llamaproxy.seams.spans import first_span
from llamaproxy.seams.telling import lines_of
from llamaproxy.seams.types import Access
from llamaproxy.web.guard import Guard
from tests.support import USAGE, CountingEmbedder, Front, House, ScriptedTool, Wire

from .test_housekeeping import TITLE
from .test_routes import WebCase

SESSION = "llama-192.168.1.20"
CHAT = {"model": "main", "messages": [{"role": "user", "content": "a secret question"}]}


class RequestIdTests(WebCase):
    def test_a_well_formed_id_comes_back_and_any_other_is_replaced(self) -> None:
        for sent, kept in (
            ("abc-123", True),
            ("0af7651916cd43dd8448eb211c80319c", True),
            ("a:b.c_d", True),
            ("x" * 128, True),
            ("x" * 129, False),
            ("two words", False),
            ("-x", False),
            ("<b>", False),
            ("", False),
        ):
            response = self.front.ask("GET", "/api/version", X_Request_Id=sent)
            self.assertEqual(response.headers["x-request-id"] == sent, kept, sent)
            self.assertRegex(response.headers["x-request-id"], r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")

    def test_every_answer_has_one_of_its_own(self) -> None:
        paths = ("/", "/api/tags", "/v1/models", "/nowhere", "/v1/messages")
        ids = [self.front.ask("GET", path).headers["x-request-id"] for path in paths]
        self.assertEqual(len(set(ids)), len(paths))

    def test_anthropics_errors_name_it_where_its_clients_look(self) -> None:
        response = self.front.ask("POST", "/v1/messages", b"{", X_Request_Id="mine")
        self.assertEqual(response.json()["request_id"], "mine")
        self.assertEqual(response.headers["request-id"], "mine")

    def test_a_request_that_cannot_be_read_has_one_too(self) -> None:
        wire = self.front.connect()
        wire.channel.dataReceived(b"GET / HTTP/1.1\r\nbad header\r\n\r\n")
        self.assertIn("x-request-id", wire.response().headers)


class RecordTests(WebCase):
    def begin(self, path: str = "/api/chat", **headers: str) -> Wire:
        return self.start(path, CHAT, **headers)

    def last(self, session: str = SESSION) -> Record:
        return self.house.recorder.of(session)[0]

    def test_record_tells_who_asked_and_how_long_each_part_took(self) -> None:
        self.begin(X_Request_Id="r1", User_Agent="Tester/1.0 (x)")
        self.house.clock.advance(2)
        self.house.calls[-1].say("one", " two", " three")
        self.house.clock.advance(3)
        self.house.calls[-1].finish(usage=USAGE)
        record = self.last()
        self.assertEqual(
            (record.request_id, record.session_id, record.caller), ("r1", SESSION, "192.168.1.20")
        )
        self.assertEqual((record.client, record.dialect, record.streamed), ("Tester/1.0", "/api/chat", True))
        self.assertEqual((record.first, record.seconds, record.end), (2, 5, "done"))
        (attempt,) = record.attempts
        self.assertEqual((attempt.model, attempt.first, attempt.seconds), ("main", 2, 5))
        self.assertEqual((attempt.messages, attempt.left_out, attempt.counted), (1, 0, True))

    def test_profile_is_told_beside_the_caller(self) -> None:
        anna = Profile(key="anna-key", commands="safe")
        self.front = Front(self.house, Guard(callers={"anna": anna}))
        self.start("/api/chat", CHAT, Authorization="Bearer anna-key")
        self.house.calls[-1].answer("hi")
        (record,) = self.house.recorder.since(0, 1)[1]
        self.assertEqual((record.caller, record.profile), ("key anna", "anna"))
        self.assertIn("caller key anna (profile anna)", lines_of(record)[1])

    def test_no_words_are_in_it(self) -> None:
        self.begin()
        self.house.calls[-1].say("a secret answer")
        self.house.calls[-1].finish()
        self.assertNotIn("secret", repr(self.last()))

    def test_the_operator_may_have_the_words_of_a_session_for_a_time(self) -> None:
        self.house.recorder.keep_words(SESSION, 60)
        self.begin()
        self.house.calls[-1].say("a secret answer")
        self.house.calls[-1].finish()
        self.assertEqual((self.last().asked, self.last().answered), ("a secret question", "a secret answer"))
        self.house.clock.advance(61)
        self.begin()
        self.house.calls[-1].finish()
        self.assertEqual((self.last().asked, self.last().answered), ("", ""))

    def test_second_message_notes_its_wait_in_the_queue(self) -> None:
        self.begin()
        self.start(
            "/api/chat",
            {"model": "main", "messages": [{"role": "user", "content": "and then?"}]},
            X_Request_Id="second",
        )
        self.house.clock.advance(4)
        self.house.calls[0].finish()
        self.house.calls[1].finish()
        self.assertEqual((self.last().request_id, self.last().queued), ("second", 4))

    def test_request_that_hears_another_ones_turn_takes_its_record_over(self) -> None:
        self.begin(X_Request_Id="first")
        self.begin(X_Request_Id="again")
        self.house.calls[0].say("one")
        self.house.calls[0].finish()
        again = next(record for record in self.house.recorder.of(SESSION) if record.request_id == "again")
        self.assertEqual((again.joined, again.model, again.end), ("first", "main", "done"))

    def test_pauses_of_a_slow_reader_and_heartbeats_are_counted(self) -> None:
        wire = self.begin()
        self.house.clock.pump([1] * 20)
        self.house.calls[-1].say("one")
        wire.fill_up()
        self.house.clock.advance(4)
        wire.drain()
        self.house.calls[-1].finish()
        self.assertEqual((self.last().pauses, self.last().paused, self.last().heartbeats), (1, 4, 2))

    def test_lines_about_a_turn_that_failed_name_its_request(self) -> None:
        with capturedLogs() as events:
            self.start("/api/chat", CHAT, X_Request_Id="abc-1")
            self.house.calls[-1].fail(ModelUnavailable("nobody there"))
        lines = [line for event in events if "nobody there" in (line := formatEvent(event))]
        self.assertTrue(lines)
        self.assertEqual([line for line in lines if "abc-1" not in line], [])

    def test_the_end_says_why(self) -> None:
        self.begin()
        self.house.calls[-1].fail(ModelTimeout("too slow"))
        self.assertEqual((self.last().end, self.last().reason), ("failed", "model_timeout: too slow"))
        wire = self.begin()
        self.house.calls[-1].say("one")
        wire.channel.connectionLost()
        self.assertEqual(self.last().end, "left")
        self.begin()
        self.house.calls[-1].say("one")
        self.start("/api/chat", {"model": "main", "messages": [{"role": "user", "content": "!stop"}]})
        self.assertEqual({record.end for record in self.house.recorder.of(SESSION)[:2]}, {"done", "stopped"})

    def test_health_of_a_model_turns_with_its_last_answer(self) -> None:
        self.assertTrue(self.house.recorder.health("main").is_well)
        self.begin()
        self.house.calls[-1].fail(ModelUnavailable("nobody there"))
        health = self.house.recorder.health("main")
        self.assertEqual((health.is_well, health.error), (False, "model_unavailable: nobody there"))
        self.house.clock.advance(1)
        self.begin()
        self.house.calls[-1].finish()
        self.assertTrue(self.house.recorder.health("main").is_well)

    def test_trace_tells_the_last_turn_in_ten_lines(self) -> None:
        self.begin(X_Request_Id="told")
        self.house.calls[-1].say("one")
        self.house.calls[-1].finish()
        for _ in range(2):
            asked = {"model": "main", "stream": False, "messages": [{"role": "user", "content": "!trace"}]}
            text = self.front.ask("POST", "/api/chat", asked).json()["message"]["content"]
            self.assertEqual(len(text.splitlines()), 10, text)
            self.assertIn("Turn told at", text)
            self.assertNotIn("secret", text)

    def test_of_commands_only_known_names_are_kept(self) -> None:
        asked = {
            "model": "main",
            "stream": False,
            "messages": [{"role": "user", "content": "!whoami secret"}],
        }
        self.front.ask("POST", "/api/chat", asked)
        self.assertEqual(self.last().commands, ["whoami"])


class UnheardTests(WebCase):
    """What is done while no client listens."""

    def setUp(self) -> None:
        super().setUp()
        self.house.recorder._span_of = lambda cause: cause.child() if cause else first_span()
        self.told: list[Record] = []
        self.house.recorder.listeners.append(lambda record: self.told.append(deepcopy(record)))

    def detached(self) -> None:
        self.front = Front(self.house, Guard(allowance=Allowance(on_disconnect=FOREVER)))

    def test_turn_whose_client_has_left_goes_on_in_a_record_of_its_own(self) -> None:
        self.detached()
        wire = self.start("/api/chat", CHAT, X_Request_Id="r1", User_Agent="App/1.0")
        self.house.calls[0].say("one")
        self.house.clock.advance(2)
        wire.channel.connectionLost()
        self.house.clock.advance(5)
        self.house.calls[0].say("two")
        self.house.calls[0].finish(usage=USAGE)
        left, alone = self.told
        self.assertEqual([(each.end, each.seconds) for each in self.told], [("left", 2), ("done", 5)])
        self.assertEqual((alone.request_id, alone.session_id, alone.alone), ("r1", SESSION, True))
        # Told once: the model's span is the later one's, whose cause the earlier one is.
        self.assertEqual([attempt.span for attempt in left.attempts], [None])
        (attempt,) = alone.attempts
        assert alone.span is not None and left.span is not None and attempt.span is not None
        self.assertEqual((alone.span.parent_id, attempt.span.parent_id), (left.span.span_id,) * 2)
        self.assertEqual((attempt.at, attempt.seconds, attempt.completion_tokens), (-2, 7, 5))
        self.assertEqual(self.house.recorder.find("r1"), alone)
        (tally,) = self.house.recorder.callers()
        self.assertEqual((tally.turns, tally.completion_tokens), (1, 5))
        lines = lines_of(alone)
        self.assertEqual(len(lines), 10)
        self.assertIn("none any more", lines[2])
        self.assertIn("nobody listened", lines[7])

    def test_client_that_comes_again_has_the_record_go_on_as_its_own(self) -> None:
        self.detached()
        shown = {"messages": [*CHAT["messages"], {"role": "assistant", "content": "x"}, *CHAT["messages"]]}
        wire = self.start("/api/chat", CHAT | shown, X_Request_Id="r1")
        wire.channel.connectionLost()
        self.start("/api/chat", CHAT | shown, X_Request_Id="r2")
        self.house.calls[0].finish(usage=USAGE)
        self.assertEqual(
            [(each.request_id, each.alone, each.end, each.counts_elsewhere) for each in self.told],
            [
                ("r1", False, "left", True),
                ("r1", True, "left", True),
                ("r2", False, "done", False),
            ],
        )
        self.assertEqual(self.told[1].reason, "came again, as r2")
        self.assertEqual([bool(a.span) for each in self.told for a in each.attempts], [False, False, True])

    def test_turn_that_waits_in_vain_for_its_clients_next_try_is_told_to_its_end(self) -> None:
        wire = self.start("/v1/chat/completions", CHAT, X_Request_Id="r1", X_Stainless_Retry_Count="0")
        wire.channel.connectionLost()
        self.house.clock.advance(60)
        self.assertEqual([(each.alone, each.end) for each in self.told], [(False, "left"), (True, "left")])
        self.assertEqual([bool(a.span) for each in self.told for a in each.attempts], [False, True])
        self.assertEqual(list(self.house.recorder.live()), [])

    def test_job_in_the_background_has_a_record(self) -> None:
        asked = {"model": "main", "messages": [{"role": "user", "content": "!bg count the birds"}]}
        self.start("/api/chat", asked, X_Request_Id="r1")
        self.house.calls[0].say("seven")
        self.house.calls[0].finish()
        self.assertEqual([(each.alone, each.end) for each in self.told], [(False, "done"), (True, "done")])
        begun, job = self.told
        assert begun.span is not None and job.span is not None
        self.assertEqual((job.request_id, job.span.parent_id), ("r1", begun.span.span_id))
        self.assertEqual([attempt.model for attempt in job.attempts], ["main"])

    def test_errand_that_a_model_answers_has_a_record_and_is_no_turn(self) -> None:
        self.front = Front(self.house, housekeeping="model")
        self.start("/api/chat", CHAT, X_Request_Id="r1")
        self.house.calls[0].finish()
        title = {"model": "main", "stream": False, "messages": [{"role": "user", "content": TITLE}]}
        self.start("/api/chat", title, X_Request_Id="r2")
        self.assertEqual(self.house.calls[1].request.request_id, "r2")
        self.house.calls[1].say('{"title": "Birds"}')
        self.house.calls[1].finish(usage=USAGE)
        _, errand = self.told
        self.assertEqual((errand.errand, errand.end), ("title_generation", "done"))
        (attempt,) = errand.attempts
        assert errand.span is not None and attempt.span is not None
        self.assertEqual(attempt.span.parent_id, errand.span.span_id)
        self.assertEqual(self.house.calls[1].request.span, attempt.span)
        self.assertEqual((attempt.completion_tokens, attempt.counted), (USAGE.completion_tokens, True))
        self.assertEqual(self.house.recorder.find("r2"), errand)
        self.assertEqual([each.request_id for each in self.house.recorder.of(SESSION)], ["r1"])
        self.assertEqual(self.house.recorder.of(SESSION)[0].errands, ["title_generation"])
        (tally,) = self.house.recorder.callers()
        self.assertEqual(tally.turns, 1)
        self.assertIn("Errand (title_generation) r2", lines_of(errand)[0])

    def test_errand_that_fails_says_so_and_its_lines_name_its_request(self) -> None:
        self.front = Front(self.house, housekeeping="model")
        title = {"model": "main", "stream": False, "messages": [{"role": "user", "content": TITLE}]}
        with capturedLogs() as events:
            self.start("/api/chat", title, X_Request_Id="r2")
            self.house.calls[0].fail(ModelUnavailable("nobody there"))
        (errand,) = self.told
        self.assertEqual(errand.attempts[0].error, "model_unavailable: nobody there")
        lines = [line for event in events if "nobody there" in (line := formatEvent(event))]
        self.assertTrue(lines)
        self.assertEqual([line for line in lines if "r2" not in line], [])

    def test_embeddings_that_fail_are_told_with_their_request(self) -> None:
        embedder = CountingEmbedder()
        embedder.failure = ModelUnavailable("nobody there")
        front = Front(House(folder=Path(self.mktemp()), embedders=[embedder]))
        with capturedLogs() as events:
            for path, body in (("/api/embed", {"input": "a"}), ("/v1/embeddings", {"input": "a"})):
                front.ask("POST", path, body, X_Request_Id="r9")
        lines = [line for event in events if "nobody there" in (line := formatEvent(event))]
        self.assertEqual([line.partition(":")[0] for line in lines], ["turn r9", "turn r9"])


class ToolRecordTests(WebCase):
    def setUp(self) -> None:
        super().setUp()
        self.tools = [
            ScriptedTool("clock"),
            ScriptedTool("wipe", "drive", access=Access(operation="write")),
            ScriptedTool("broken", result=OSError(5, "Input/output error")),
        ]
        self.house = self.make_house(tools=self.tools)
        self.front = Front(self.house)

    def test_calls_are_noted_with_what_came_of_them(self) -> None:
        self.start("/api/chat", CHAT)
        names = ("clock", "wipe", "broken", "my secret")
        self.house.calls[-1].call_tools(*((name, "{}") for name in names))
        self.house.calls[-1].say("done")
        self.house.calls[-1].finish()
        (record,) = self.house.recorder.of(SESSION)
        self.assertEqual(
            [(tool.name, tool.verdict) for tool in record.tools],
            [("clock", "ran"), ("wipe", "refused"), ("broken", "failed"), ("(unknown)", "wrong")],
        )
        self.assertEqual(len(record.attempts), 2)
        self.flushLoggedErrors(OSError)
