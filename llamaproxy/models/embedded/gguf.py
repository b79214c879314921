"""Reads what a weights file says about itself, for lists and cards; llama.cpp reads the rest.

Source of the format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from mmap import ACCESS_READ, mmap
from pathlib import Path
from struct import calcsize, unpack
from typing import Any, BinaryIO

from msgspec import Struct

_STRING, _ARRAY = 8, 9
_TEMPLATE = b"tokenizer.chat_template"
# Bytes before the tensors, of which the vocabulary is nearly all.
MAX_HEAD = 64 * 1024 * 1024
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

# enum llama_ftype in llama.cpp's include/llama.h; the kinds that are no longer made are left out.
_QUANTIZATION = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
}  # fmt: skip


class Weights(Struct, frozen=True):
    """What a file holds; 0 where it does not say.

    `context_length` is the number of tokens it was trained for, `embedding_length` the width of its layers.
    `knows_tools` says that its chat template has a place for tools.
    `pools` says that it was made for embeddings, and knows how to make one vector of many tokens'.
    """

    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    context_length: int = 0
    pools: bool = False
    embedding_length: int = 0
    knows_tools: bool = False


def read_weights(path: Path) -> Weights:
    """Reads the head of the file at `path`. Raises `OSError`, or `ValueError` if it is not a GGUF file."""
    with path.open("rb") as file:
        facts = _facts(file)
        template = _template(file)
    family = facts.get("general.architecture", "")
    return Weights(
        family=family,
        parameter_size=facts.get("general.size_label", ""),
        quantization=_QUANTIZATION.get(facts.get("general.file_type", -1), ""),
        context_length=facts.get(f"{family}.context_length", 0),
        pools=facts.get(f"{family}.pooling_type", 0) > 0,
        embedding_length=facts.get(f"{family}.embedding_length", 0),
        knows_tools=b"tools" in template,
    )


def _facts(file: BinaryIO) -> dict[str, Any]:
    if file.read(4) != b"GGUF":
        raise ValueError("it is not a GGUF file")
    _version, _tensors, count = _unpack(file, "IQQ")
    facts: dict[str, Any] = {}
    for _ in range(count):
        name = _string(file)
        if name.startswith("tokenizer."):
            break  # the vocabulary: megabytes, and the general facts come before it
        facts[name] = _value(file, _unpack(file, "I")[0])
    return facts


def _template(file: BinaryIO) -> bytes:
    """The chat template, which stands behind the vocabulary: searched for, as to read all of that takes long."""
    with mmap(file.fileno(), 0, access=ACCESS_READ) as head:
        at = head.find(_TEMPLATE, 0, MAX_HEAD)
        if at < 0:
            return b""
        file.seek(at + len(_TEMPLATE))
        kind, size = _unpack(file, "IQ")
        return file.read(size) if kind == _STRING and size <= 1 << 20 else b""


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        inner, count = _unpack(file, "IQ")
        return [_value(file, inner) for _ in range(count)]
    if kind not in _SCALARS:
        raise ValueError(f"it has a value of unknown kind {kind}")
    return _unpack(file, _SCALARS[kind])[0]


def _string(file: BinaryIO) -> str:
    (size,) = _unpack(file, "Q")
    if size > 1 << 20:
        raise ValueError("its head is damaged")
    return file.read(size).decode("utf-8", "replace")


def _unpack(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    layout = "<" + layout
    data = file.read(calcsize(layout))
    if len(data) < calcsize(layout):
        raise ValueError("it is cut off")
    return unpack(layout, data)
