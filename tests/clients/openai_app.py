"""An app on the `openai` library."""

from functools import partial
from typing import Any

import openai

from .apps import HELLO, Report, complaint, following, refused, run, settled


def said(chunk: Any) -> str:
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


async def tour(client: Any) -> Report:
    """One of everything."""
    create = partial(client.chat.completions.create, model="m")
    chat = await settled(create(messages=HELLO))
    with_usage = {"stream": True, "stream_options": {"include_usage": True}}
    streamed = await following(await settled(create(messages=HELLO, **with_usage)), said)
    command = await settled(create(messages=[{"role": "user", "content": "!model"}]))
    models = await settled(client.models.list())
    return {
        "chat": chat.model_dump(),
        "streamed": streamed,
        "list": [model.id for model in models.data],
        "retrieve": (await settled(client.models.retrieve("m"))).model_dump(),
        "command": command.choices[0].message.content,
        "unknown": await refused(lambda: client.models.retrieve("nobody")),
        "empty": await refused(lambda: create(messages=[])),
    }


async def stream(client: Any) -> Report:
    """One answer, streamed."""
    try:
        coming = await settled(client.chat.completions.create(model="m", messages=HELLO, stream=True))
    except openai.APIError as error:
        return complaint(error)
    return await following(coming, said)


async def both(client: Any) -> Report:
    """One answer whole, and one streamed."""
    whole = await refused(lambda: client.chat.completions.create(model="m", messages=HELLO))
    return {"whole": whole, "streamed": await stream(client)}


async def leave(client: Any) -> Report:
    """The beginning of an answer."""
    coming = await settled(client.chat.completions.create(model="m", messages=HELLO, stream=True))
    return await following(coming, said, limit=1)


def client(kind: Any, url: str) -> Any:
    # Left to itself the library would ask three times.
    return kind(base_url=f"{url}/v1", api_key="any", max_retries=0)


run(
    {"tour": tour, "stream": stream, "both": both, "leave": leave},
    {"blocking": partial(client, openai.OpenAI), "async": partial(client, openai.AsyncOpenAI)},
)
