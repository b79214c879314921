"""The calls of Home Assistant's Ollama integration, made with its library: a list, then streams with tools."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import ollama

from .live import ANSWER, LiveCase

TOOL = {
    "type": "function",
    "function": {
        "name": "HassTurnOn",
        "description": "Turns on a device",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}}},
    },
}


class HomeAssistantTests(LiveCase):
    async def call(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Runs `work` with a client of its own, on an event loop as Home Assistant's is."""
        return await self.run_client(lambda: asyncio.run(_with_client(self.url, work)))

    async def converse(self, text: str) -> str:
        async def work(client: Any) -> str:
            coming = await client.chat(
                model="main",
                messages=[
                    {"role": "system", "content": "You are a voice assistant."},
                    {"role": "user", "content": text},
                ],
                tools=[TOOL],
                stream=True,
                keep_alive="-1s",
                options={"num_ctx": 8192},
                think=False,
            )
            return "".join([chunk["message"].get("content") or "" async for chunk in coming])

        return str(await self.call(work))

    async def test_set_up_lists_the_models(self) -> None:
        listed = await self.call(lambda client: client.list())
        self.assertEqual([model["model"] for model in listed["models"]], ["main:latest"])

    async def test_a_command_is_answered_in_a_stream(self) -> None:
        self.assertEqual(await self.converse("turn on the light"), ANSWER)

    async def test_failures_are_what_it_catches(self) -> None:
        with self.assertRaises(ollama.ResponseError) as refused:
            await self.converse("refuse")
        self.assertIn("slow down", str(refused.exception))
        self.assertIn("the model broke off", await self.converse("break"))


async def _with_client(url: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    return await work(ollama.AsyncClient(host=url))
