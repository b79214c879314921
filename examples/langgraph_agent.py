"""An agent made with LangGraph (pip install langgraph). Its model is a fake one, so it needs no network."""

from collections.abc import AsyncIterator
from itertools import cycle

from langchain_core.language_models import GenericFakeChatModel
from langgraph.graph import END, START, MessagesState, StateGraph

# init_chat_model("openai:gpt-5") or any other chat model in real life.
model = GenericFakeChatModel(messages=cycle(["It all depends on how you see it."]))


async def think(state: MessagesState) -> dict[str, list[object]]:
    """The graph's one node: asks the model."""
    return {"messages": [await model.ainvoke(state["messages"])]}


graph = (
    StateGraph(MessagesState)
    .add_node("think", think)
    .add_edge(START, "think")
    .add_edge("think", END)
    .compile()
)


async def reply(messages: list[dict[str, str]]) -> AsyncIterator[str]:
    """Streams the tokens of whichever node speaks."""
    async for chunk, _ in graph.astream({"messages": messages}, stream_mode="messages"):
        yield chunk.text
