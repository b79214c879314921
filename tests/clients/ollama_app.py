"""An app on the `ollama` library."""

from typing import Any

import ollama

from .apps import HELLO, Report, complaint, following, refused, run, settled


def said(chunk: Any) -> str:
    return chunk.message.content or ""


async def tour(client: Any) -> Report:
    """One of everything."""
    chat = await settled(client.chat("m", HELLO))
    streamed = await following(await settled(client.chat("m", HELLO, stream=True)), said)
    generated = await settled(client.generate("m", "hello"))
    stream = await settled(client.generate("m", "hello", stream=True))
    return {
        "chat": chat.model_dump(),
        "streamed": streamed,
        "generate": generated.model_dump(),
        "generate streamed": await following(stream, lambda chunk: chunk.response),
        "list": [model.model for model in (await settled(client.list())).models],
        "show": (await settled(client.show("m"))).model_dump(),
        "ps": [model.model for model in (await settled(client.ps())).models],
        "command": (await settled(client.chat("m", [{"role": "user", "content": "!model"}]))).message.content,
        "unknown": await refused(lambda: client.show("nobody")),
        "empty": await refused(lambda: client.chat("m", [{"role": "user", "content": ""}])),
    }


async def stream(client: Any) -> Report:
    """One answer, streamed."""
    try:
        return await following(await settled(client.chat("m", HELLO, stream=True)), said)
    except ollama.ResponseError as error:
        return complaint(error)


async def both(client: Any) -> Report:
    """One answer whole, and one streamed."""
    return {"whole": await refused(lambda: client.chat("m", HELLO)), "streamed": await stream(client)}


async def leave(client: Any) -> Report:
    """The beginning of an answer."""
    return await following(await settled(client.chat("m", HELLO, stream=True)), said, limit=1)


run(
    {"tour": tour, "stream": stream, "both": both, "leave": leave},
    {"blocking": ollama.Client, "async": ollama.AsyncClient},
)
