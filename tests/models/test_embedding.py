"""Embeddings over HTTP: what is asked in each format, and what becomes of good and of odd answers."""

from typing import Any

from msgspec import json
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from llamaproxy.seams.errors import ModelError, ModelTimeout, ModelUnavailable
from llamaproxy.seams.interfaces import IEmbedder
from llamaproxy.seams.types import Embeddings

from .fakes import KEY, Connection, Network


def openai_answer(*vectors: list[float], **more: Any) -> bytes:
    """An answer whose vectors come in the reverse order, each with its index."""
    data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
    return json.encode({"object": "list", "data": data[::-1], **more})


class EmbeddingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()

    def ask(
        self, *texts: str, dimensions: int | None = None, **fields: Any
    ) -> tuple[Deferred[Embeddings], Connection]:
        asked = self.network.embedder(**fields).embed(texts, dimensions)
        return asked, self.network.accept()

    def vectors(self, answer: Embeddings) -> list[list[float]]:
        return [vector.tolist() for vector in answer.vectors]


class FormatTests(EmbeddingCase):
    def test_openai_is_asked_for_all_texts_and_its_vectors_come_in_their_order(self) -> None:
        asked, connection = self.ask("a", "b", dimensions=2, env_key="MODEL_KEY")
        self.assertIn("POST /v1/embeddings HTTP/1.1", connection.head)
        self.assertIn(f"Authorization: Bearer {KEY}", connection.head)
        self.assertEqual(connection.body, {"model": "tiny", "input": ["a", "b"], "dimensions": 2})
        connection.answer(200, openai_answer([1.5, 2], [3, 4], usage={"prompt_tokens": 7}))
        answer = self.successResultOf(asked)
        self.assertEqual((self.vectors(answer), answer.prompt_tokens), ([[1.5, 2.0], [3.0, 4.0]], 7))

    def test_ollama_is_asked_at_its_own_endpoint(self) -> None:
        asked, connection = self.ask("a", kind="OLLAMA", extra={"truncate": False})
        self.assertIn("POST /api/embed HTTP/1.1", connection.head)
        self.assertEqual(connection.body, {"model": "tiny", "input": ["a"], "truncate": False})
        connection.answer(200, json.encode({"embeddings": [[1, 2]], "prompt_eval_count": 3}))
        answer = self.successResultOf(asked)
        self.assertEqual((self.vectors(answer), answer.prompt_tokens), ([[1.0, 2.0]], 3))

    def test_many_texts_are_asked_for_in_batches(self) -> None:
        asked, first = self.ask(*map(str, range(100)))
        self.assertEqual(len(first.body["input"]), 64)
        first.answer(200, openai_answer(*[[float(n)] for n in range(64)]))
        second = self.network.accept()
        self.assertEqual(second.body["input"], [str(n) for n in range(64, 100)])
        second.answer(200, openai_answer(*[[float(n)] for n in range(64, 100)]))
        self.assertEqual(self.vectors(self.successResultOf(asked)), [[float(n)] for n in range(100)])

    def test_an_embedder_says_in_its_card_what_it_is(self) -> None:
        for kind in ("OPENAI", "OLLAMA", "LOCAL"):
            embedder = self.network.embedder(kind)
            verifyObject(IEmbedder, embedder)
            self.assertTrue(embedder.info().embedding)


class FailureTests(EmbeddingCase):
    def test_answers_that_make_no_sense_are_model_errors(self) -> None:
        for body in (b"hello", b"{}", b'{"data":[{"embedding":["x"]}]}', openai_answer([1.0], [2.0])):
            asked, connection = self.ask("a")
            connection.answer(200, body)
            self.failureResultOf(asked, ModelError)

    def test_refusal_is_in_the_servers_words(self) -> None:
        asked, connection = self.ask("a")
        connection.answer(400, b'{"error":{"message":"too many tokens"}}')
        self.assertIn("too many tokens", str(self.failureResultOf(asked, ModelError).value))

    def test_answer_that_breaks_off_is_asked_for_once_more(self) -> None:
        asked, connection = self.ask("a")
        connection.answer(200, b'{"data":', more=100)
        connection.cut()
        self.network.next_attempt()
        again = self.network.accept()
        again.answer(200, b"", more=100)
        again.cut()
        self.assertIn("broke off", str(self.failureResultOf(asked, ModelUnavailable).value))

    def test_silent_server_is_a_timeout_and_hung_up_on(self) -> None:
        asked, connection = self.ask("a", first_token_timeout=5.0)
        connection.answer(200, b"{", more=100)
        self.network.clock.advance(5)
        self.failureResultOf(asked, ModelTimeout)
        self.assertTrue(connection.closed)

    def test_cancelling_hangs_up(self) -> None:
        for more in (None, 100):
            asked, connection = self.ask("a")
            if more:
                connection.answer(200, b"{", more=more)
            asked.cancel()
            self.failureResultOf(asked, CancelledError)
            self.assertTrue(connection.closed)
