"""Mistral. https://docs.mistral.ai/api"""

import re

from .vendor import Body, Refused, Vendor, calls_of, is_object, is_paired

_FIELDS = {
    "model",
    "messages",
    "stream",
    "tools",
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "response_format",
}
_ID = re.compile(r"[a-zA-Z0-9]{9}")
_OF_MESSAGES = {"role", "content", "tool_calls", "tool_call_id", "name"}


class Mistral(Vendor):
    """Ids have nine letters or digits, and no field is known that is not documented."""

    name = "mistral"
    model_id = "mistral-large-latest"

    def new_id(self, turn: int, at: int = 0) -> str:
        return f"Mi{turn:05}x{at}"

    def check(self, body: Body) -> None:
        for name in set(body) - _FIELDS:
            self._forbid(name, value=body[name])
        for at, message in enumerate(body["messages"]):
            for name in set(message) - _OF_MESSAGES:
                self._forbid("messages", at, message["role"], name, value=message[name])
            if message["role"] == "user" and at and body["messages"][at - 1]["role"] == "tool":
                raise Refused(400, {"object": "error", "message": "Unexpected role 'user' after role 'tool'"})
        for call in calls_of(body):
            if not _ID.fullmatch(call["id"]):
                words = f"Tool call id was {call['id']} but must be a-z, A-Z, 0-9, with a length of 9."
                raise Refused(
                    400, {"object": "error", "message": words, "type": "invalid_request_message_order"}
                )
            if not is_object(call["function"]["arguments"]):
                raise Refused(400, {"object": "error", "message": "Invalid tool call arguments"})
        if not is_paired(body["messages"]):
            raise Refused(
                400, {"object": "error", "message": "Not the same number of function calls and responses"}
            )

    def _forbid(self, *where: object, value: object) -> None:
        error = {"type": "extra_forbidden", "loc": ["body", *where], "msg": "Extra inputs are not permitted"}
        raise Refused(422, {"detail": [{**error, "input": value}]})
