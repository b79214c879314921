"""What subcommands about limits, gates and models write is what a server then goes by."""

from typing import Any

from msgspec import json
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.testing import MemoryReactorClock

from llamaproxy.agent.agent import Agent
from llamaproxy.agent.calls.gates import Gates
from llamaproxy.agent.sessions.rates import Meter
from llamaproxy.config import load_configuration
from llamaproxy.seams.gates import Kind, Side
from llamaproxy.seams.limits import Rate
from llamaproxy.server.assembly import Plan, assemble

from .helpers import AgentctlCase


class ServerCase(AgentctlCase):
    def setUp(self) -> None:
        super().setUp()
        entry = {"type": "OPENAI", "model_id": "x", "host": "http://127.0.0.1:1/v1"}
        models = {"one": entry, "two": entry, "vectors": {**entry, "embedding": True}}
        self.home.models_file.write_bytes(json.encode({"default_model": "one", "models": models}))

    def agent(self) -> Agent:
        """The agent of a server that starts now."""
        config = load_configuration(self.home)
        plan = Plan(config=config, home=str(self.home.path), default_model=config.registry.default_model)
        reactor: Any = MemoryReactorClock()
        return assemble(plan, TCP4ServerEndpoint(reactor, 1), reactor).agent

    def change(self, *words: str) -> Agent:
        """The agent after a subcommand that says what it needs."""
        output = self.met(*words)
        self.assertIn("✓", output)
        self.assertIn("restart", output)
        self.assertIn("nothing to do", self.met(*words))
        return self.agent()

    def refused_with_usage(self, *words: str) -> str:
        output = self.refused(*words)
        self.assertIn(f"usage: agentctl {words[0]}", output)
        return output


class RateTests(ServerCase):
    def test_set_limits_the_calls_of_a_category_and_leaves_what_follows(self) -> None:
        rates = self.change("ratelimit-set", "llm_call", "1", "9.5").parts.bench.limits.rates
        self.assertEqual(rates["llm_call"], Rate(1, 9.5, auto_disable=True))
        meter = Meter(lambda: 0.0)
        self.assertIsNone(meter.refusal("llm_call", rates))
        self.assertIn("1 calls in 9.5 s", str(meter.refusal("llm_call", rates)))
        self.assertEqual(rates["search"], Rate(5, 10))

    def test_autodisable_keeps_the_limit(self) -> None:
        rates = self.change("ratelimit-autodisable", "search", "yes").parts.bench.limits.rates
        self.assertEqual(rates["search"], Rate(5, 10, auto_disable=True))
        rates = self.change("ratelimit-autodisable", "search", "no").parts.bench.limits.rates
        self.assertEqual(rates["search"], Rate(5, 10))

    def test_zero_lifts_the_limit(self) -> None:
        self.assertFalse(self.change("ratelimit-set", "db", "0", "0").parts.bench.limits.rates["db"].limits)

    def test_list_marks_what_the_file_does_not_set(self) -> None:
        self.met("ratelimit-set", "search", "3", "60")
        lines = self.met("ratelimit-list").splitlines()
        self.assertIn("search       3 calls in 60 s", lines)
        self.assertIn("extract      5 calls in 30 s  (default)", lines)

    def test_a_category_that_no_tool_of_ours_has_is_pointed_out(self) -> None:
        self.assertIn("No tool that comes with us", self.met("ratelimit-set", "weather", "3", "60"))
        self.assertEqual(self.agent().parts.bench.limits.rates["weather"], Rate(3, 60))

    def test_what_is_no_limit_is_refused(self) -> None:
        for words in (
            ("search", "-1", "5"),
            ("search", "many", "5"),
            ("search", "5", "nan"),
            ("search", "5"),
        ):
            self.refused_with_usage("ratelimit-set", *words)
        self.refused_with_usage("ratelimit-autodisable", "search", "maybe")
        self.assertIn("ratelimit-set weather", self.refused("ratelimit-autodisable", "weather", "yes"))


class DepthTests(ServerCase):
    def test_set_holds_for_turns(self) -> None:
        depths = self.change("limit-set", "max_tool_iterations", "3").parts.bench.limits.depths
        self.assertEqual((depths["max_tool_iterations"], depths["max_at_llm_depth"]), (3, 1))

    def test_the_other_names_do_the_same(self) -> None:
        self.assertEqual(
            self.change("limit-depth-set", "max_at_llm_depth", "0").parts.bench.limits.depths[
                "max_at_llm_depth"
            ],
            0,
        )
        self.assertEqual(self.met("limit-list"), self.met("limit-depth-list"))
        self.assertIn("max_tool_iterations    10  (default)", self.met("limit-list"))

    def test_unknown_limits_and_no_numbers_are_refused(self) -> None:
        self.assertIn("there is max_tool_iterations", self.refused_with_usage("limit-set", "depth", "3"))
        for number in ("-1", "1.5", "deep"):
            self.refused_with_usage("limit-set", "max_at_llm_depth", number)


class GateTests(ServerCase):
    def allows(self, agent: Agent, kind: Kind, name: str, side: Side, group: str = "") -> bool:
        return Gates({}, agent.parts.bench.gate_defaults).allows(kind, name, side, group)

    def test_a_table_is_opened_for_one_side_in_whatever_case(self) -> None:
        agent = self.change("gate-set", "db", "Users", "read", "true")
        self.assertTrue(self.allows(agent, "db", "users", "read"))
        self.assertFalse(self.allows(agent, "db", "users", "write"))

    def test_a_table_closed_by_name_stays_closed_among_open_ones(self) -> None:
        self.met("gate-set", "db", "*", "read", "true")
        agent = self.change("gate-set", "db", "secrets", "read", "false")
        self.assertTrue(self.allows(agent, "db", "users", "read"))
        self.assertFalse(self.allows(agent, "db", "secrets", "read"))

    def test_a_group_opens_its_tools(self) -> None:
        agent = self.change("llm-allow", "search", "read", "1")
        self.assertTrue(self.allows(agent, "tools", "search_ddgs", "read", "search"))
        self.assertFalse(self.allows(agent, "tools", "url_extract", "read", "extract"))

    def test_a_name_that_the_file_has_in_another_case_is_not_doubled(self) -> None:
        self.home.gate_defaults_file.write_text('{"db": {"Users": {"write": true}}, "theirs": 1}')
        agent = self.change("gate-set", "db", "users", "read", "true")
        self.assertTrue(self.allows(agent, "db", "users", "write"))
        self.assertIn('"theirs": 1', self.home.gate_defaults_file.read_text())

    def test_list_shows_what_is_set(self) -> None:
        self.met("gate-set", "db", "users", "read", "true")
        self.met("gate-set", "db", "users", "write", "false")
        self.met("gate-set", "drive", "read", "true")
        lines = [" ".join(line.split()) for line in self.met("gate-list").splitlines()]
        self.assertIn("users read allowed, write asks", lines)
        self.assertIn("drive read allowed", lines)

    def test_reset_lets_everything_ask_again(self) -> None:
        self.met("gate-set", "db", "*", "read", "true")
        self.met("gate-set", "*", "read", "true")
        agent = self.change("gate-reset")
        self.assertFalse(self.allows(agent, "db", "users", "read"))
        self.assertFalse(self.allows(agent, "tools", "url_extract", "read"))

    def test_a_tool_that_does_not_come_with_us_is_pointed_out(self) -> None:
        self.assertIn("is called weather", self.met("gate-set", "weather", "read", "true"))
        for ours in ("files", "llm_call"):
            self.assertNotIn("is called", self.met("gate-set", ours, "write", "true"))

    def test_what_is_no_gate_is_refused_and_leaves_no_file(self) -> None:
        for words in (
            ("db", "users", "look", "true"),
            ("db", "users", "read", "maybe"),
            ("db", "read", "true"),
            ("search", "write", "true"),
            ("search", "true"),
        ):
            self.refused_with_usage("gate-set", *words)
        self.assertFalse(self.home.gate_defaults_file.exists())

    def test_a_broken_file_is_refused_with_its_key(self) -> None:
        self.home.gate_defaults_file.write_text('{"tools": {"search": true}}')
        for words in (("gate-list",), ("gate-reset",), ("gate-set", "search", "read", "true")):
            self.assertIn("gate-defaults.json: tools", self.refused(*words))


class SessionTests(ServerCase):
    def test_each_limit_reaches_the_agent(self) -> None:
        self.assertEqual(self.change("session-timeout", "2.5").parts.bench.limits.session_idle_minutes, 2.5)
        self.assertEqual(self.change("max-users", "0").parts.bench.limits.max_users, 0)
        self.assertEqual(self.change("history-maxctx", "30").parts.bench.limits.history_max_ctx, 30)

    def test_number_of_workers_reaches_the_server(self) -> None:
        self.change("workers", "4")
        self.assertEqual(load_configuration(self.home).settings.front_door.workers, 4)
        self.assertEqual(self.met("workers"), "workers: 4\n")

    def test_without_a_number_they_show(self) -> None:
        self.assertEqual(self.met("workers"), "workers: 1  (default)\n")
        self.assertEqual(self.met("max-users"), "max_users: 50  (default)\n")
        self.met("session-timeout", "5")
        self.assertEqual(self.met("session-timeout"), "session_idle_timeout_minutes: 5\n")

    def test_numbers_out_of_range_are_refused(self) -> None:
        for words in (
            ("session-timeout", "-1"),
            ("session-timeout", "inf"),
            ("max-users", "1.5"),
            ("max-users", "many"),
            ("history-maxctx", "0"),
            ("workers", "0"),
            ("workers", "65"),
        ):
            self.refused_with_usage(*words)

    def test_a_broken_value_can_be_mended(self) -> None:
        self.home.plugins_file.write_text('{"enabled_plugins": ["plugin_proxy_llama"], "max_users": "many"}')
        self.assertIn("many → 7", self.met("max-users", "7"))
        self.assertEqual(self.agent().parts.bench.limits.max_users, 7)


class ModelTests(ServerCase):
    def test_llmcall_lets_others_ask_a_model(self) -> None:
        agent = self.change("model-llmcall", "two", "true")
        self.assertEqual([agent.parts.delegation.allows(key) for key in ("one", "two")], [False, True])
        self.assertIsNotNone(agent.parts.bench.toolbox.get("llm_call"))

    def test_llmcall_lets_others_call_an_agent_within_the_operators_filter(self) -> None:
        self.met("model-add", "scout", "AGENT", "default", "--host", "http://127.0.0.1:1")
        self.home.env_file.write_text("OUTBOUND_AGENT_BLOCKED_COMMANDS=!reset")
        agent = self.change("model-llmcall", "scout", "true")
        self.assertEqual([tool.name for tool in agent.parts.bench.toolbox], ["agent_call"])
        outbound = agent.parts.delegation.outbound
        self.assertIn("!reset", str(outbound.refusal("!reset now")))
        self.assertIsNone(outbound.refusal("hello"))

    def test_gates_rates_and_depth_of_agent_call_can_be_set(self) -> None:
        agent = self.change("gate-set", "agent_call", "write", "true")
        self.assertTrue(Gates({}, agent.parts.bench.gate_defaults).allows("tools", "agent_call", "write"))
        self.assertEqual(
            self.change("ratelimit-set", "agent_call", "9", "30").parts.bench.limits.rates["agent_call"],
            Rate(9, 30),
        )
        depths = self.change("limit-set", "max_agent_call_depth", "2").parts.bench.limits.depths
        self.assertEqual(depths["max_agent_call_depth"], 2)

    def test_llmcall_all_passes_over_what_makes_embeddings(self) -> None:
        agent = self.change("model-llmcall-all", "true")
        self.assertEqual([agent.parts.delegation.allows(key) for key in ("one", "two")], [True, True])
        self.assertNotIn("llm_call_available", self.registry()["models"]["vectors"])
        self.assertIn("makes embeddings", self.refused("model-llmcall", "vectors", "true"))

    def test_timeout_bounds_delegated_calls(self) -> None:
        self.assertEqual(self.change("model-timeout", "two", "90").parts.delegation.timeout("two"), 90.0)

    def test_context_is_the_models_window_under_the_ceiling(self) -> None:
        self.met("history-maxctx", "30")
        agent = self.change("model-context", "two", "12")
        self.assertEqual([agent.parts.bench.limits.messages(key) for key in ("one", "two")], [30, 12])
        lines = [line.split() for line in self.met("history-list").splitlines()]
        self.assertIn(["one", "30"], lines)
        self.assertIn(["two", "12"], lines)

    def test_what_the_loader_refuses_is_refused(self) -> None:
        for words in (
            ("model-llmcall", "one", "maybe"),
            ("model-llmcall-all", "maybe"),
            ("model-timeout", "one", "0"),
            ("model-timeout", "one", "soon"),
            ("model-context", "one", "0"),
        ):
            self.refused_with_usage(*words)
        for words in (
            ("model-llmcall", "x", "true"),
            ("model-timeout", "x", "9"),
            ("model-context", "x", "9"),
        ):
            self.assertIn("no model x; there is one, two", self.refused(*words))
