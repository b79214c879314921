"""Frameworks with tools of their own: each completes a task with one where that is allowed, and hears no at once where
it is not.
"""

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any
from unittest import SkipTest

from msgspec import json
from pydantic import BaseModel
from twisted.internet.defer import Deferred, succeed

from llamaproxy.seams.apps import Allowance
from llamaproxy.seams.interfaces import IDeltaReceiver
from llamaproxy.seams.types import ModelRequest, ModelResult, Text, ToolCall, Usage

from .live import LiveCase, ObedientModel

QUESTION = "What is the weather in Paris?"
WEATHER = "sunny, 21 degrees"
ANSWER = f"They say: {WEATHER}"
# What the model calls its tools with, where it has no question to ask.
ENDS: dict[str, dict[str, Any]] = {
    "final_result": {"city": "Paris", "degrees": 21},
    "Report": {"city": "Paris", "degrees": 21},
    "final_answer": {"answer": ANSWER},
}

# Their traces go nowhere, and their telemetry is off.
os.environ.update(OPENAI_AGENTS_DISABLE_TRACING="1", LANGSMITH_TRACING="false")


class Report(BaseModel):
    """The weather of a city."""

    city: str
    degrees: int


class CallingModel(ObedientModel):
    """Calls `get_weather` if it may, then says what came of it, by a tool for that if there is one."""

    def chat(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        self.requests.append(request)
        assert len(self.requests) < 8, "the client goes round in circles"
        names = [tool["name"] for tool in request.tools]
        last = request.messages[-1]
        # smolagents tells the model of results in a message of its user's.
        if last.role == "user" and WEATHER not in last.content and "get_weather" in names:
            return succeed(self._call("get_weather", {"city": "Paris"}))
        end = next((name for name in names if name in ENDS), None)
        if end is not None:
            return succeed(self._call(end, ENDS[end]))
        text = f"They say: {last.content}" if last.role == "tool" else "I cannot look that up."
        receiver.deltasReceived([Text(text)])
        return succeed(ModelResult(usage=Usage(3, 5)))

    def _call(self, name: str, arguments: dict[str, Any]) -> ModelResult:
        call = ToolCall(id="call_1", name=name, arguments=json.encode(arguments).decode())
        return ModelResult(finish_reason="tool_calls", tool_calls=(call,), usage=Usage(3, 5))


def needs(*packages: str) -> None:
    """Skips the test where one of the packages is not there."""
    for package in packages:
        if find_spec(package) is None:
            raise SkipTest(f"{package} is not installed; pip install -e '.[clients]'")


class FrameworkCase(LiveCase):
    def make_model(self) -> ObedientModel:
        return CallingModel()

    async def of(self, work: Callable[..., Any], *packages: str, **more: Any) -> Any:
        """What a framework comes to."""
        needs(*packages)
        self.model.requests.clear()
        return await self.run_client(lambda: work(self.url, **more))


class AllowedTests(FrameworkCase):
    allowance = Allowance(client_tools="on")

    async def test_openai_agents(self) -> None:
        for responses in (True, False):
            for streamed in (True, False):
                said = await self.of(openai_agents, "agents", responses=responses, streamed=streamed)
                self.assertEqual(said, ANSWER, (responses, streamed))

    async def test_pydantic_ai_with_its_default_output(self) -> None:
        for kind in ("chat", "responses", "anthropic"):
            for streamed in (True, False):
                said = await self.of(pydantic_agent, "pydantic_ai", kind=kind, streamed=streamed)
                self.assertEqual(said, Report(city="Paris", degrees=21), (kind, streamed))

    async def test_langchain_agent(self) -> None:
        for ollama in (True, False):
            for streamed in (True, False):
                said = await self.of(langchain_agent, "langchain", ollama=ollama, streamed=streamed)
                self.assertEqual(said, ANSWER, (ollama, streamed))

    async def test_instructor_in_its_default_mode(self) -> None:
        made = await self.of(instructor_report, "instructor")
        self.assertEqual(made.model_dump(), {"city": "Paris", "degrees": 21})

    async def test_smolagents(self) -> None:
        for streamed in (True, False):
            self.assertEqual(await self.of(smolagent, "smolagents", streamed=streamed), ANSWER)

    async def test_anthropic_library(self) -> None:
        for streamed in (True, False):
            self.assertEqual(await self.of(anthropic_loop, streamed=streamed), ANSWER)

    async def test_ollama_library(self) -> None:
        for streamed in (True, False):
            self.assertEqual(await self.of(ollama_loop, streamed=streamed), ANSWER)


class RefusedTests(FrameworkCase):
    """Who can do without is answered in words; who forces a call is refused, with what would allow it."""

    async def answers(self, work: Callable[..., Any], *packages: str, **more: Any) -> None:
        said = await self.of(work, *packages, **more)
        self.assertEqual((said, len(self.model.requests)), ("I cannot look that up.", 1))

    async def is_refused(self, work: Callable[..., Any], *packages: str, **more: Any) -> None:
        try:
            said = await self.of(work, *packages, **more)
        except SkipTest:
            raise
        except Exception as failure:
            said = str(failure)
        self.assertIn("client_tools", said)
        self.assertEqual(self.model.requests, [])

    async def test_openai_agents(self) -> None:
        await self.answers(openai_agents, "agents", responses=True, streamed=True)

    async def test_pydantic_ai(self) -> None:
        await self.is_refused(pydantic_agent, "pydantic_ai", kind="chat", streamed=False)

    async def test_langchain_agent(self) -> None:
        await self.answers(langchain_agent, "langchain", ollama=True, streamed=True)

    async def test_instructor(self) -> None:
        await self.is_refused(instructor_report, "instructor")

    async def test_smolagents(self) -> None:
        await self.is_refused(smolagent, "smolagents", streamed=False)

    async def test_anthropic_library(self) -> None:
        await self.answers(anthropic_loop, streamed=True)


# -- the programs, each as its framework's own introduction has it


def openai_agents(url: str, responses: bool, streamed: bool) -> str:
    import asyncio

    import agents
    from openai import AsyncOpenAI

    @agents.function_tool
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return WEATHER

    kind = agents.OpenAIResponsesModel if responses else agents.OpenAIChatCompletionsModel

    async def work() -> str:
        client = AsyncOpenAI(base_url=f"{url}/v1", api_key="any")
        agent = agents.Agent(name="a", tools=[get_weather], model=kind(model="main", openai_client=client))
        if not streamed:
            return str((await agents.Runner.run(agent, QUESTION)).final_output)
        result = agents.Runner.run_streamed(agent, QUESTION)
        async for _ in result.stream_events():
            pass
        return str(result.final_output)

    return asyncio.run(work())


def pydantic_agent(url: str, kind: str, streamed: bool) -> Any:
    import asyncio

    from pydantic_ai import Agent
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.anthropic import AnthropicProvider
    from pydantic_ai.providers.openai import OpenAIProvider

    model: Any
    if kind == "anthropic":
        model = AnthropicModel("main", provider=AnthropicProvider(base_url=url, api_key="any"))
    else:
        made = OpenAIChatModel if kind == "chat" else OpenAIResponsesModel
        model = made("main", provider=OpenAIProvider(base_url=f"{url}/v1", api_key="any"))
    agent: Any = Agent(model, output_type=Report)

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return WEATHER

    async def work() -> Any:
        if not streamed:
            return (await agent.run(QUESTION)).output
        async with agent.run_stream(QUESTION) as result:
            return await result.get_output()

    return asyncio.run(work())


def langchain_agent(url: str, ollama: bool, streamed: bool) -> str:
    from langchain.agents import create_agent
    from langchain_ollama import ChatOllama
    from langchain_openai import ChatOpenAI

    def get_weather(city: str) -> str:
        """The weather of a city."""
        return WEATHER

    model: Any
    if ollama:
        model = ChatOllama(model="main", base_url=url)
    else:
        model = ChatOpenAI(model="main", base_url=f"{url}/v1", api_key="any")  # type: ignore[arg-type]
    agent: Any = create_agent(model, tools=[get_weather])
    question = {"messages": [{"role": "user", "content": QUESTION}]}
    if not streamed:
        return str(agent.invoke(question)["messages"][-1].content)
    pieces = [
        piece.content for piece, _ in agent.stream(question, stream_mode="messages") if piece.type != "tool"
    ]
    return "".join(map(str, pieces))


def instructor_report(url: str) -> Any:
    import instructor
    from openai import OpenAI

    client = instructor.from_openai(OpenAI(base_url=f"{url}/v1", api_key="any"))
    return client.chat.completions.create(
        model="main", response_model=Report, messages=[{"role": "user", "content": QUESTION}], max_retries=1
    )


def smolagent(url: str, streamed: bool) -> str:
    import smolagents

    @smolagents.tool
    def get_weather(city: str) -> str:
        """The weather of a city.

        Args:
            city: its name
        """
        return WEATHER

    model = smolagents.OpenAIServerModel(model_id="main", api_base=f"{url}/v1", api_key="any")
    agent = smolagents.ToolCallingAgent(
        tools=[get_weather], model=model, stream_outputs=streamed, verbosity_level=-1
    )
    return str(agent.run(QUESTION))


def anthropic_loop(url: str, streamed: bool) -> str:
    from anthropic import Anthropic

    client: Any = Anthropic(base_url=url, api_key="any")
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = [{"name": "get_weather", "description": "The weather of a city.", "input_schema": schema}]
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    asked = {"model": "main", "max_tokens": 100, "tools": tools, "messages": messages}
    while True:
        if streamed:
            with client.messages.stream(**asked) as stream:
                message = stream.get_final_message()
        else:
            message = client.messages.create(**asked)
        uses = [block for block in message.content if block.type == "tool_use"]
        if not uses:
            assert message.stop_reason == "end_turn"
            return "".join(block.text for block in message.content if block.type == "text")
        assert (message.stop_reason, uses[0].input) == ("tool_use", {"city": "Paris"})
        results = [{"type": "tool_result", "tool_use_id": use.id, "content": WEATHER} for use in uses]
        messages += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]


def ollama_loop(url: str, streamed: bool) -> str:
    from ollama import Client

    client: Any = Client(host=url)

    def get_weather(city: str) -> str:
        """The weather of a city.

        Args:
            city: its name
        """
        return WEATHER

    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    while True:
        answer: Any = client.chat("main", messages, tools=[get_weather], stream=streamed)
        parts = list(answer) if streamed else [answer]
        calls = [call for part in parts for call in part.message.tool_calls or ()]
        text = "".join(part.message.content or "" for part in parts)
        if not calls:
            return text
        messages.append({"role": "assistant", "content": text, "tool_calls": calls})
        for call in calls:
            result = get_weather(**call.function.arguments)
            messages.append({"role": "tool", "tool_name": call.function.name, "content": result})
