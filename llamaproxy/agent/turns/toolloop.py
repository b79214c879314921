"""The rounds of one turn: the model is asked, its tool calls run at the same time, and it is asked again.

However it goes, it ends with a last answer: after `max_tool_iterations` rounds, after the same calls twice running,
or after wrong arguments twice for one tool, the model is asked once more, without tools.
"""

from collections.abc import Awaitable, Sequence
from functools import cached_property, partial
from itertools import accumulate
from secrets import token_hex
from typing import Any

from msgspec import Struct, json
from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger

from ...seams.arguments import read_arguments
from ...seams.errors import ContextTooLong, ModelError
from ...seams.gates import Need
from ...seams.records import LONGEST_REASON, Attempt
from ...seams.telling import about
from ...seams.types import Message, ModelRequest, ModelResult, ToolCall
from ..backends import Backends
from ..calls.arguments import BadArguments
from ..calls.delegation import Delegation
from ..calls.gatekeeper import NeedsApproval
from ..calls.runner import RESULT_LIMIT, ToolRunner, Workbench
from ..calls.toolbox import definition
from ..calls.written import TextCalls
from ..prompts import ModelPrompts
from ..sessions.history import (
    estimate_all,
    estimate_tokens,
    last_turn_start,
    prompt_budget,
    window,
    with_short_results,
    without_images,
)
from ..sessions.session import Session
from ..sessions.turn import Turn
from .exchange import Exchange
from .imitations import IMITATED, imitates
from .journal import Journal
from .material import shown, with_instructions

# Token estimates can be off by this much before a second refusal.
SAFETY = 0.8
# Calls of one round beyond this number are not run.
CALLS_AT_ONCE = 16

REPEATED = "You have just made this very call; its result is above. Answer now, without tools."
TOO_MANY = f"Not run: only {CALLS_AT_ONCE} calls are run at a time. Make this one again if you still need it."
ONE_ONLY = "Not run: the user's app takes one call at a time. Make this one again if you still need it."
MUST_CALL = (
    "The app that the user talks through needs a call of one of your tools as your answer now, and no text."
)
CUT = (
    "The call was not made: your answer reached its length limit, and the call was cut off in the middle. "
    "Make a shorter one, or several, or answer without it."
)
CUT_OFF = "[The model reached its length limit in the middle of a tool call, which was not made.]\n\n"
WRONG = "The call was not made: {problem}. Correct the call, or answer without it."


class Means(Struct, frozen=True, kw_only=True):
    """What turns are made with: the models and their prompts, what their tools run on, and how long all may take."""

    backends: Backends
    prompts: ModelPrompts
    bench: Workbench
    delegation: Delegation


class ToolLoop:
    """Carries one turn's exchange to its last answer."""

    log = Logger()

    def __init__(
        self, means: Means, session: Session, exchange: Exchange, turn: Turn, journal: Journal
    ) -> None:
        self._means = means
        self._limits = means.bench.limits
        self._session = session
        self._exchange = exchange
        self._turn = turn
        self._model = means.backends[exchange.key]
        self._tools = means.bench.toolbox.offered(exchange.key, turn.caller.grants)
        self._journal = journal
        self._attempt: Attempt
        self._written: TextCalls | None = None
        app = turn.app
        # Where names collide, the agent's own tools count.
        self._apps = {
            tool.name: {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in app.tools
            if app.choice != "none" and tool.name not in self._tools
        }
        self._must_call = app.choice == "required" and bool(self._apps)
        own = [] if self._must_call else [definition(tool) for tool in self._tools.values()]
        self._definitions = [*own, *self._apps.values()]

    @cached_property
    def _runner(self) -> ToolRunner:
        """What runs the calls; most turns have none."""
        limit = _result_limit(self._model.info().context_length)
        bench, depth = self._means.bench, self._exchange.depth
        return ToolRunner(bench, self._session, self._turn, self._tools, limit, depth)

    async def run(self) -> list[tuple[ToolCall, list[Need]]]:
        """Runs until the model has answered; the answer is the reply's transcript.

        Stops before that, with the calls and their gates, where the user has to be asked, and without any where there
        are calls that the app has to run. A round under way is one that the user was asked about: what is pending in
        it has been allowed. Raises `ModelError`.
        """
        exchange, reply = self._exchange, self._turn.reply
        if exchange.calls:
            if waiting := await self._run_calls(exchange.pending(), approved=True):
                return waiting
            if exchange.handed_over():
                return []
            exchange.close()
        shorter: ModelRequest | None = None
        while True:
            # Before the next question, so that a crash costs no more than the round under way.
            if exchange.rounds:
                await self._keep()
            request = shorter or await self._request()
            try:
                result = self._answered(request, await self._ask(request))
            except (ModelError, CancelledError) as error:
                self._broken_off(error)
                if shorter is not None or not isinstance(error, ContextTooLong):
                    raise
                shorter = self._shortened(request, error)
                continue
            finally:
                self._count()
            shorter = None
            # An answer that was stopped makes no calls.
            stopped = result.finish_reason in ("content_filter", "refusal")
            exchange.extra, calls = result.extra, () if stopped else result.tool_calls
            if imitates(reply.transcript.text()):
                reply.say(IMITATED)
            tools_were_offered = not self._is_last
            if calls and tools_were_offered:
                if reply.transcript:
                    reply.say("\n\n")
                self._turn.rounds = exchange.rounds + 1
                repeated = exchange.begin(reply.transcript.text(), self._distinct(calls))
                exchange.app = tuple(call.id for call in exchange.calls if call.name in self._apps)
                # Whether an app's tool may be called so again is for the app to know.
                if repeated and not exchange.app:
                    exchange.last = True
                    exchange.settle(REPEATED)
                    self._runner.display.remarks("the same call twice; no more tools for this answer")
                else:
                    if result.finish_reason == "length" and (cut := exchange.settle_cut(CUT)):
                        self._note_wrong(cut)
                        reply.say(CUT_OFF)
                    self._look_at_apps()
                    await self._keep()
                    if waiting := await self._run_calls(exchange.pending()):
                        return waiting
                if exchange.handed_over():
                    return []
                exchange.close()
            elif exchange.rounds and tools_were_offered and not (reply.transcript or stopped):
                exchange.last = True
            else:
                return []

    def _keep(self) -> Awaitable[bool]:
        """Done once the store has all messages of the exchange: before calls run and behind each round, so that what
        was done is never done again.
        """
        return self._turn.undisturbed(self._journal.keep(self._session, self._exchange))

    async def _run_calls(
        self, calls: Sequence[ToolCall], approved: bool = False
    ) -> list[tuple[ToolCall, list[Need]]]:
        """Runs calls of the round under way at the same time; gives those for which the user has to be asked."""
        waiting: list[tuple[ToolCall, list[Need]]] = []
        wrong: set[str] = set()
        running = [
            Deferred.fromCoroutine(self._run_call(call, approved, waiting, wrong))
            for call in calls[:CALLS_AT_ONCE]
        ]
        outcomes = await DeferredList(running, consumeErrors=True)
        if self._turn.cancelled:
            raise CancelledError
        for finished, outcome in outcomes:
            if not finished:
                self.log.failure(
                    "{turn}a tool call could not be run", outcome, turn=about(self._turn.record.request_id)
                )
        exchange = self._exchange
        for call in calls[CALLS_AT_ONCE:]:
            exchange.results[call.id] = TOO_MANY
        self._note_wrong(wrong)
        return waiting

    def _look_at_apps(self) -> None:
        """Settles the calls of the app's tools that it cannot be given."""
        most, too_many = (CALLS_AT_ONCE, TOO_MANY) if self._turn.app.parallel else (1, ONE_ONLY)
        wrong: set[str] = set()
        given = 0
        for call in self._exchange.handed_over():
            try:
                read_arguments(call.arguments)
            except ValueError as problem:
                wrong.add(call.name)
                self._exchange.results[call.id] = WRONG.format(problem=str(problem).rstrip("."))
                continue
            given += 1
            if given > most:
                self._exchange.results[call.id] = too_many
        self._note_wrong(wrong)

    def _distinct(self, calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
        """The calls with ids of their own, which not every server gives them.

        Those for the app are unlike any that it was ever given.
        """
        seen: set[str] = set()
        distinct = []
        for call in calls:
            if not call.id or call.id in seen or call.name in self._apps:
                call = replace(call, id=f"call_{token_hex(8)}")
            seen.add(call.id)
            distinct.append(call)
        return tuple(distinct)

    def _note_wrong(self, names: set[str]) -> None:
        """Calls of these tools could not be made as they were; the second time for a tool ends the rounds."""
        exchange = self._exchange
        exchange.last = exchange.last or bool(names & exchange.corrected)
        if names:
            exchange.corrected |= names

    async def _run_call(
        self, call: ToolCall, approved: bool, waiting: list[tuple[ToolCall, list[Need]]], wrong: set[str]
    ) -> None:
        exchange = self._exchange
        try:
            answer = await self._runner.run(call, approved)
            exchange.results[call.id] = answer.text
            if self._model.info().vision:
                exchange.pictures[call.id] = answer.images
        except NeedsApproval as question:
            waiting.append((call, question.needs))
        except BadArguments as problem:
            wrong.add(call.name)
            exchange.results[call.id] = WRONG.format(problem=str(problem).rstrip("."))
            self._runner.display.remarks(f"{call.name}: {problem}")

    # -- the model

    @property
    def _is_last(self) -> bool:
        return self._exchange.last or self._exchange.rounds >= self._limits.depths["max_tool_iterations"]

    async def _request(self) -> ModelRequest:
        """What the model is asked next."""
        exchange, prompts, is_last = self._exchange, self._means.prompts, self._is_last
        system = prompts.known(exchange.key) or await prompts.message(exchange.key)
        return ModelRequest(
            messages=self._prompt(system),
            tools=[] if is_last else self._definitions,
            options=exchange.options,
            session_id=self._session.session_id,
            depth=exchange.depth,
            timeout=self._means.delegation.time_limit(exchange.key),
            must_call=self._must_call and not is_last,
            request_id=self._turn.record.request_id,
        )

    def _shortened(self, request: ModelRequest, refusal: ContextTooLong) -> ModelRequest:
        """The request with a shorter prompt; raises `refusal`, which was for its length, if it cannot be asked so."""
        shorter = _shorter(request.messages, refusal)
        fewer = _fewer(request, refusal.context_length)
        if self._turn.reply.begun or (shorter == request.messages and len(fewer) == len(request.tools)):
            raise refusal
        self.log.info(
            "turn {id} {session}: the prompt was too long for {model}, "
            "trying with {count} messages and {tools} tools",
            id=self._turn.record.request_id,
            session=self._session.session_id,
            model=self._exchange.key,
            count=len(shorter),
            tools=len(fewer),
        )
        return replace(request, messages=shorter, tools=fewer)

    def _prompt(self, system: Message) -> list[Message]:
        info, exchange = self._model.info(), self._exchange
        if app := self._turn.app.system:
            system = with_instructions(system, app)
        if self._must_call:
            system = replace(system, content=f"{system.content}\n\n{MUST_CALL}")
        said = [*self._session.kept.until(exchange.begins), *exchange.messages]
        history = [
            shown(message) if message.material else message
            for message in window(said, self._limits.messages(exchange.key))
        ]
        if not info.vision:
            # Of a picture that was sent to another model, say.
            history = without_images(history)
        if not info.context_length:
            return [system, *history]
        tools = len(json.encode(self._definitions)) // 3
        budget = prompt_budget(info.context_length) - estimate_tokens(system) - tools
        return [
            system,
            *with_short_results(window(history, 0, budget), max(0, budget)),
        ]

    @property
    def _length(self) -> int:
        """How many messages the conversation has, with those of this turn."""
        exchange = self._exchange
        before = self._session.kept.end if exchange.after is None else exchange.after.length
        return before - exchange.stored + len(exchange.messages)

    def _ask(self, request: ModelRequest) -> Deferred[ModelResult]:
        """Asks the model, and notes that it was asked."""
        turn, sent = self._turn, len(request.messages) - 1
        self._attempt = Attempt(
            model=self._exchange.key,
            at=turn.since_start(),
            messages=sent,
            left_out=max(0, self._length - sent),
            tools=len(request.tools),
        )
        if span := turn.record.ask(self._attempt):
            request = replace(request, span=span)
        turn.reply.asking()
        self._written = None
        if self._definitions and not self._model.info().tells_calls:
            self._written = TextCalls(turn.reply, [each["name"] for each in self._definitions])
        return self._model.chat(request, self._written or turn.reply)

    def _answered(self, request: ModelRequest, result: ModelResult) -> ModelResult:
        """The result with the calls that the model has written, and none where it has no tools."""
        written = self._written
        if written is not None:
            written.finish(cut=result.finish_reason == "length", server_tells=bool(result.tool_calls))
        self._turn.reply.answered(result, partial(estimate_all, request.messages))
        self._attempt.counted = result.usage is not None
        if written is not None:
            return result if result.tool_calls else replace(result, tool_calls=tuple(written.calls))
        return replace(result, tool_calls=()) if result.tool_calls and not self._definitions else result

    def _broken_off(self, error: ModelError | CancelledError) -> None:
        if self._written is not None:
            self._written.give_up()
        if isinstance(error, ModelError):
            self._attempt.error = f"{error.code}: {error}"[:LONGEST_REASON]

    def _count(self) -> None:
        """Notes how long the attempt took, and what it used."""
        turn, attempt = self._turn, self._attempt
        attempt.seconds = turn.since_start() - attempt.at
        attempt.first, usage = turn.reply.first_after, turn.reply.usage
        attempt.prompt_tokens, attempt.completion_tokens = usage.prompt_tokens, usage.completion_tokens


def _result_limit(context_length: int) -> int:
    """A result may take a quarter of a model's context, at 3 bytes a token."""
    return min(RESULT_LIMIT, context_length * 3 // 4) if context_length else RESULT_LIMIT


def _shorter(messages: Sequence[Message], refusal: ContextTooLong) -> list[Message]:
    """What is tried after a refusal: by the server's own numbers, or else the last turn at half its length."""
    system, history = messages[0], list(messages[1:])
    if limit := refusal.context_length:
        asked = refusal.prompt_tokens or max(estimate_all(messages), limit)
        share = prompt_budget(limit) / asked
        budget = int(estimate_all(history) * share * SAFETY)
        history = window(history, len(history), budget)
    else:
        history = history[last_turn_start(history) :]
        budget = estimate_all(history) // 2
    return [system, *with_short_results(history, budget)]


def _fewer(request: ModelRequest, limit: int) -> list[dict[str, Any]]:
    """The tools that are offered in that try: those that leave half of the context, or of the prompt, to the rest."""
    sizes = [len(json.encode(tool)) // 3 for tool in request.tools]
    left = (limit or estimate_all(request.messages) + sum(sizes)) // 2
    return [tool for tool, size in zip(request.tools, accumulate(sizes), strict=True) if size <= left]
