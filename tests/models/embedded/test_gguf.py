from pathlib import Path
from struct import pack

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.models.embedded.gguf import Weights, read_weights


def text(value: str) -> bytes:
    return pack("<Q", len(value)) + value.encode()


def fact(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + pack("<I", kind) + value


FACTS = [
    fact("general.architecture", 8, text("llama")),
    fact("general.languages", 9, pack("<IQ", 8, 2) + text("en") + text("de")),
    fact("general.size_label", 8, text("135M")),
    fact("llama.context_length", 4, pack("<I", 8192)),
    fact("llama.embedding_length", 4, pack("<I", 576)),
    fact("general.file_type", 4, pack("<I", 15)),
    fact("tokenizer.ggml.tokens", 9, b"megabytes of words"),
]


class ReadWeightsTests(SynchronousTestCase):
    def written(self, content: bytes) -> Path:
        path = Path(self.mktemp())
        path.write_bytes(content)
        return path

    def test_head_names_family_size_and_quantization(self) -> None:
        path = self.written(b"GGUF" + pack("<IQQ", 3, 0, len(FACTS)) + b"".join(FACTS))
        self.assertEqual(read_weights(path), Weights("llama", "135M", "Q4_K_M", 8192, embedding_length=576))

    def test_weights_made_for_embeddings_say_so(self) -> None:
        for kind, pools in ((0, False), (1, True)):
            facts = [FACTS[0], fact("llama.pooling_type", 4, pack("<I", kind))]
            path = self.written(b"GGUF" + pack("<IQQ", 3, 0, len(facts)) + b"".join(facts))
            self.assertEqual(read_weights(path).pools, pools)

    def test_chat_template_behind_the_vocabulary_tells_of_tools(self) -> None:
        words = pack("<IQ", 8, 2) + text("to") + text("ols")
        for template, knows in (("{{ messages }}", False), ("{% for tool in tools %}", True)):
            facts = [
                FACTS[0],
                fact("tokenizer.ggml.tokens", 9, words),
                fact("tokenizer.chat_template", 8, text(template)),
            ]
            path = self.written(b"GGUF" + pack("<IQQ", 3, 0, len(facts)) + b"".join(facts))
            self.assertEqual(read_weights(path).knows_tools, knows)

    def test_file_that_says_little_is_no_error(self) -> None:
        self.assertEqual(read_weights(self.written(b"GGUF" + pack("<IQQ", 3, 0, 0))), Weights())

    def test_other_files_and_damaged_ones_are_refused(self) -> None:
        whole = b"GGUF" + pack("<IQQ", 3, 0, 2) + FACTS[0]
        for content in (
            b"",
            b"PK\3\4",
            whole,
            whole[:20],
            whole + text("x") + pack("<I", 77),
            whole + b"\xff" * 8,
        ):
            self.assertRaises(ValueError, read_weights, self.written(content))
