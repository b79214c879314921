"""What a caller's message sets going: commands at once, then a place in the queue, commands again, and a model."""

from msgspec.structs import replace
from twisted.internet.defer import CancelledError

from ..seams.errors import AgentError, Forbidden, StoreUnavailable
from ..seams.interfaces import IPeers
from ..seams.types import Caller, ChatTurn, Taken
from .commands.commands import Commands
from .commands.script import Script, TooManyCommands
from .meanwhile import Meanwhile
from .sessions.claims import Claims
from .sessions.edits import retry_point
from .sessions.guests import Guests
from .sessions.job import Job
from .sessions.ledger import Ledger
from .sessions.runs import Runs
from .sessions.session import Session, Sessions
from .sessions.turn import Turn
from .turns.approvals import is_open, parked_turn, reminder
from .turns.conversation import Conversation
from .turns.exchange import Exchange
from .turns.inquiries import Inquiries
from .turns.toolloop import Means


class Desk:
    """Serves messages, one turn at a time in each session."""

    def __init__(
        self,
        means: Means,
        sessions: Sessions,
        conversation: Conversation,
        commands: Commands,
        peers: IPeers,
        meanwhile: Meanwhile,
        claims: Claims,
        ledger: Ledger,
        inquiries: Inquiries,
        runs: Runs,
    ) -> None:
        self._backends = means.backends
        self._limits = means.bench.limits
        self._clock = means.bench.clock
        self._wall = means.bench.wall
        self._sessions = sessions
        self._conversation = conversation
        self._commands = commands
        self._meanwhile = meanwhile
        self._claims = claims
        self._ledger = ledger
        self._inquiries = inquiries
        self._runs = runs
        self._guests = Guests(sessions, self._limits, peers)

    async def serve(self, running: Turn, caller: Caller, turn: ChatTurn) -> None:
        """Answers `turn` into the reply of `running`. Raises `AgentError` or `CancelledError`."""
        try:
            script = self._read(turn)
        except TooManyCommands as problem:
            running.reply.say(str(problem))
            running.reply.finish()
            return
        session = await self._admitted(running, caller, script, turn)
        if session is None:
            return
        at_once, later = self._commands.split(script.commands) if script.commands else ((), ())
        if at_once and not later and not script.prompt:
            await self._look(session, running)
            running.reply.say(await self._commands.run(at_once, session, running))
            if running.then is not None:
                await running.then()
            else:
                running.reply.finish()
            return
        if script.prompt or turn.images:
            session.repeats.check(turn)
        session.enter(running)
        # Whoever answers the question themselves, or says something else, does not wait for somebody else's answer.
        self._inquiries.leave(session.session_id)
        try:
            if at_once:
                await self._look(session, running)
                answer = await self._commands.run(at_once, session, running)
                running.reply.say(answer + ("\n" if later else "\n\n"))
                script = replace(script, commands=later)
            session.check_room(self._limits.queue)
            self._meanwhile.tell_running(session, running)
            is_first = self._claims.begin_at_once(session, running)
            taken = None if is_first else await self._begun(session, running)
            running.record.queued = running.since_start()
            try:
                if await self._is_to_run(session, running, script, turn, taken):
                    await self._to_its_end(session, running, script, turn)
            finally:
                self._claims.end(session)
        finally:
            session.turns.remove(running)

    def _read(self, turn: ChatTurn) -> Script:
        """The message taken apart; what came with the results of an app's tools was said before. Raises as `read`."""
        if turn.app.is_answer:
            return Script()
        return self._commands.read(turn.text) if turn.commandable else Script(prompt=turn.text.strip())

    async def _admitted(
        self, running: Turn, caller: Caller, script: Script, turn: ChatTurn
    ) -> Session | None:
        """The caller's session; None where there is no room for them, as the reply says. Raises `OverLimit`."""
        for each in script.commands:
            if entry := self._commands.find(each.name):
                running.record.commands.append(entry.name)
        talks = bool(script.prompt or turn.images or not script.commands)
        if talks:
            session = self._sessions.get(caller.session_id)
            is_new = session is None or not session.is_user
            if is_new and (refusal := await self._guests.refusal(caller)) is not None:
                running.reply.say(refusal)
                running.reply.finish()
                return None
            self._ledger.admit(caller, is_message=not turn.app.is_answer)
        return self._sessions.obtain(caller, talks)

    def served(self, running: Turn) -> None:
        """Counts what a turn has used, and lets go of what need not stay in memory."""
        caller = running.caller
        self._ledger.charge(caller, running.reply.spent)
        session = self._sessions.get(caller.session_id)
        # The id of a session that is gone may be the short one of another.
        if session is not None and session.session_id == caller.session_id:
            # What agents ask leaves no session behind, as they may be many; the store has it.
            if caller.depth and session.is_at_rest:
                self._sessions.drop(session)
            else:
                self._sessions.settle(session)
        self._guests.tidy()

    async def _begun(self, session: Session, running: Turn) -> Taken | None:
        try:
            return await self._claims.begin(session, running)
        except CancelledError:
            if running.job is not None:
                # It was stopped while it waited, and is not to begin after the next start of the server.
                await self._look(session, running)
                await self._meanwhile.over(session, running)
            raise

    async def _is_to_run(
        self, session: Session, running: Turn, script: Script, turn: ChatTurn, taken: Taken | None
    ) -> bool:
        """Whether the turn that has the session to itself is not answered yet; if it is to outlive its connection, it
        is written down.
        """
        await self._load(session, running)
        told = self._claims.told_elsewhere(session, running, taken) if taken and not running.again else None
        if told is not None:
            # Who gave that answer may have died before it was heard, with what it told first.
            if not await self._meanwhile.tell(session, running, turn):
                running.reply.say(told.content)
            running.reply.finish()
            await self._meanwhile.over(session, running)
            return False
        for job in await self._meanwhile.left_behind(session, running):
            await self._catch_up(session, running, job)
        if running.again and not await self._meanwhile.take_over(session, running):
            running.reply.finish()
            return False
        if script.prompt or turn.images or turn.app.is_answer:
            await self._meanwhile.begin(session, running, turn)
        return True

    async def _catch_up(self, session: Session, running: Turn, job: Job) -> None:
        """Goes on with the turn of a process that has gone, in the place of one that came after it."""
        turn = self._runs.alone(job, again=True)
        session.turns.insert(0, turn)
        session.begin(turn)
        self._meanwhile.tell_running(session, running)

        async def go_on() -> None:
            if await self._meanwhile.take_over(session, turn):
                await self._to_its_end(session, turn, self._read(job.asked), job.asked)
            else:
                turn.reply.finish()

        try:
            # Whoever leaves meanwhile leaves the session to this one until it is over.
            await running.undisturbed(self._runs.carry(turn, go_on()))
        finally:
            session.turns.remove(turn)
            session.begin(running)

    async def _to_its_end(self, session: Session, running: Turn, script: Script, turn: ChatTurn) -> None:
        try:
            exchange = await self._exchange(session, running, script, turn)
            if exchange is not None:
                await self._conversation.answer(session, exchange, running)
        except (AgentError, CancelledError) as error:
            await self._meanwhile.over(session, running, str(error))
            raise
        await self._meanwhile.over(session, running)

    async def _look(self, session: Session, running: Turn) -> None:
        """Loads it for commands that do not wait; they answer from what is known while the store is away."""
        await self._claims.look(session)
        try:
            await self._load(session, running)
        except StoreUnavailable:
            session.model = session.model or self._backends.default

    async def _load(self, session: Session, running: Turn) -> None:
        if not session.loaded:
            await self._sessions.load(session, self._limits.history_max_ctx)
        backends = self._backends.open_to(running.caller.grants)
        if session.model not in backends:
            gone, session.model = session.model, backends.default
            if gone and backends:
                running.reply.say(
                    f"[model '{gone}' is not available any more, using '{backends.default}']\n\n"
                )

    async def _exchange(
        self, session: Session, running: Turn, script: Script, turn: ChatTurn
    ) -> Exchange | None:
        """What the turn begins with a model; None if it is over without one."""
        await self._sessions.refill(session, self._limits.history_max_ctx)
        reply = running.reply
        if script.prompt and await self._meanwhile.tell(session, running, turn):
            reply.finish()
            return None
        if turn.app.results:
            await self._conversation.take_results(session, turn, running)
            if turn.app.is_answer:
                return None
        if script.commands and not (
            running.again and retry_point(session.kept, turn, script.prompt) is not None
        ):
            if answer := await self._commands.run(script.commands, session, running):
                reply.say(answer)
            if running.then is not None:
                if script.prompt:
                    reply.say("[the text beside the command is not passed on; send it again afterwards]\n\n")
                await running.then()
                return None
            if not script.prompt:
                reply.finish()
                return None
            reply.say("\n\n")
        if (parked := parked_turn(session)) is not None:
            if parked.code and is_open(session, parked, self._clock.seconds(), self._wall()):
                reply.say(reminder(parked))
                reply.finish()
                return None
            await self._conversation.give_up(session)
        key = script.model or session.model
        running.gates_open = script.model is not None and running.caller.owner
        backends = self._backends.open_to(running.caller.grants)
        if key not in backends:
            if not backends:
                raise Forbidden("None of the models that you may use here is available; ask the operator.")
            reply.say(f"Unknown model '{key}'. There are: {', '.join(backends)}")
            reply.finish()
        elif not (script.prompt or turn.images or turn.material):
            reply.say(f"Usage: @{key} <text>")
            reply.finish()
        else:
            asked = self._without_commands(turn) if turn.unanswered else turn
            return await self._conversation.begin(session, key, script.prompt, asked, running)
        return None

    def _without_commands(self, turn: ChatTurn) -> ChatTurn:
        """The message without unanswered ones that were commands, and so are nothing for a model."""
        prompts = [each for each in turn.unanswered if not self._is_command(each.text)]
        return replace(turn, unanswered=tuple(prompts))

    def _is_command(self, text: str) -> bool:
        try:
            return bool(self._commands.read(text).commands)
        except TooManyCommands:
            return True
