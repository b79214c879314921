"""The operator's files, read again on behalf of all workers."""

import os
from pathlib import Path
from typing import Any, cast
from unittest import mock

from msgspec import json
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import TestCase

from llamaproxy.config import Home, load_configuration
from llamaproxy.models.embedded.local import Local
from llamaproxy.seams.oversight import Reloaded
from llamaproxy.server.assembly import Plan, assemble
from llamaproxy.workers.office import Outcomes
from llamaproxy.workers.renewal import Renewal

MODEL = {"type": "OPENAI", "model_id": "m", "host": "http://127.0.0.1:9/v1"}
TAKEN = Reloaded(taken=True, lines=("the files were read again; 1 models, default x", "something is odd"))
REFUSED = Reloaded(taken=False, lines=("the agent cannot be imported",))


class FakeOffice:
    """Workers that answer with `outcomes`."""

    def __init__(self) -> None:
        self.outcomes: Outcomes = [(0, TAKEN), (1, TAKEN)]
        self.embedded: list[list[str]] = []
        self.retired: list[Any] = []
        self.went_by: list[Any] = []

    def embed(self, keepers: dict[str, Any]) -> None:
        self.embedded.append(list(keepers))

    def retire(self, keeper: Any, end: Any) -> None:
        self.retired.append(end)

    async def go_by(self, config: Any, before: Any) -> Outcomes:
        self.went_by.append(config)
        return self.outcomes


class RenewalTests(TestCase):
    def setUp(self) -> None:
        environ = mock.patch.dict(os.environ, {"PATH": os.environ["PATH"]}, clear=True)
        environ.start()
        self.addCleanup(environ.stop)
        self.home = Home(Path(self.mktemp()).absolute())
        self.home.ensure()
        self.models(x=MODEL)
        config = load_configuration(self.home)
        self.plan = Plan(config=config, home=str(self.home.path), default_model="x")
        self.server = assemble(self.plan, mock.Mock(), cast(Any, MemoryReactorClock()))
        self.environ = self.server.reloader._environ
        self.office = FakeOffice()
        self.plans: list[Plan] = []
        self.embedded: dict[str, Local] = {}
        self.renewal = Renewal(
            self.plan, self.server.reloader, self.embedded, cast(Any, self.office), self.plans.append
        )

    def models(self, **models: Any) -> None:
        self.home.models_file.write_bytes(json.encode({"default_model": "x", "models": models}))

    async def test_what_all_workers_take_over_holds_for_the_next_ones(self) -> None:
        self.models(x={**MODEL, "model_id": "n"})
        outcome = await self.renewal.reload()
        self.assertTrue(outcome.taken)
        self.assertEqual(outcome.lines, TAKEN.lines)
        (plan,) = self.plans
        self.assertEqual(plan.config.registry.models["x"].model_id, "n")
        self.assertIs(self.server.reloader.config, plan.config)

    async def test_what_all_workers_refuse_changes_nothing_and_is_told(self) -> None:
        self.office.outcomes = [(0, REFUSED), (1, REFUSED)]
        before = dict(self.environ)
        self.home.env_file.write_text("NEW=1\n")
        self.models(x={**MODEL, "model_id": "n"})
        outcome = await self.renewal.reload()
        self.assertFalse(outcome.taken)
        self.assertEqual(
            outcome.lines, ("no worker can go by them: workers 1, 2: the agent cannot be imported",)
        )
        self.assertEqual(self.plans[-1], self.plan)
        self.assertIs(self.server.reloader.config, self.plan.config)
        self.assertEqual(self.environ, before)

    async def test_worker_that_refuses_or_is_silent_is_named_with_its_reason(self) -> None:
        self.office.outcomes = [(0, TAKEN), (1, REFUSED), (2, None)]
        outcome = await self.renewal.reload()
        self.assertTrue(outcome.taken)
        self.assertEqual(outcome.lines[0], TAKEN.lines[0])
        self.assertEqual(outcome.lines[1], "worker 2: the agent cannot be imported")
        self.assertIn("worker 3: no answer came", outcome.lines[2])
        self.assertEqual(outcome.lines[3], "something is odd")

    async def test_mistake_leaves_the_variables_as_they_were_and_no_worker_hears_of_it(self) -> None:
        before = dict(self.environ)
        self.home.env_file.write_text("NEW=1\n")
        self.models(x={**MODEL, "host": "nowhere"})
        self.assertFalse((await self.renewal.reload()).taken)
        self.assertEqual((self.environ, self.office.went_by), (before, []))
        self.models(x=MODEL)
        self.assertTrue((await self.renewal.reload()).taken)
        self.assertEqual(self.environ["NEW"], "1")
