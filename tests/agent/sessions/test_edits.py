"""What becomes of a session when its user goes back in the app, through the real dialects."""

from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.seams.interfaces import IKeepsHistory, IModel
from tests.support import Front, House, ScriptedModel


class App:
    """A chat app: keeps a chat of its own, and sends all of it with every message."""

    def __init__(self, front: Front, path: str = "/v1/chat/completions", **headers: str) -> None:
        self._front = front
        self._path = path
        self._headers = headers
        self.chat: list[dict[str, Any]] = []
        self.thoughts = ""

    def send(self, text: str, content: Any = None) -> str:
        """Adds a message of the user, and the answer; what the model was asked, as "user, assistant, user"."""
        self.chat.append({"role": "user", "content": content or text})
        return self.post(text)

    def post(self, text: str) -> str:
        house = self._front.house
        asked = len(house.calls)
        body = {"messages": self.chat, "stream": False}
        wire = self._front.connect().send("POST", self._path, body, **self._headers)
        prompt = ""
        if len(house.calls) > asked:
            call = house.calls[-1]
            prompt = ", ".join(content for _, content in call.prompt())
            call.say(f"re {text}")
            call.finish()
        self.chat.append({"role": "assistant", "content": self.shown(wire.response().json())})
        return prompt

    def shown(self, body: Any) -> str:
        """What the app makes of an answer."""
        message = body["message"] if "message" in body else body["choices"][0]["message"]
        self.thoughts = message.get("reasoning_content") or message.get("thinking") or ""
        return f"<think>\n{self.thoughts}</think>\n\n **{message['content']}** \n"

    def back_to(self, number: int) -> None:
        """Drops the user's message of that number, counted from 1, and all after it."""
        places = [index for index, message in enumerate(self.chat) if message["role"] == "user"]
        del self.chat[places[number - 1] :]


class EditTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.open()

    def open(self, **limits: Any) -> None:
        self.house = House(ScriptedModel(vision=True), folder=Path(self.mktemp()), limits=Limits(**limits))
        self.front = Front(self.house)
        self.app = App(self.front)

    @property
    def stored(self) -> list[str]:
        """What the active branch holds of the user's messages."""
        (messages,) = self.house.store.messages.values()
        return [message.content for message in messages if message.role == "user"]

    def said(self, *texts: str) -> None:
        for text in texts:
            self.app.send(text)


class FollowTests(EditTestCase):
    def test_conversation_that_goes_on_is_left_alone(self) -> None:
        self.said("one", "two", "two")
        self.assertEqual(self.stored, ["one", "two", "two"])

    def test_regenerated_message_takes_the_place_of_the_old_one(self) -> None:
        self.said("one", "two")
        self.app.back_to(2)
        self.assertEqual(self.app.send("two"), "one, re one, two")
        self.assertEqual(self.stored, ["one", "two"])

    def test_edited_message_takes_all_that_came_after_it_along(self) -> None:
        self.said("one", "two", "three", "four")
        self.app.back_to(2)
        self.assertEqual(self.app.send("zwei"), "one, re one, zwei")
        self.assertEqual(self.app.send("drei"), "one, re one, zwei, re zwei, drei")
        self.assertEqual(self.stored, ["one", "zwei", "drei"])

    def test_commands_in_the_apps_history_do_not_confuse_it(self) -> None:
        self.said("one", "!model", "two", "!help", "three")
        self.assertEqual(self.stored, ["one", "two", "three"])
        self.app.back_to(5)
        self.said("drei")
        self.assertEqual(self.stored, ["one", "two", "drei"])
        self.app.back_to(3)
        self.said("zwei")
        self.assertEqual(self.stored, ["one", "zwei"])
        self.app.back_to(2)
        self.said("!whoami")
        self.assertEqual(self.stored, ["one", "zwei"])

    def test_one_turn_switch_and_commands_beside_a_prompt_are_followed(self) -> None:
        self.said("one", "@main two", "!help\n!model\nthree")
        self.assertEqual(self.stored, ["one", "two", "three"])
        self.app.back_to(2)
        self.said("@main zwei")
        self.assertEqual(self.stored, ["one", "zwei"])

    def test_message_with_a_picture_is_followed_by_its_text(self) -> None:
        self.said("one")
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        self.app.send("look", [{"type": "text", "text": "look"}, picture])
        self.said("two")
        self.app.back_to(3)
        self.said("zwei")
        self.assertEqual(self.stored, ["one", "look", "zwei"])
        self.app.back_to(2)
        self.said("closer")
        self.assertEqual(self.stored, ["one", "closer"])

    def test_agent_with_a_history_of_its_own_hears_of_it(self) -> None:
        cut_back: list[str] = []
        model = self.house.models[0]
        model.rewind = cut_back.append  # type: ignore[attr-defined]
        directlyProvides(model, IModel, IKeepsHistory)
        self.said("one", "two")
        self.assertEqual(cut_back, [])
        self.app.back_to(2)
        self.said("zwei")
        self.assertEqual(cut_back, ["llama-192.168.1.20"])

    def test_both_dialects_are_followed(self) -> None:
        for path in ("/api/chat", "/v1/api/chat", "/v1/chat/completions"):
            self.open()
            self.app = App(self.front, path)
            self.said("one", "two")
            self.app.back_to(2)
            self.said("zwei")
            self.assertEqual(self.stored, ["one", "zwei"])

    def test_turn_that_was_cut_short_is_replaced_by_the_retry(self) -> None:
        for before in ([], ["one"]):
            self.open()
            self.said(*before)
            self.app.chat.append({"role": "user", "content": "two"})
            wire = self.front.connect().send(
                "POST", "/v1/chat/completions", {"messages": self.app.chat, "stream": True}
            )
            self.house.calls[-1].say("so far")
            wire.channel.connectionLost(Failure(ConnectionLost()))
            self.app.post("two")
            self.assertEqual(self.stored, [*before, "two"])

    def test_it_is_followed_after_a_restart(self) -> None:
        self.said("one", "two")
        self.house.agent = self.house.new_agent()
        self.front = Front(self.house)
        app = App(self.front)
        app.chat = self.app.chat
        app.back_to(2)
        app.send("zwei")
        self.assertEqual(self.stored, ["one", "zwei"])

    def test_operator_can_turn_it_off(self) -> None:
        self.open(follow_edits=False)
        self.said("one", "two")
        self.app.back_to(2)
        self.said("two")
        self.assertEqual(self.stored, ["one", "two", "two"])


class DoubtTests(EditTestCase):
    def test_other_chats_of_the_session_lose_nothing(self) -> None:
        other = App(self.front)
        self.said("one", "two")
        other.send("eins")
        self.said("three")
        other.send("zwei")
        self.app.back_to(3)
        self.said("drei")
        self.assertEqual(self.stored, ["one", "two", "eins", "three", "zwei", "drei"])

    def test_new_chat_continues_the_session(self) -> None:
        self.said("hi", "two")
        App(self.front).send("hi")
        self.assertEqual(self.stored, ["hi", "two", "hi"])

    def test_program_that_never_sends_a_history_may_repeat_itself(self) -> None:
        for _ in range(3):
            App(self.front).send("next")
        self.assertEqual(self.stored, ["next", "next", "next"])

    def test_first_message_is_regenerated_where_the_app_is_known_to_send_a_history(self) -> None:
        self.said("one", "two")
        fresh = App(self.front)
        fresh.send("hello")
        fresh.back_to(1)
        fresh.send("hello")
        self.assertEqual(self.stored, ["one", "two", "hello"])

    def test_first_message_of_all_is_regenerated_in_an_app_that_cannot_go_without_a_history(self) -> None:
        for headers in (
            {"user_agent": "Enchanted/51 CFNetwork/1494.0.7 Darwin/23.4.0"},
            {"user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
            {"user_agent": "Python/3.11 aiohttp/3.14.5", "x_openwebui_chat_id": "c1"},
        ):
            self.open()
            self.app = App(self.front, **headers)
            self.said("hello")
            self.app.back_to(1)
            self.assertEqual(self.app.send("hello"), "hello")
            self.said("two")
            self.assertEqual(self.stored, ["hello", "two"])

    def test_program_with_examples_before_each_question_leaves_other_turns_alone(self) -> None:
        def ask(question: str) -> None:
            program = App(self.front)
            program.chat = [{"role": "user", "content": "an example"}, {"role": "assistant", "content": "so"}]
            program.send(question)

        ask("first")
        self.said("one")
        ask("second")
        self.assertEqual(self.stored, ["first", "one", "second"])

    def test_answer_that_is_to_go_on_is_no_second_message(self) -> None:
        self.said("one", "two")
        self.assertEqual(self.app.post("two"), "one, re one, two")
        self.assertEqual(self.stored, ["one", "two"])

    def test_prompt_without_a_history_changes_nothing(self) -> None:
        self.said("one", "two")
        for _ in range(2):
            wire = self.front.connect().send("POST", "/api/generate", {"prompt": "two", "stream": False})
            self.house.calls[-1].say("x")
            self.house.calls[-1].finish()
            wire.response()
        self.assertEqual(self.stored, ["one", "two", "two", "two"])


class NewChatTests(EditTestCase):
    def test_new_chat_begins_with_nothing_if_the_operator_says_so(self) -> None:
        self.open(separate_chats=True)
        self.said("one", "two")
        self.assertEqual(App(self.front).send("hi"), "hi")
        self.assertEqual(self.stored, ["hi"])
