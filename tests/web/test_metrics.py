from llamaproxy.seams.errors import ModelTimeout
from llamaproxy.web.guard import Guard
from tests.support import Front, Wire

from .test_routes import WebCase


class MetricsTests(WebCase):
    def metrics(self) -> dict[str, float]:
        response = self.front.ask("GET", "/metrics")
        self.assertEqual(response.code, 200)
        lines = response.body.decode().splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines)
            if name[:1] != "#"
        }

    def begin(self) -> Wire:
        return self.start("/api/chat", {"model": "main", "messages": [{"role": "user", "content": "hello"}]})

    def test_page_is_at_its_own_path_alone_which_a_proxy_may_keep_strangers_from(self) -> None:
        for path in ("/metrics/", "//metrics", "/v1/metrics", "/%6detrics", "/metrics;x", "/x/../metrics"):
            self.assertEqual(self.front.ask("GET", path).code, 404, path)
        for path in ("/metrics", "/metrics?x=1", "http://phone/metrics"):
            self.assertEqual(self.front.ask("GET", path).code, 200, path)

    def test_turn_is_counted_from_its_request_to_its_last_byte(self) -> None:
        self.begin()
        call = self.house.calls[-1]
        self.house.clock.advance(2)
        call.say("one", " two")
        self.house.clock.advance(3)
        self.assertEqual(self.metrics()["llamaproxy_live_turns"], 1)
        call.finish()
        metrics = self.metrics()
        self.assertEqual(metrics["llamaproxy_live_turns"], 0)
        self.assertEqual(metrics["llamaproxy_tokens_total"], 2)
        self.assertEqual(metrics["llamaproxy_first_token_seconds_sum"], 2)
        self.assertEqual(metrics['llamaproxy_first_token_seconds_bucket{le="1.0"}'], 0)
        self.assertEqual(metrics['llamaproxy_first_token_seconds_bucket{le="2.5"}'], 1)
        self.assertEqual(metrics["llamaproxy_turn_seconds_sum"], 5)
        self.assertEqual(metrics["llamaproxy_turn_seconds_count"], 1)

    def test_stream_that_waits_for_its_client_shows_and_for_how_long(self) -> None:
        wire = self.begin()
        self.house.calls[-1].say("one")
        wire.fill_up()
        self.house.clock.advance(4)
        self.assertEqual(self.metrics()["llamaproxy_paused_streams"], 1)
        wire.drain()
        metrics = self.metrics()
        self.assertEqual(metrics["llamaproxy_paused_streams"], 0)
        self.assertEqual(metrics["llamaproxy_pauses_total"], 1)
        self.assertEqual(metrics["llamaproxy_paused_seconds_total"], 4)

    def test_errors_of_models_are_counted_by_their_code_before_and_within_a_stream(self) -> None:
        self.begin()
        self.house.calls[-1].fail(ModelTimeout("too slow"))
        self.begin()
        self.house.calls[-1].say("one")
        self.house.calls[-1].fail(ModelTimeout("too slow"))
        self.assertEqual(self.metrics()['llamaproxy_model_errors_total{code="model_timeout"}'], 2)

    def test_delay_of_the_reactor_is_the_longest_since_the_last_look(self) -> None:
        meters = self.front.site.meters
        meters.watch_reactor()
        self.addCleanup(meters.rest)
        self.house.clock.advance(1.25)
        self.house.clock.advance(1)
        self.assertEqual(self.metrics()["llamaproxy_reactor_delay_seconds"], 0.25)
        self.assertEqual(self.metrics()["llamaproxy_reactor_delay_seconds"], 0)

    def test_who_may_not_come_in_sees_none_of_it(self) -> None:
        front = Front(self.house, Guard(allow_from=["10.0.0.0/8"]))
        self.assertEqual(front.ask("GET", "/metrics").code, 403)
