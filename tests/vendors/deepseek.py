"""DeepSeek, which thinks unless told otherwise. https://api-docs.deepseek.com/guides/thinking_mode"""

from collections.abc import Sequence

from .vendor import Body, Said, Vendor, calls_of, is_object, is_paired, sse


class DeepSeek(Vendor):
    """Wants its thoughts back with every call, and knows `json_object` only."""

    name = "deepseek"
    model_id = "deepseek-chat"

    def new_id(self, turn: int, at: int = 0) -> str:
        return f"call_{at:02}_{turn:024}"

    def check(self, body: Body) -> None:
        for message in body["messages"]:
            if message.get("tool_calls") and not message.get("reasoning_content"):
                self.refuse("The `reasoning_content` in the thinking mode must be passed back to the API.")
            for call in message.get("tool_calls") or ():
                mine = call["id"].startswith("call_0") and call["id"][7:8] == "_"
                if mine and message["reasoning_content"] != f"I think of {call['id'][8:]}":
                    self.refuse("These are no thoughts of mine.")
        if not is_paired(body["messages"]):
            self.refuse(
                "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
            )
        if not all(is_object(call["function"]["arguments"]) for call in calls_of(body)):
            self.refuse("Invalid arguments")
        if body.get("response_format", {}).get("type") == "json_schema":
            self.refuse("This response_format type is unavailable now")

    def call(self, calls: Sequence[Said], finish: str) -> bytes:
        thought = f"I think of {calls[0][0][8:]}"
        return sse(
            {"reasoning_content": thought[:5]},
            {"reasoning_content": thought[5:]},
            {"tool_calls": self.pieces(calls)},
            finish=finish,
        )
