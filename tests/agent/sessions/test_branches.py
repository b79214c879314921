"""A conversation that only grows: what becomes of its branches when apps go back, begin anew and repeat themselves."""

from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.agent.sessions.repeats import SECONDS, TIMES
from llamaproxy.seams.errors import ModelError
from llamaproxy.seams.interfaces import IKeepsHistory, IModel
from tests.chats import DIALECTS, App, as_it_came, with_details, with_thoughts
from tests.support import Front, House, ScriptedModel, Wire


class BranchCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.open()

    def open(self, **limits: Any) -> None:
        self.house = House(ScriptedModel(), folder=Path(self.mktemp()), limits=Limits(**limits))
        self.addCleanup(self.house.close)
        self.front = Front(self.house)
        self.app = App(self.front)

    def said(self, *texts: str) -> None:
        for text in texts:
            self.app.send(text)

    @property
    def branches(self) -> list[str]:
        """Each branch's own messages."""
        (tree,) = self.house.store.trees.values()
        return [", ".join(message.content for message in own) for own in tree.own]

    @property
    def active(self) -> str:
        """The active branch."""
        (messages,) = self.house.store.messages.values()
        return ", ".join(message.content for message in messages)

    def hang_up(self, wire: Wire) -> None:
        wire.channel.connectionLost(Failure(ConnectionLost()))


class GrowingTests(BranchCase):
    def test_edit_begins_a_branch_and_leaves_the_other(self) -> None:
        for dialect in DIALECTS:
            for show in (as_it_came, with_thoughts, with_details):
                self.open()
                self.app = App(self.front, dialect, show)
                self.said("one", "two", "three")
                self.app.back_to(2)
                self.assertEqual(self.app.send("zwei"), "one, re one, zwei", dialect)
                self.assertEqual(
                    self.branches, ["one, re one, two, re two, three, re three", "zwei, re zwei"]
                )

    def test_other_answer_stands_beside_the_first_and_the_message_is_there_once(self) -> None:
        for dialect in DIALECTS:
            self.open()
            self.app = App(self.front, dialect)
            self.said("one", "two")
            self.assertEqual(self.app.regenerate(2, "other"), "one, re one, two")
            self.assertEqual(self.app.regenerate(2, "third"), "one, re one, two")
            self.assertEqual(self.branches, ["one, re one, two, re two", "other", "third"])
            self.assertEqual(self.app.send("three"), "one, re one, two, third, three")

    def test_version_of_an_answer_that_the_app_shows_again_is_gone_on_with(self) -> None:
        self.said("one", "two")
        first = list(self.app.chat)
        self.app.regenerate(2, "other")
        self.app.send("three")
        self.app.chat = first
        self.assertEqual(self.app.send("drei"), "one, re one, two, re two, drei")
        self.assertIn("branch 1", self.app.thoughts)
        self.assertEqual(self.branches, ["one, re one, two, re two, drei, re drei", "other, three, re three"])

    def test_reply_says_that_the_session_went_back(self) -> None:
        for dialect in DIALECTS:
            self.open()
            self.app = App(self.front, dialect)
            self.said("one", "two")
            self.assertEqual(self.app.thoughts, "")
            self.app.back_to(2)
            self.app.send("zwei")
            self.assertIn("branch 1", self.app.thoughts)
            self.assertEqual(self.app.thoughts.count("\n"), 1)
            self.said("three")
            self.assertEqual(self.app.thoughts, "")

    def test_turn_that_fails_leaves_the_session_where_it_was(self) -> None:
        self.said("one", "two")
        chat = list(self.app.chat)
        self.app.back_to(2)
        self.app.chat.append({"role": "user", "content": "zwei"})
        wire = self.app.begin()
        self.house.calls[-1].fail(ModelError("down"))
        self.assertEqual(wire.response().code, 502)
        self.assertEqual(self.branches, ["one, re one, two, re two"])
        self.app.chat = chat
        self.assertEqual(self.app.send("three"), "one, re one, two, re two, three")

    def test_note_of_the_agents_in_an_answer_is_known_again(self) -> None:
        self.said("one")
        self.house.store.save_settings("llama-192.168.1.20", "gone", {})
        self.house.agent = self.house.new_agent()
        self.front = Front(self.house)
        app = App(self.front)
        app.chat = self.app.chat
        app.send("two")
        self.assertIn("not available", app.chat[-1]["content"])
        app.send("three")
        app.back_to(3)
        app.send("drei")
        self.assertEqual(self.active, "one, re one, two, re two, drei, re drei")

    def test_answer_that_was_cut_is_known_by_what_the_app_got_of_it(self) -> None:
        self.said("one")
        self.app.chat.append({"role": "user", "content": "two"})
        wire, call = self.app.begin_call()
        call.say("so far and")
        self.hang_up(wire)
        self.app.say("so far")
        self.app.send("three")
        self.app.back_to(3)
        self.assertEqual(self.app.send("drei"), "one, re one, two, so far and, drei")

    def test_words_of_an_answer_may_be_changed_in_the_app(self) -> None:
        self.said("one", "two")
        self.app.chat[-1]["content"] = "what it should have said"
        self.assertEqual(self.app.send("three"), "one, re one, two, re two, three")
        self.app.back_to(3)
        self.assertEqual(self.app.send("drei"), "one, re one, two, re two, drei")

    def test_answers_of_before_it_was_written_down_what_apps_got_are_known_by_their_text(self) -> None:
        self.said("one", "two")
        self.house.store.forget_places()
        self.house.agent = self.house.new_agent()
        app = App(Front(self.house))
        app.chat = self.app.chat
        app.back_to(2)
        self.assertEqual(app.send("zwei"), "one, re one, zwei")

    def test_it_holds_after_a_restart(self) -> None:
        self.said("one", "two")
        chat = list(self.app.chat)
        self.app.regenerate(2, "other")
        self.house.agent = self.house.new_agent()
        app = App(Front(self.house))
        app.chat = chat
        self.assertEqual(app.send("drei"), "one, re one, two, re two, drei")


class DoubtTests(BranchCase):
    def test_constant_beginning_is_no_edit(self) -> None:
        beginnings: list[list[dict[str, Any]]] = [
            [{"role": "user", "content": "<environment_context>\n<cwd>/work</cwd>\n</environment_context>"}],
            [{"role": "user", "content": "We are setting up the context."}],
            [{"role": "user", "content": "an example"}, {"role": "assistant", "content": "so"}],
        ]
        for dialect in DIALECTS:
            for beginning in beginnings:
                self.open()
                self.app = App(self.front, dialect)
                self.app.chat = list(beginning)
                self.said("my name is Zed", "I live in Rome")
                before = self.active
                new = App(self.front, dialect)
                new.chat = list(beginning)
                new.send("hello")
                self.assertEqual(len(self.branches), 1)
                self.assertTrue(self.active.startswith(before))
                # Its later messages can be edited all the same.
                new.send("two")
                new.regenerate(sum(each["role"] == "user" for each in new.chat), "other")
                self.assertEqual(len(self.branches), 2)

    def test_request_that_came_while_another_turn_ran_is_no_edit_of_that(self) -> None:
        for separate in (False, True):
            self.open(separate_chats=separate)
            self.said("hello")
            meanwhile = App(self.front)
            meanwhile.chat = [*self.app.chat, {"role": "user", "content": "Think of a name for all this"}]
            self.app.chat.append({"role": "user", "content": "two"})
            running = self.app.begin()
            waiting = meanwhile.begin()
            self.house.calls[1].answer("re two")
            self.house.calls[2].answer("A Greeting")
            self.app.take(running)
            meanwhile.take(waiting)
            self.assertEqual(len(self.branches), 1)
            self.assertTrue(self.active.startswith("hello, re hello, two, re two"))

    def test_answer_at_another_place_proves_nothing(self) -> None:
        self.said("one", "two")
        other = App(self.front)
        other.chat = [{"role": "user", "content": "eins"}, {"role": "assistant", "content": "re one"}]
        other.send("zwei")
        self.assertEqual(self.active, "one, re one, two, re two, zwei, re zwei")

    def test_message_once_more_without_proof_is_a_new_one(self) -> None:
        program = App(self.front)
        for _ in range(3):
            program.chat = [{"role": "user", "content": "an example"}, {"role": "assistant", "content": "so"}]
            program.send("how is it?")
        self.assertEqual(self.branches, [", ".join(["how is it?, re how is it?"] * 3)])


class CommandTests(BranchCase):
    def reply(self) -> str:
        return str(self.app.chat[-1]["content"])

    def test_undo_goes_back_to_before_the_last_step(self) -> None:
        self.said("one", "two")
        self.app.back_to(2)
        self.said("zwei", "!undo")
        self.assertIn("branch 1", self.reply())
        self.assertEqual(self.app.send("three"), "one, re one, two, re two, three")
        self.assertEqual(self.app.send("four"), "one, re one, two, re two, three, re three, four")
        self.assertEqual(len(self.branches), 2)

    def test_edit_after_an_undo_is_one_of_what_came_after_it(self) -> None:
        self.said("one", "two")
        self.app.back_to(2)
        self.said("zwei", "!undo", "three", "four")
        self.app.back_to(5)
        self.assertEqual(self.app.send("vier"), "one, re one, two, re two, three, re three, vier")

    def test_steps_are_undone_one_by_one(self) -> None:
        self.said("one", "two")
        self.app.regenerate(2, "other")
        self.app.back_to(2)
        self.said("zwei", "!undo", "!undo")
        self.assertEqual(self.active, "one, re one, two, re two")
        self.said("!undo")
        self.assertIn("nothing to go back to", self.reply())

    def test_undo_and_a_prompt_may_be_one_message(self) -> None:
        self.said("one", "two")
        self.app.back_to(2)
        self.said("zwei")
        self.assertEqual(self.app.send("!undo\nthree"), "one, re one, two, re two, three")
        self.assertEqual(self.app.send("four"), "one, re one, two, re two, three, re !undo\nthree, four")

    def test_branches_are_listed_and_taken_up(self) -> None:
        self.said("!branches")
        self.assertEqual(self.reply(), "Nothing has been said yet.")
        self.said("one", "two")
        self.app.back_to(3)
        self.said("zwei " + "x" * 100, "!branches")
        first, second = self.reply().split("\n")[1:3]
        self.assertTrue(first.startswith("- 1: one "), first)
        self.assertTrue(second.startswith("* 2: zwei xxx"), second)
        self.assertLess(len(second), 110)
        self.said("!branch 1")
        self.assertIn("On branch 1, 4 messages; the last of yours: two.", self.reply())
        self.assertEqual(self.app.send("three"), "one, re one, two, re two, three")
        for argument in ("", "7", "x", "0"):
            self.said(f"!branch {argument}")
        self.assertEqual(len(self.branches), 2)

    def test_reset_forgets_all_branches(self) -> None:
        self.said("one", "two")
        self.app.regenerate(2, "other")
        self.said("!reset")
        self.assertEqual(self.reply(), "Forgotten: 5 messages.")
        self.assertEqual(self.house.store.trees, {})
        self.assertEqual(self.app.send("three"), "three")

    def test_agent_with_a_history_of_its_own_hears_of_every_step(self) -> None:
        cut_back: list[str] = []
        model = self.house.models[0]
        model.rewind = cut_back.append  # type: ignore[attr-defined]
        directlyProvides(model, IModel, IKeepsHistory)
        self.said("one", "two")
        chat = list(self.app.chat)
        for steps, step in enumerate(
            (
                lambda: self.app.regenerate(2, "other"),
                lambda: self.app.send("!undo"),
                lambda: self.app.send("!branch 2"),
            )
        ):
            step()
            self.assertEqual(len(cut_back), steps + 1)
        self.app.send("!branch 2")
        self.assertEqual(len(cut_back), 3)
        self.app.chat = chat
        self.app.send("three")
        self.assertEqual(len(cut_back), 4)


class SeveralChatsTests(BranchCase):
    def test_new_chat_goes_on_and_says_so_once(self) -> None:
        for dialect in DIALECTS:
            self.open()
            self.app = App(self.front, dialect)
            self.said("one")
            self.assertEqual(self.app.thoughts, "")
            new = App(self.front, dialect)
            self.assertEqual(new.send("eins"), "one, re one, eins")
            self.assertIn("!reset", new.thoughts)
            new.send("zwei")
            self.assertEqual(new.thoughts, "")

    def test_answer_asked_again_behind_another_chat_takes_nothing_from_that(self) -> None:
        other = App(self.front)
        self.said("one", "two")
        other.send("eins")
        self.assertEqual(self.app.regenerate(2, "other"), "one, re one, two")
        self.assertEqual(other.send("zwei"), "one, re one, two, re two, eins, re eins, zwei")
        self.assertEqual(self.app.send("three"), "one, re one, two, other, three")
        self.assertEqual(len(self.branches), 2)

    def test_program_without_a_history_is_told_once(self) -> None:
        told = []
        for number in range(4):
            program = App(self.front)
            program.send(f"question {number}")
            told.append(bool(program.thoughts))
        self.assertEqual(told, [False, True, False, False])

    def test_separate_chats_do_not_mix(self) -> None:
        for dialect in DIALECTS:
            self.open(separate_chats=True)
            self.app = App(self.front, dialect)
            other = App(self.front, dialect)
            self.said("one", "two")
            self.assertEqual(other.send("eins"), "eins")
            self.assertEqual(other.thoughts, "")
            self.assertEqual(other.send("zwei"), "eins, re eins, zwei")
            self.assertEqual(self.app.send("three"), "one, re one, two, re two, three")
            self.assertIn("branch 1", self.app.thoughts)
            self.assertEqual(other.send("drei"), "eins, re eins, zwei, re zwei, drei")
            self.app.back_to(2)
            self.assertEqual(self.app.send("due"), "one, re one, due")
            self.assertEqual(
                self.branches,
                [
                    "one, re one, two, re two, three, re three",
                    "eins, re eins, zwei, re zwei, drei, re drei",
                    "due, re due",
                ],
            )

    def test_command_that_opens_a_separate_chat_is_no_chat_of_its_own(self) -> None:
        self.open(separate_chats=True)
        self.said("one")
        other = App(self.front)
        for text in ("!help", "eins"):
            other.send(text)
        self.assertEqual(other.send("zwei"), "eins, re eins, zwei")
        self.assertEqual(self.branches, ["one, re one", "eins, re eins, zwei, re zwei"])

    def test_app_that_sends_the_end_of_a_long_chat_only_goes_on_with_its_branch(self) -> None:
        self.open(separate_chats=True)
        other = App(self.front)
        other.send("eins", "an answer that is long enough")
        for number in range(4):
            self.app.send(f"message {number}", f"the answer to the message number {number}")
        for number in range(4, 7):
            self.app.chat = self.app.chat[-3:]
            self.app.send(f"message {number}", f"the answer to the message number {number}")
        self.assertEqual(len(self.branches), 2)
        other.send("zwei", "another answer that is long enough")
        self.app.chat = self.app.chat[-3:]
        self.assertIn("message 6, ", self.app.send("and on"))
        self.assertEqual(len(self.branches), 2)

    def test_choice_of_a_branch_holds_in_separate_chats(self) -> None:
        self.open(separate_chats=True)
        self.said("one", "two")
        self.app.regenerate(2, "other")
        self.said("!branch 1")
        self.assertEqual(self.app.send("three"), "one, re one, two, re two, three")


class AgainTests(BranchCase):
    def test_broken_stream_that_comes_again_with_its_beginning_is_one_turn(self) -> None:
        for dialect in DIALECTS:
            for before in ((), ("one",)):
                self.open()
                self.app = App(self.front, dialect)
                self.said(*before)
                self.app.chat.append({"role": "user", "content": "two"})
                wire, call = self.app.begin_call()
                for _ in range(5):
                    call.say("w0 w1 w2")
                    call.fail(ModelError("broken"))
                    if self.app.chat[-1]["role"] == "user":
                        self.app.say("w0 w1 w2")
                    wire, call = self.app.begin_call()
                call.answer("w0 w1 w2 w3")
                self.assertEqual(wire.response().code, 200)
                self.assertEqual(
                    self.active, ", ".join([*(f"{x}, re {x}" for x in before), "two, w0 w1 w2 w3"])
                )
                self.assertEqual(sum(own.count("two") for own in self.branches), 1)

    def test_answer_of_another_chat_may_be_made_to_go_on(self) -> None:
        for separate in (False, True):
            self.open(separate_chats=separate)
            self.said("one")
            App(self.front).send("eins")
            self.assertEqual(self.app.post("other"), "one")
            self.assertEqual(sum(own.startswith("one") for own in self.branches), 1)

    def test_beginning_that_a_program_puts_there_itself_is_no_sign_of_it(self) -> None:
        for _ in range(2):
            program = App(self.front)
            program.chat = [{"role": "user", "content": "as JSON"}, {"role": "assistant", "content": "{"}]
            program.post('"a": 1}')
        self.assertEqual(self.branches, ['as JSON, "a": 1}, as JSON, "a": 1}'])

    def test_messages_without_an_answer_between_them_are_one(self) -> None:
        for dialect in DIALECTS:
            self.open()
            self.app = App(self.front, dialect)
            self.app.chat.append({"role": "user", "content": "Buy milk"})
            self.assertEqual(self.app.send("and tell me when done"), "Buy milk\n\nand tell me when done")
            self.assertEqual(self.app.send("three").count("Buy milk"), 1)

    def test_message_whose_answer_was_lost_is_there_once(self) -> None:
        for separate in (False, True):
            self.open(separate_chats=separate)
            self.said("one")
            self.app.chat.append({"role": "user", "content": "two"})
            wire, call = self.app.begin_call()
            call.say("so far")
            self.hang_up(wire)
            self.assertEqual(self.app.send("three"), "one, re one, two, so far, three")
            self.assertEqual(self.app.send("four"), "one, re one, two, so far, three, re three, four")
            self.assertEqual(len(self.branches), 1)

    def test_program_that_sends_its_own_messages_only_says_each_of_them_once(self) -> None:
        for separate in (False, True):
            self.open(separate_chats=separate)
            for text in ("one", "two", "three"):
                self.app.send(text)
                self.app.chat.pop()
            self.assertEqual(self.branches, ["one, re one, two, re two, three, re three"])

    def test_command_behind_a_message_that_failed_is_one(self) -> None:
        self.said("one")
        self.app.chat.append({"role": "user", "content": "two"})
        self.app.begin()
        self.house.calls[-1].fail(ModelError("down"))
        self.assertEqual(self.app.send("!model"), "")
        self.app.back_to(2)
        self.app.chat.append({"role": "user", "content": "!help"})
        self.assertEqual(self.app.send("two"), "one, re one, two")


class LoopTests(BranchCase):
    def test_program_in_a_loop_is_refused(self) -> None:
        program = App(self.front)
        for _ in range(TIMES + 5):
            program.chat = [{"role": "user", "content": "list the files"}]
            program.begin()
            for call in self.house.calls:
                if not call.result.called:
                    call.answer("I cannot")
        self.assertEqual(len(self.house.calls), TIMES - 1)

    def test_refusal_is_one_sentence_in_every_dialect_and_ends_after_a_minute(self) -> None:
        for dialect in DIALECTS:
            self.open()
            program = App(self.front, dialect)
            for _ in range(TIMES - 1):
                program.chat = []
                program.send("list the files")
            program.chat = [{"role": "user", "content": "list the files"}]
            response = program.begin().response()
            self.assertEqual(response.code, 400)
            self.assertIn(b"looks like a loop", response.body)
            self.house.clock.advance(SECONDS)
            self.assertNotEqual(program.post("now again"), "")

    def test_history_that_grows_is_no_loop(self) -> None:
        for _ in range(TIMES + 5):
            self.app.send("go on")
        self.assertEqual(len(self.house.calls), TIMES + 5)

    def test_person_may_ask_for_another_answer_many_times(self) -> None:
        self.said("one", "two")
        for number in range(TIMES - 2):
            self.assertNotEqual(self.app.regenerate(2, f"version {number}"), "")
