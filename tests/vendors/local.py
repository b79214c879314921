"""Servers of models at home: LM Studio, llama.cpp, vLLM, Ollama."""

from collections.abc import Sequence
from typing import Any

from msgspec import json

from .vendor import Body, Refused, Said, Vendor, calls_of, is_object, is_paired


class LMStudio(Vendor):
    """Knows `json_schema` and `text` only, and takes texts for contents. https://lmstudio.ai/docs"""

    name = "lmstudio"
    model_id = "qwen3-8b"

    def new_id(self, turn: int, at: int = 0) -> str:
        return f"{turn:08}{at}"

    def check(self, body: Body) -> None:
        if body.get("response_format", {}).get("type") == "json_object":
            raise Refused(400, {"error": "'response_format.type' must be 'json_schema' or 'text'"})
        for at, message in enumerate(body["messages"]):
            if message["content"] is None:
                raise Refused(400, {"error": f"Invalid 'messages[{at}].content': must be a string, got null"})
        if not is_paired(body["messages"]):
            raise Refused(400, {"error": "Invalid 'messages': a tool result belongs to no call"})


class LlamaCpp(Vendor):
    """Reads arguments as JSON for its templates, some of which know no system message."""

    name = "llamacpp"
    model_id = "gemma-2"

    def new_id(self, turn: int, at: int = 0) -> str:
        return "call_0" if turn % 2 else f"{turn:031}{at}"

    def check(self, body: Body) -> None:
        if any(message["role"] == "system" for message in body["messages"]):
            self._refuse("Jinja Exception: System role not supported")
        for call in calls_of(body):
            if not is_object(call["function"]["arguments"]):
                self._refuse("Failed to parse tool call arguments as JSON: [json.exception.parse_error.101]")
        if not is_paired(body["messages"]):
            self._refuse("Jinja Exception: tool result without a call")

    def _refuse(self, message: str) -> None:
        raise Refused(500, {"error": {"code": 500, "message": message, "type": "server_error"}})


class Vllm(Vendor):
    """Reads arguments as JSON, has long ids or Kimi's, and no more room than it says."""

    name = "vllm"
    model_id = "moonshotai/Kimi-K2"
    context = 8192

    def new_id(self, turn: int, at: int = 0) -> str:
        return f"functions.clock:{at}" if turn % 2 else f"chatcmpl-tool-{turn:031}{at}"

    def check(self, body: Body) -> None:
        most = body.get("max_tokens", 1)
        if most > self.context - 100:
            self.refuse(
                f"'max_tokens' or 'max_completion_tokens' is too large: {most}. This model's maximum context length is "
                f"{self.context} tokens and your request has 100 input tokens ({most} > {self.context} - 100).",
                code=400,
            )
        for call in calls_of(body):
            if not is_object(call["function"]["arguments"]):
                self.refuse("Unterminated string starting at: line 1 column 10 (char 9)", code=400)
        if not is_paired(body["messages"]):
            self.refuse("tool result without a call", code=400)


class Ollama(Vendor):
    """Wants arguments as objects and the tool's name with a result. https://docs.ollama.com/api"""

    name = "ollama"
    kind = "OLLAMA"
    model_id = "qwen3"
    stream = "application/x-ndjson"
    made_up = ""

    def __init__(self) -> None:
        super().__init__()
        self.host = "http://ollama.test"

    def check(self, body: Body) -> None:
        think = body.get("think")
        if isinstance(think, str) and think not in ("low", "medium", "high"):
            raise Refused(
                400,
                {
                    "error": f'invalid think value: "{think}" (must be "high", "medium", "low", true, or false)'
                },
            )
        for message in body["messages"]:
            if not isinstance(message["content"], str):
                raise Refused(400, {"error": "invalid message content type: <nil>"})
            if message["role"] == "tool" and not message.get("tool_name"):
                raise Refused(500, {"error": "template: :12: tool_name"})
            for call in message.get("tool_calls", ()):
                if not isinstance(call["function"]["arguments"], dict):
                    words = "json: cannot unmarshal string into Go struct field .messages.tool_calls.function.arguments"
                    raise Refused(400, {"error": words})

    def speak(self, text: str) -> bytes:
        return _lines({"content": text[:4]}, {"content": text[4:]}, reason="stop")

    def call(self, calls: Sequence[Said], finish: str) -> bytes:
        made: list[Any] = []
        for _, name, text in calls:
            arguments = json.decode(text) if is_object(text) else {}
            made.append({"function": {"name": name, "arguments": arguments}})
        return _lines({"content": "", "thinking": "hm"}, {"content": "", "tool_calls": made}, reason="stop")


def _lines(*messages: Body, reason: str) -> bytes:
    lines: list[Body] = [{"message": {"role": "assistant", **message}, "done": False} for message in messages]
    lines.append({"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": reason})
    return b"".join(json.encode(line) + b"\n" for line in lines)
