"""What an agent written in Python may import from here; see `examples/` for how it gets behind the front door.

An agent is any callable named in `llm-models.json` as `"type": "PYTHON", "model_id": "package.module:attribute"`. It
may be an async generator function, an async function, a generator function or a plain function (a plain one runs in
a thread of its own, so it may block). Its parameters say what it gets:

- `(text, context)`: what the user said, and a `Context`;
- `(messages)`: the conversation as `Context.messages` has it, the user's newest message last;
- `(text)`: what the user said, and nothing else.

What it yields or returns is the answer: `str` for text, `Reasoning` for thoughts that apps show apart. It is not
advanced while the client cannot take more, and cancelled when the client leaves. An exception ends the reply with
its message.
"""

from typing import Any

from msgspec import Struct, field

from .seams.types import Image, Reasoning

__all__ = ["Context", "Image", "Reasoning"]


class Context(Struct, frozen=True, kw_only=True):
    """What an agent may know of a message.

    `session_id` stays the same for one conversation, and is empty for a call outside any. `messages` are what was
    said so far, as `{"role": "user" or "assistant", "content": text}`, with the newest message last; `system_prompt`
    is the operator's. `settings` is the entry's `extra`. `depth` counts the agents that have passed the message on; one
    that asks others over HTTP sends them `depth + 1` as `X-Llamaproxy-Depth`.
    """

    session_id: str
    system_prompt: str
    messages: list[dict[str, str]]
    images: tuple[Image, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    depth: int = 0
