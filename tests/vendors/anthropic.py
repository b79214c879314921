"""Anthropic. https://platform.claude.com/docs/en/api/messages"""

import re
from collections.abc import Sequence
from typing import Any

from msgspec import json

from .vendor import NAME, Body, Refused, Said, Vendor

_ID = re.compile(r"[a-zA-Z0-9_-]+")


class Anthropic(Vendor):
    """Turns alternate, results come first and belong to the turn before, ids are unique, thoughts are signed."""

    name = "anthropic"
    kind = "ANTHROPIC"
    model_id = "claude"

    def new_id(self, turn: int, at: int = 0) -> str:
        return f"toolu_{turn:012}{at:012}"

    def check(self, body: Body) -> None:
        turns = body["messages"]
        if [turn["role"] for turn in turns] != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
            self._refuse('messages: roles must alternate between "user" and "assistant"')
        self._check_ids(turns)
        for at, turn in enumerate(turns):
            self._check_blocks(at, turn["content"])
        self._check_thinking(body)
        self._check_tools(body)

    def _check_ids(self, turns: Sequence[Body]) -> None:
        seen: set[str] = set()
        waiting: list[str] = []
        for at, turn in enumerate(turns):
            results = [block["tool_use_id"] for block in turn["content"] if block["type"] == "tool_result"]
            kinds = [block["type"] for block in turn["content"]]
            if sorted(results) != sorted(waiting) or kinds[: len(results)] != ["tool_result"] * len(results):
                self._refuse(
                    f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after"
                )
            waiting = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
            if seen & set(waiting) or len(set(waiting)) < len(waiting):
                self._refuse(f"messages.{at}.content.1: `tool_use` ids must be unique")
            seen.update(waiting)

    def _check_blocks(self, at: int, blocks: Sequence[Body]) -> None:
        for block in blocks:
            if block["type"] == "text" and not block["text"].strip():
                self._refuse("messages: text content blocks must contain non-whitespace text")
            if block["type"] == "tool_use":
                if not (_ID.fullmatch(block["id"]) and NAME.fullmatch(block["name"])):
                    self._refuse(
                        f"messages.{at}.content.1.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
                    )
                if not isinstance(block["input"], dict):
                    self._refuse(
                        f"messages.{at}.content.1.tool_use.input: Input should be a valid dictionary"
                    )

    def _check_thinking(self, body: Body) -> None:
        thinking = body.get("thinking", {"type": "disabled"})
        if thinking["type"] == "adaptive":
            self._refuse("adaptive thinking is not supported on this model")
        budget = thinking.get("budget_tokens", 1024)
        if not 1024 <= budget < max(1025, body["max_tokens"]):
            self._refuse("`max_tokens` must be greater than `thinking.budget_tokens`.")
        for turn in body["messages"]:
            for block in turn["content"]:
                if block["type"] == "thinking" and block["signature"] != f"signed {block['thinking']}":
                    self._refuse("messages.1.content.0: Invalid `signature` in `thinking` block")
        last = body["messages"][-1]["content"]
        if thinking["type"] == "enabled" and last[0]["type"] == "tool_result":
            called = body["messages"][-2]["content"]
            if called[0]["type"] != "thinking":
                self._refuse("messages.1.content.0.type: Expected `thinking`, but found `tool_use`.")

    def _check_tools(self, body: Body) -> None:
        called = any(block["type"] == "tool_use" for turn in body["messages"] for block in turn["content"])
        if called and not body.get("tools"):
            self._refuse("Requests which include `tool_use` or `tool_result` blocks must define tools.")
        for at, tool in enumerate(body.get("tools", ())):
            schema = tool["input_schema"]
            if schema.get("type") != "object":
                self._refuse(f"tools.{at}.custom.input_schema.type: Field required")
            if {"anyOf", "oneOf", "allOf"} & set(schema):
                words = "input_schema does not support oneOf, allOf, or anyOf at the top level"
                self._refuse(f"tools.{at}.custom.input_schema: {words}")

    def _refuse(self, message: str) -> None:
        error = {"type": "invalid_request_error", "message": message}
        raise Refused(400, {"type": "error", "error": error})

    def answer(self, body: Body) -> bytes:
        """See `Vendor`: here results are the user's."""
        turns: list[Any] = []
        for turn in body["messages"]:
            is_result = turn["content"][0]["type"] == "tool_result"
            turns.append({"role": "tool" if is_result else turn["role"]})
        return super().answer({**body, "messages": turns})

    def speak(self, text: str) -> bytes:
        return _events(_start(0, "text", text=""), _delta(0, "text_delta", text=text), _end("end_turn"))

    def call(self, calls: Sequence[Said], finish: str) -> bytes:
        thought = f"about {calls[0][0]}"
        events = [
            _start(0, "thinking", thinking="", signature=""),
            _delta(0, "thinking_delta", thinking=thought),
            _delta(0, "signature_delta", signature=f"signed {thought}"),
        ]
        for at, (call_id, name, text) in enumerate(calls, 1):
            events.append(_start(at, "tool_use", id=call_id, name=name, input={}))
            events.append(_delta(at, "input_json_delta", partial_json=text))
        return _events(*events, _end("max_tokens" if finish == "length" else "tool_use"))


def _start(index: int, kind: str, **fields: Any) -> Body:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def _delta(index: int, kind: str, **fields: Any) -> Body:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def _end(reason: str) -> Body:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 1}}


def _events(*events: Body) -> bytes:
    all_of_them = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 1}}},
        *events,
        {"type": "message_stop"},
    ]
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.encode(event)) for event in all_of_them
    )
