"""Whatever apps do, each message that a person sent and each answer is in the store once, on some branch."""

import contextlib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.seams.errors import ModelError
from llamaproxy.seams.types import Message
from llamaproxy.store.database import Database
from tests.chats import DIALECTS, App, Chat, as_it_came, with_details, with_thoughts
from tests.store.postgres import fresh_database
from tests.stores import InlineStore
from tests.support import Front, House, ScriptedCall, ScriptedModel, Wire

with contextlib.suppress(ImportError):
    from llamaproxy.store.postgres import database as postgres

SESSION = "llama-192.168.1.20"
SHOWS = (as_it_came, with_thoughts, with_details)
# Apps of these names are known to send their history with every message.
KNOWN = "Enchanted/51 CFNetwork/1494.0.7 Darwin/23.4.0"
ERRAND = (
    '### Task:\nGenerate a concise title.\n### Output:\nJSON format: { "title": "your title" }\n'
    "### Chat History:\n<chat_history>\nUSER: hello\n</chat_history>"
)

number = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from(sorted(DIALECTS)), st.integers(0, 2)),
        st.tuples(
            st.sampled_from(["send", "send", "send", "edit", "regenerate", "continue", "cut", "fail"]),
            number,
            number,
        ),
        st.tuples(st.sampled_from(["errand", "command", "two", "restart", "break", "retry"]), number, number),
    ),
    min_size=6,
    max_size=25,
)
COMMANDS = ("!help", "!undo", "!branches", "!branch 1", "!branch 2", "!model")


class World:
    """Apps at one address, what was sent from them, and what they were answered."""

    def __init__(self, folder: Path, database: Any, separate: bool) -> None:
        self.store = InlineStore(database)
        self.house = House(
            ScriptedModel(), folder=folder, limits=Limits(separate_chats=separate), store=self.store
        )
        self.front = Front(self.house)
        self.apps: list[App] = []
        self.sent: Counter[str] = Counter()
        self.given: list[str] = []
        # Those that an app shows without an answer are said with the next one, in each version of that.
        self.loose: set[str] = set()
        # Sent again where nothing proves that it is the same: a new message, then.
        self.unproven: Counter[str] = Counter()
        self.chosen = False
        self._words = 0

    def word(self, kind: str) -> str:
        """A text that was never said before."""
        self._words += 1
        return f"{kind} number {self._words}."

    def app(self, index: int) -> App:
        if not self.apps:
            self.open("openai", 0)
        return self.apps[index % len(self.apps)]

    # -- what a person does

    def open(self, dialect: str, show: int) -> None:
        self.apps.append(App(self.front, dialect, SHOWS[show], user_agent=KNOWN))

    def send(self, index: int, _: int) -> None:
        self._ask(self.app(index), self.word("Message"))

    def edit(self, index: int, place: int) -> None:
        app = self.app(index)
        if places := _users(app):
            app.back_to(place % len(places) + 1)
        self._ask(app, self.word("Message"))

    def regenerate(self, index: int, place: int) -> None:
        app = self.app(index)
        if places := _users(app):
            at = places[place % len(places)]
            del app.chat[at + 1 :]
            if not app.chat[-1]["content"].startswith("!"):
                self._repeat(app)

    def again(self, index: int, _: int) -> None:
        """The app has the assistant continue."""
        app = self.app(index)
        if len(app.chat) > 1 and app.chat[-1]["role"] == "assistant" and not _users_last(app).startswith("!"):
            self._repeat(app, proven=True)

    def cut(self, index: int, shown: int) -> None:
        """The person ends an answer in the middle; the app shows what it got, or nothing."""
        app = self.app(index)
        text = self._new(app)
        wire, call = app.begin_call()
        said = self.word("Answer")
        call.say(said)
        self._gave(text, said)
        wire.channel.connectionLost(Failure(ConnectionLost()))
        if shown % 2:
            app.say(said[: 8 + shown])
        elif not _proves(app.chat):
            self.loose.add(text)

    def breaks(self, index: int, tries: int) -> None:
        """The model breaks off, and the client sends what it got along with its message."""
        app = self.app(index)
        text = self._new(app)
        for attempt in range(tries % 3 + 1):
            _, call = app.begin_call()
            said = self.word("Answer")
            call.say(said)
            self._gave(text, said)
            call.fail(ModelError("broken"))
            if not attempt:
                app.say(said)

    def retry(self, index: int, tries: int) -> None:
        """The client's library sends its message again, as it heard nothing of the answer."""
        app = self.app(index)
        text = self._new(app)
        for attempt in range(tries % 3 + 1):
            app.begin(x_stainless_retry_count=str(attempt))
            said = self.word("Answer")
            self._open_calls()[-1].say(said)
            self._gave(text, said)
            self._open_calls()[-1].fail(ModelError("broken"))
        wire = app.begin(x_stainless_retry_count=str(tries % 3 + 1))
        self._answer(text)
        app.take(wire)

    def fail(self, index: int, _: int) -> None:
        """The model says nothing at all."""
        app = self.app(index)
        self.loose.add(self._new(app))
        app.begin()
        self._open_calls()[-1].fail(ModelError("down"))

    def errand(self, index: int, _: int) -> None:
        """The app wants a title, beside everything."""
        app = App(self.front)
        app.chat = [{"role": "user", "content": ERRAND}]
        app.begin()

    def command(self, index: int, which: int) -> None:
        app = self.app(index)
        text = COMMANDS[which]
        app.send(text)
        self.chosen = self.chosen or text.startswith(("!undo", "!branch "))

    def two(self, index: int, other: int) -> None:
        """Two messages at the same time, of one chat or two."""
        waiting: list[tuple[App, str, Wire, list[Any]]] = []
        for app, chat in [(each, list(each.chat)) for each in (self.app(index), self.app(other))]:
            app.chat = chat
            text = self._new(app)
            waiting.append((app, text, app.begin(), app.chat))
        for app, text, wire, chat in waiting:
            self._answer(text)
            app.chat = chat
            app.take(wire)

    def restart(self, _: int, __: int) -> None:
        self.house.agent = self.house.new_agent()
        chats = [(app, app.chat) for app in self.apps]
        self.front = Front(self.house)
        for app, _chat in chats:
            app._front = self.front

    # -- how it goes

    def _new(self, app: App) -> str:
        text = self.word("Message")
        app.chat.append({"role": "user", "content": text})
        return text

    def _ask(self, app: App, text: str) -> None:
        app.chat.append({"role": "user", "content": text})
        wire = app.begin()
        self._answer(text)
        app.take(wire)

    def _repeat(self, app: App, proven: bool = False) -> None:
        users = _users(app)
        text = app.chat[users[-1]]["content"]
        if self.chosen or not (proven or _proves(app.chat[: users[-1]])):
            self.unproven[text] += 1
        wire = app.begin()
        self._answer(text)
        app.take(wire)

    def _answer(self, text: str) -> None:
        said = self.word("Answer")
        self._open_calls()[0].answer(said)
        self._gave(text, said)

    def _gave(self, text: str, said: str) -> None:
        self.sent[text] += 1
        self.given.append(said)

    def _open_calls(self) -> list[ScriptedCall]:
        return [call for call in self.house.calls if not call.result.called]

    # -- what came of it

    def stored(self) -> list[Message]:
        """All messages of all branches, each of them taken up."""
        database = self.store.database
        messages: dict[tuple[int, int], Message] = {}
        for branch in database.branches(SESSION):
            database.take_up(SESSION, branch.number)
            session = database.load(SESSION, 10**6)
            assert session is not None
            assert len(session.messages) == branch.length
            for position in range(branch.begins, branch.length):
                messages[branch.number, position] = session.messages[position]
        (count,) = database.connection.execute("SELECT count(*) FROM messages").fetchone()
        assert count == len(messages)
        return list(messages.values())


def _users(app: App) -> list[int]:
    return [index for index, message in enumerate(app.chat) if message["role"] == "user"]


def _users_last(app: App) -> str:
    return str(app.chat[_users(app)[-1]]["content"])


def _proves(chat: Chat) -> bool:
    """Whether it shows an answer to what was no command."""
    pairs = pairwise(chat)
    return any(one["role"] == "assistant" and not asked["content"].startswith("!") for asked, one in pairs)


class NothingLostTests(SynchronousTestCase):
    @settings(max_examples=30, deadline=None)
    @given(separate=st.booleans(), steps=STEPS)
    def test_every_message_and_every_answer_is_there_once(self, separate: bool, steps: Any) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.play(folder, Database(folder / "sessions.db", lambda: 0.0), separate, steps)

    def test_so_it_is_with_a_database_that_nodes_share(self) -> None:
        # A database takes a while to make: one is emptied for each row of steps.
        arguments = fresh_database()
        database = postgres.Database(arguments, lambda: 0.0)
        self.addCleanup(database.connection.close)

        @settings(max_examples=15, deadline=None, database=None)
        @given(separate=st.booleans(), steps=STEPS)
        def rows(separate: bool, steps: Any) -> None:
            folder = Path(self.mktemp())
            folder.mkdir()
            database.connection.execute("TRUNCATE sessions, branches, messages")
            self.play(folder, database, separate, steps)

        rows()

    def play(self, folder: Path, database: Any, separate: bool, steps: Any) -> None:
        world = World(folder, database, separate)
        if isinstance(database, Database):
            self.addCleanup(database.close)
        does = {"continue": world.again, "break": world.breaks}
        for name, *arguments in steps:
            (does.get(name) or getattr(world, name))(*arguments)
        stored = world.stored()
        questions = [line for m in stored if m.role == "user" for line in m.content.split("\n\n")]
        answers = [m.content for m in stored if m.role == "assistant"]
        self.assertEqual(sorted(answers), sorted(world.given))
        self.assertLessEqual(set(questions), {*world.sent, *world.loose})
        counts = Counter(questions)
        for text in world.sent.keys() - world.loose:
            self.assertIn(counts[text], range(1, 2 + world.unproven[text]), text)
