"""A node that is cut off from the database in silence; what has to be so is in `chaos.cutoff`."""

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest, TestCase

from tests.tools.sql.servers import Postgres

try:
    from chaos import cutoff
except ImportError:
    cutoff = None  # type: ignore[assignment]

reactor: Any = installed_reactor


class CutoffTests(TestCase):
    timeout = 180

    async def test_node_that_is_cut_off_from_the_database_commits_nothing_says_so_and_comes_back(
        self,
    ) -> None:
        if cutoff is None:
            raise SkipTest("psycopg is not installed; with pip: pip install 'llamaproxy[postgres]'")
        if not Postgres.is_installed():
            raise SkipTest("postgresql is not installed")
        if reason := cutoff.why_not():
            raise SkipTest(reason)
        root = str(Path(cutoff.__file__).parents[1])
        said, complained, status = await getProcessOutputAndValue(
            sys.executable, ["-m", "chaos.cutoff"], {**os.environ, "PYTHONPATH": root}, root
        )
        self.assertEqual(status, 0, f"{said.decode()}\n{complained.decode()}")
