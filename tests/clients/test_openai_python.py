"""The official openai library against a real server."""

from collections.abc import Callable
from typing import Any

import openai

from .live import ANSWER, LiveCase, reactor

HELLO = [{"role": "user", "content": "hello"}]
HOLD = [{"role": "user", "content": "hold"}]


class OpenAIPythonTests(LiveCase):
    def setUp(self) -> None:
        super().setUp()
        # Untyped, as its methods' many overloads would ask for more typing than testing.
        self.client: Any = openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)
        self.addCleanup(self.client.close)

    async def streamed(self, create: Any, **asked: Any) -> list[Any]:
        """All that comes of a stream."""
        return list(await self.run_client(lambda: list(create(model="m", stream=True, **asked))))

    async def test_chat_whole_and_streamed(self) -> None:
        create = self.client.chat.completions.create
        answer = await self.run_client(create, model="m", messages=HELLO, n=2, stop=["x"], max_tokens=9)
        self.assertEqual([choice.message.content for choice in answer.choices], [ANSWER])
        self.assertEqual((answer.choices[0].message.reasoning_content, answer.usage.total_tokens), ("hm", 8))
        self.assertEqual(self.model.requests[-1].options.max_tokens, 9)
        *chunks, usage = await self.streamed(create, messages=HELLO, stream_options={"include_usage": True})
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks), ANSWER)
        self.assertEqual(usage.usage.total_tokens, 8)

    async def test_completions_whole_and_streamed(self) -> None:
        create = self.client.completions.create
        answer = await self.run_client(create, model="m", prompt="hello")
        self.assertEqual(answer.choices[0].text, ANSWER)
        chunks = await self.streamed(create, prompt="hello")
        self.assertEqual("".join(chunk.choices[0].text for chunk in chunks), ANSWER)

    async def test_embeddings_in_the_librarys_own_base64_and_as_floats(self) -> None:
        create = self.client.embeddings.create
        for more in ({}, {"encoding_format": "float"}):
            answer = await self.run_client(create, model="m", input=["four", "a"], **more)
            self.assertEqual([each.embedding for each in answer.data], [[4.0, 0.25], [1.0, 1.0]])

    async def test_responses_whole_and_streamed(self) -> None:
        answer = await self.run_client(self.client.responses.create, model="m", input="hello")
        self.assertEqual((answer.output_text, answer.status), (ANSWER, "completed"))

        def streamed() -> tuple[list[str], Any]:
            earlier = {"previous_response_id": answer.id}
            with self.client.responses.stream(model="m", input="hello", extra_body=earlier) as stream:
                return [event.type for event in stream], stream.get_final_response()

        kinds, last = await self.run_client(streamed)
        self.assertEqual((kinds[0], kinds[-1]), ("response.created", "response.completed"))
        self.assertEqual(last.output_text, ANSWER)

    async def test_failure_before_the_first_word_is_the_errors_own_class(self) -> None:
        client = self.client
        for create, asked in (
            (client.chat.completions.create, {"messages": [{"role": "user", "content": "refuse"}]}),
            (client.completions.create, {"prompt": "refuse"}),
            (client.responses.create, {"input": "refuse", "stream": True}),
        ):
            with self.assertRaises(openai.RateLimitError) as refused:
                await self.run_client(create, model="m", **asked)
            self.assertIn("slow down", refused.exception.message)
        with self.assertRaises(openai.NotFoundError) as missing:
            await self.run_client(client.responses.retrieve, response_id="resp_1")
        self.assertIn("not kept here", missing.exception.message)

    async def test_failure_in_the_middle_is_raised_with_its_words(self) -> None:
        messages = [{"role": "user", "content": "break"}]
        with self.assertRaises(openai.APIError) as broken:
            await self.streamed(self.client.chat.completions.create, messages=messages)
        self.assertIn("the model broke off", broken.exception.message)
        events = await self.streamed(self.client.responses.create, input="break")
        self.assertEqual(events[-1].type, "response.failed")
        self.assertEqual(events[-1].response.error.message, "the model broke off")

    async def test_client_that_leaves_stops_the_model(self) -> None:
        def work() -> None:
            asked = {"model": "m", "messages": [{"role": "user", "content": "linger"}]}
            with self.client.chat.completions.create(**asked, stream=True) as stream:
                next(chunk for chunk in stream if chunk.choices[0].delta.content)

        await self.run_client(work)
        await self.model.cancelled.addTimeout(5, reactor)

    async def retried(self, work: Callable[[Any], Any]) -> Any:
        """What comes of a call whose first try runs into a timeout, and whose turn runs once all the same."""
        answer = await self.run_client(work, api=self.client.with_options(timeout=0.5, max_retries=5))
        self.assertEqual(len(self.model.requests), 1)
        return answer

    async def test_retry_of_a_chat_hears_the_turn_of_its_first_try(self) -> None:
        answer = await self.retried(lambda api: api.chat.completions.create(model="m", messages=HOLD))
        self.assertEqual(answer.choices[0].message.content, ANSWER)

    async def test_retry_of_a_streamed_chat_hears_the_turn_of_its_first_try(self) -> None:
        chunks = await self.retried(
            lambda api: list(api.chat.completions.create(model="m", messages=HOLD, stream=True))
        )
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks), ANSWER)

    async def test_retry_of_a_prompt_hears_the_turn_of_its_first_try(self) -> None:
        answer = await self.retried(lambda api: api.responses.create(model="m", input="hold"))
        self.assertEqual(answer.output_text, ANSWER)
