"""The official anthropic library against a real server."""

from typing import Any

import anthropic

from .live import ANSWER, LiveCase, reactor


def ask(text: str = "hello") -> dict[str, Any]:
    return {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": text}]}


class AnthropicPythonTests(LiveCase):
    def setUp(self) -> None:
        super().setUp()
        # Untyped, as its methods' many overloads would ask for more typing than testing.
        self.client: Any = anthropic.Anthropic(base_url=self.url, api_key="none", max_retries=0)
        self.addCleanup(self.client.close)

    async def test_message_whole(self) -> None:
        answer = await self.run_client(self.client.messages.create, **ask())
        self.assertEqual([block.type for block in answer.content], ["thinking", "text"])
        self.assertEqual((answer.content[1].text, answer.stop_reason), (ANSWER, "end_turn"))
        self.assertEqual((answer.usage.input_tokens, answer.usage.output_tokens), (3, 5))

    async def test_message_streamed(self) -> None:
        def work() -> tuple[str, Any]:
            with self.client.messages.stream(**ask()) as stream:
                return "".join(stream.text_stream), stream.get_final_message()

        text, message = await self.run_client(work)
        self.assertEqual(text, ANSWER)
        self.assertEqual([block.type for block in message.content], ["thinking", "text"])
        self.assertEqual((message.content[0].thinking, message.usage.output_tokens), ("hm", 5))

    async def test_tokens_are_counted_and_models_listed(self) -> None:
        count = self.client.messages.count_tokens
        counted = await self.run_client(count, model="m", messages=ask()["messages"])
        self.assertGreater(counted.input_tokens, 0)
        listed = await self.run_client(lambda: list(self.client.models.list()))
        self.assertEqual([model.id for model in listed], ["main"])

    async def test_failures_are_the_errors_own_classes(self) -> None:
        table: list[tuple[dict[str, Any], type[anthropic.APIStatusError], str]] = [
            (ask("refuse"), anthropic.RateLimitError, "slow down"),
            (ask(""), anthropic.BadRequestError, "empty"),
            ({**ask(), "max_tokens": 0}, anthropic.BadRequestError, "max_tokens"),
        ]
        for asked, kind, words in table:
            with self.assertRaises(kind) as refused:
                await self.run_client(self.client.messages.create, **asked)
            self.assertIn(words, refused.exception.message)

    async def test_failure_in_the_middle_is_raised_with_its_words(self) -> None:
        with self.assertRaises(anthropic.APIStatusError) as broken:
            await self.run_client(lambda: list(self.client.messages.create(**ask("break"), stream=True)))
        self.assertIn("the model broke off", str(broken.exception))

    async def test_client_that_leaves_stops_the_model(self) -> None:
        def work() -> None:
            with self.client.messages.stream(**ask("linger")) as stream:
                next(iter(stream.text_stream))

        await self.run_client(work)
        await self.model.cancelled.addTimeout(5, reactor)

    async def test_retry_after_a_timeout_hears_the_turn_of_its_first_try(self) -> None:
        patient = self.client.with_options(timeout=0.5, max_retries=5)
        answer = await self.run_client(patient.messages.create, **ask("hold"))
        self.assertEqual((answer.content[-1].text, len(self.model.requests)), (ANSWER, 1))
