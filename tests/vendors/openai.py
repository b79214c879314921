"""OpenAI's reasoning models. https://platform.openai.com/docs/api-reference/chat/create"""

from .vendor import NAME, Body, Vendor, calls_of, functions_of, incomplete, is_paired

_EFFORTS = ("none", "low", "medium", "high", "xhigh")
_FIELDS = {"role", "content", "tool_calls", "tool_call_id", "name"}


class OpenAI(Vendor):
    """`max_tokens` has another name, nothing is sampled, names and ids have rules, schemas are complete."""

    name = "openai"
    model_id = "gpt-5.1"

    def new_id(self, turn: int, at: int = 0) -> str:
        return f"call_{turn:012}{at:012}"

    def check(self, body: Body) -> None:
        if "max_tokens" in body:
            self.refuse(
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead.",
                param="max_tokens",
                code="unsupported_parameter",
            )
        for name in ("temperature", "top_p", "stop"):
            if name in body:
                self.refuse(
                    f"Unsupported parameter: '{name}' is not supported with this model.",
                    param=name,
                    code="unsupported_parameter",
                )
        if (effort := body.get("reasoning_effort")) not in (None, *_EFFORTS):
            self.refuse(
                f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model. "
                "Supported values are: 'none', 'low', 'medium', and 'high'.",
                param="reasoning_effort",
                code="unsupported_value",
            )
        self._check_messages(body)
        self._check_tools(body)

    def _check_messages(self, body: Body) -> None:
        for at, message in enumerate(body["messages"]):
            if unknown := set(message) - _FIELDS:
                self.refuse(f"Unknown parameter: 'messages[{at}].{unknown.pop()}'.", code="unknown_parameter")
            if message["content"] is None and not message.get("tool_calls"):
                self.refuse("Invalid value for 'content': expected a string, got null.")
        if not is_paired(body["messages"]):
            self.refuse("An assistant message with 'tool_calls' must be followed by tool messages.")
        for call in calls_of(body):
            if len(call["id"]) > 40 or not call["id"]:
                self.refuse("Invalid 'messages[2].tool_calls[0].id': string too long. Maximum length is 40.")
            if not NAME.fullmatch(call["function"]["name"]):
                self.refuse("Invalid 'messages[2].tool_calls[0].function.name': does not match pattern.")
        form = body.get("response_format", {}).get("type")
        if form == "json_object" and "json" not in str(body["messages"]).lower():
            self.refuse("'messages' must contain the word 'json' in some form, to use 'response_format'.")

    def _check_tools(self, body: Body) -> None:
        functions = functions_of(body)
        if len(functions) > 128:
            self.refuse(
                "Invalid 'tools': array too long. Expected an array with maximum length 128, but got an array "
                f"with length {len(functions)} instead.",
                param="tools",
                code="array_above_max_length",
            )
        for at, function in enumerate(functions):
            if len(function["description"]) > 1024:
                self.refuse(f"Invalid 'tools[{at}].function.description': string too long.")
            if problem := incomplete(function["parameters"]):
                self.refuse(f"Invalid schema for function '{function['name']}': In context=(), {problem}.")
            if combined := {"anyOf", "oneOf", "allOf", "enum", "not"} & set(function["parameters"]):
                self.refuse(
                    f"Invalid schema for function '{function['name']}': schema must have type 'object' and not "
                    f"have '{combined.pop()}' at the top level."
                )
