"""An agent made with pydantic-ai (pip install pydantic-ai-slim). Its model is a function, so it needs no network."""

from collections.abc import AsyncIterator

from pydantic_ai import Agent, ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from llamaproxy.agents import Context


async def model(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
    """Stands in for a real model: rolls the dice, and tells what they show."""
    newest = messages[-1].parts[-1]
    if newest.part_kind == "tool-return":
        for piece in ("The dice show ", newest.content, "."):
            yield piece
    else:
        yield {0: DeltaToolCall(name="roll", json_args="{}", tool_call_id="roll-1")}


# Agent("openai:gpt-5", ...) or Agent("anthropic:claude-sonnet-4-5", ...) in real life.
agent = Agent(FunctionModel(stream_function=model), instructions="You play dice.")


@agent.tool_plain
def roll() -> str:
    """Rolls two dice, both of them loaded."""
    return "six and six"


async def reply(text: str, context: Context) -> AsyncIterator[str]:
    """Streams the agent's answer; what was said before comes from the session."""
    history: list[ModelMessage] = [
        ModelRequest([UserPromptPart(said["content"])])
        if said["role"] == "user"
        else ModelResponse([TextPart(said["content"])])
        for said in context.messages[:-1]
    ]
    async with agent.run_stream(text, message_history=history) as answer:
        async for piece in answer.stream_text(delta=True):
            yield piece
