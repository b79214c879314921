"""Gemini behind its door for OpenAI's clients. https://ai.google.dev/gemini-api/docs/thought-signatures"""

import re
from collections.abc import Sequence
from typing import Any

from .vendor import Body, Refused, Said, Vendor, functions_of, is_object, is_paired, sse

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}")
_FIELDS = {"model", "messages", "stream", "stream_options", "tools", "temperature", "top_p", "max_tokens", "stop",
           "response_format", "reasoning_effort", "max_completion_tokens"}  # fmt: skip
_SKIPPED = "skip_thought_signature_validator"


class Gemini(Vendor):
    """Signs the first call of each answer and refuses one without its signature; forgets ids."""

    name = "gemini"
    model_id = "gemini-3-pro-preview"
    made_up = "1clock"

    def new_id(self, turn: int, at: int = 0) -> str:
        return ""

    def check(self, body: Body) -> None:
        for name in set(body) - _FIELDS:
            self._refuse(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
        for message in body["messages"]:
            calls = message.get("tool_calls") or ()
            if not is_paired(body["messages"]):
                self._refuse("Please ensure that function response turn comes after a function call turn.")
            for call in calls:
                if not _NAME.fullmatch(call["function"]["name"]):
                    self._refuse("Invalid function name. Must start with a letter or an underscore.")
                if not is_object(call["function"]["arguments"]):
                    self._refuse("Invalid value at 'function_call.args'")
            if calls:
                self._check_signature(calls[0])
        for at, function in enumerate(functions_of(body)):
            for name in function["parameters"].get("required", ()):
                if name not in function["parameters"]["properties"]:
                    where = f"tools[0].function_declarations[{at}].parameters.required[0]"
                    self._refuse(f"* GenerateContentRequest.{where}: property is not defined")

    def _check_signature(self, call: Body) -> None:
        signature = call.get("extra_content", {}).get("google", {}).get("thought_signature")
        arguments = call["function"]["arguments"]
        if not signature:
            self._refuse("Function call is missing a thought_signature in functionCall parts.")
        if signature not in (_SKIPPED, f"signed {len(arguments)}", "signed 12"):
            self._refuse("Corrupted thought signature.")

    def _refuse(self, message: str) -> None:
        raise Refused(400, [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}])

    def call(self, calls: Sequence[Said], finish: str) -> bytes:
        pieces: list[Any] = self.pieces(calls)
        pieces[0]["extra_content"] = {"google": {"thought_signature": f"signed {len(calls[0][2])}"}}
        return sse({"tool_calls": pieces}, finish=finish)
