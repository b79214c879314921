"""LangChain's two libraries against a real server."""

import asyncio
from typing import Any

import httpx
import ollama
import openai
from langchain_ollama import ChatOllama, OllamaLLM
from langchain_openai import ChatOpenAI

from .live import ANSWER, LiveCase, reactor


class LangChainOllamaTests(LiveCase):
    def chat(self, **more: Any) -> ChatOllama:
        # It looks for its model in the list when it is made.
        return ChatOllama(model="main", base_url=self.url, validate_model_on_init=True, **more)

    async def test_model_is_found_and_answers_whole_and_streamed(self) -> None:
        chat = await self.run_client(self.chat)
        answer = await self.run_client(lambda: chat.invoke("hello"))
        self.assertEqual((answer.content, answer.usage_metadata["output_tokens"]), (ANSWER, 5))
        chunks = await self.run_client(lambda: list(chat.stream("hello")))
        self.assertEqual("".join(chunk.content for chunk in chunks), ANSWER)
        self.assertGreater(len(chunks), 2)

    async def test_async_calls_do_the_same(self) -> None:
        chat = await self.run_client(self.chat)

        async def work() -> str:
            return "".join([str(chunk.content) async for chunk in chat.astream("hello")])

        self.assertEqual(await self.run_client(lambda: asyncio.run(work())), ANSWER)

    async def test_bare_prompts_are_answered(self) -> None:
        llm = OllamaLLM(model="main", base_url=self.url)
        self.assertEqual(await self.run_client(lambda: llm.invoke("hello")), ANSWER)

    async def test_failures_come_as_the_librarys_own(self) -> None:
        chat = await self.run_client(self.chat)
        with self.assertRaises(ollama.ResponseError) as refused:
            await self.run_client(lambda: chat.invoke("refuse"))
        self.assertIn("slow down", str(refused.exception))
        self.assertIn("the model broke off", (await self.run_client(lambda: chat.invoke("break"))).content)

    async def test_client_that_leaves_stops_the_model(self) -> None:
        chat = await self.run_client(self.chat, client_kwargs={"timeout": 0.5})
        with self.assertRaises(httpx.ReadTimeout):
            await self.run_client(lambda: list(chat.stream("linger")))
        await self.model.cancelled.addTimeout(5, reactor)


class LangChainOpenAITests(LiveCase):
    def chat(self, **more: Any) -> ChatOpenAI:
        kept: dict[str, Any] = {"base_url": f"{self.url}/v1", "api_key": "any", "max_retries": 0, **more}
        return ChatOpenAI(model="main", **kept)

    async def test_answers_come_whole_and_streamed(self) -> None:
        chat = self.chat(stream_usage=True)
        answer = await self.run_client(lambda: chat.invoke("hello"))
        self.assertEqual((answer.content, answer.usage_metadata["total_tokens"]), (ANSWER, 8))
        chunks = await self.run_client(lambda: list(chat.stream("hello")))
        self.assertEqual("".join(chunk.content for chunk in chunks), ANSWER)
        self.assertEqual(
            sum(chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata), 8
        )

    async def test_failures_come_as_the_librarys_own(self) -> None:
        chat = self.chat()
        for text, kind, words in (
            ("refuse", openai.RateLimitError, "slow down"),
            ("break", openai.APIError, "the model broke off"),
        ):
            with self.assertRaises(kind) as failed:
                await self.run_client(lambda text=text: list(chat.stream(text)))
            self.assertIn(words, str(failed.exception))

    async def test_client_that_leaves_stops_the_model(self) -> None:
        chat = self.chat(timeout=0.5)
        with self.assertRaises((openai.APITimeoutError, httpx.ReadTimeout)):
            await self.run_client(lambda: list(chat.stream("linger")))
        await self.model.cancelled.addTimeout(5, reactor)
