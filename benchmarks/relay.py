"""The usual way to build such a relay, for comparison: Starlette and httpx, OpenAI's stream in and Ollama's out."""

import json
import os
from collections.abc import AsyncIterator

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

_UPSTREAM = os.environ["UPSTREAM"]
_client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=None)


async def chat(request: Request) -> StreamingResponse:
    body = await request.json()

    async def lines() -> AsyncIterator[bytes]:
        asked = {"model": os.environ["MODEL"], "messages": body["messages"], "stream": True}
        async with _client.stream("POST", f"{_UPSTREAM}/chat/completions", json=asked) as response:
            async for line in response.aiter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                choice = json.loads(line[6:])["choices"][0]
                message = {"role": "assistant", "content": choice["delta"].get("content", "")}
                done = choice["finish_reason"] is not None
                yield json.dumps({"model": body["model"], "message": message, "done": done}).encode() + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


async def version(request: Request) -> JSONResponse:
    return JSONResponse({"version": "0.33.0"})


app = Starlette(
    routes=[Route("/api/chat", chat, methods=["POST"]), Route("/api/version", version, methods=["GET"])]
)
