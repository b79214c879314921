"""Files as earlier releases documented them: each key still means what it meant."""

import json
from typing import Any

from llamaproxy.config import PLUGIN, load_configuration, load_gates, load_registry, load_settings
from tests.config.test_load import LoadCase

# Every key that the first release's page had for the server.
DOOR: dict[str, Any] = {
    "enabled": True,
    "llama_port": 8080,
    "llama_host": "127.0.0.1",
    "allow_from": ["192.168.1.0/24"],
    "api_keys": {"phone": "secret"},
    "trusted_proxies": ["192.168.1.9/32"],
    "llama_origins": ["https://chat.example.org"],
    "llama_hosts": ["agent.example.org", "*.example.org"],
    "max_body_bytes": 1000000,
    "request_timeout": 30,
    "stall_timeout": 100,
    "heartbeat": 0,
    "shutdown_grace": 5,
    "queue_limit": 2,
    "commands": "safe",
    "key_commands": {"phone": "all"},
    "housekeeping": "off",
    "follow_edits": False,
    "session_by": ["user_header"],
    "chat_headers": ["X-Chat"],
    "user_headers": ["X-User"],
}
LIMITS: dict[str, Any] = {
    "max_users": 0,
    "session_idle_timeout_minutes": 0,
    "history_max_ctx": 20,
    "tool_preview_length": 0,
    "tool_suppress": True,
    "gate_mode": "ask",
}
MODEL: dict[str, Any] = {
    "type": "OPENAI",
    "model_id": "gpt-x",
    "host": "http://127.0.0.1:9/v1",
    "env_key": "OPENAI_KEY",
    "enabled": True,
    "description": "the large one",
    "max_context": 40,
    "context_length": 8192,
    "vision": True,
    "embedding": False,
    "tool_call_available": False,
    "llm_tools": ["search"],
    "llm_call_available": True,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 20,
    "max_tokens": 500,
    "llm_call_timeout": 60,
    "connect_timeout": 5,
    "first_token_timeout": 20,
    "idle_timeout": 10,
    "plain_http": True,
    "extra": {"seed": 1},
}
GATES: dict[str, Any] = {
    "db": {"*": {"read": True}, "secrets": {"read": False}, "__meta__": {"read": True}},
    "tools": {"search": {"read": True}, "files": {"read": True, "write": False}},
}


def plain(value: Any) -> Any:
    """Tuples as the file has them."""
    return list(value) if isinstance(value, tuple) else value


class FirstReleaseTests(LoadCase):
    def setUp(self) -> None:
        super().setUp()
        rates = {"search": {"calls": 5, "window_seconds": 10, "auto_disable": True}}
        plugins = {
            "enabled_plugins": [PLUGIN, "plugin_files"],
            "plugin_config": {PLUGIN: {**DOOR, "new_chat": "reset"}, "plugin_files": {"folder": "files"}},
            "rate_limits": rates,
            **LIMITS,
        }
        models = {
            "default_model": "big",
            "models": {
                "big": MODEL,
                "small": {"type": "LOCAL", "model_id": "smollm2", "parallel": 1, "threads": 2},
            },
            "limits": {"max_tool_iterations": 3, "max_at_llm_depth": 2, "max_agent_call_depth": 2},
        }
        for file, content in (
            (self.home.plugins_file, plugins),
            (self.home.models_file, models),
            (self.home.gate_defaults_file, GATES),
        ):
            file.write_text(json.dumps(content))

    def test_server_and_limits_are_as_the_file_says(self) -> None:
        settings = load_settings(self.home)
        for key, value in DOOR.items():
            self.assertEqual(plain(getattr(settings.front_door, key)), value, key)
        for key, value in LIMITS.items():
            self.assertEqual(getattr(settings, key), value, key)
        self.assertEqual(settings.front_door.new_chat, "reset")
        self.assertEqual(settings.front_door.callers, {})
        self.assertTrue(settings.rate_limits["search"].auto_disable)

    def test_models_are_as_the_file_says(self) -> None:
        registry = load_registry(self.home)
        self.assertEqual(
            (registry.default_model, list(registry.models), registry.broken), ("big", ["big", "small"], {})
        )
        for key, value in MODEL.items():
            self.assertEqual(plain(getattr(registry.models["big"], key)), value, key)

    def test_gates_are_as_the_file_says(self) -> None:
        gates = load_gates(self.home)
        self.assertEqual((gates.db, gates.tools), (GATES["db"], GATES["tools"]))

    def test_all_of_it_makes_one_configuration(self) -> None:
        self.assertEqual(load_configuration(self.home).registry.default_model, "big")
