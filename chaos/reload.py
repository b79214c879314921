"""Streams that run on while models, gates, callers and a tool change: `python -m chaos.reload [STREAMS]`.

It is the test of `tests/acceptance`, with many more streams than a test run has time for, alone and with two workers.
"""

import resource
import sys
import time

from twisted.trial.reporter import TreeReporter
from twisted.trial.runner import TestLoader, TrialRunner

from tests.acceptance import test_reload

STREAMS = 500
# Sockets of a stream in the test's own process, and some to spare.
PER_STREAM, SPARE = 3, 200


def main() -> int:
    """Runs both; the exit status is 0 if every stream heard all of its answer."""
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else STREAMS
    wanted = PER_STREAM * streams + SPARE
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(wanted, 1024), most), most))
    began = time.monotonic()
    for case in (test_reload.ReloadTests, test_reload.SharedReloadTests):
        case.streams, case.timeout = streams, 600
        name = "test_streams_run_on_while_models_gates_callers_and_a_tool_change"
        suite = TestLoader().loadByName(f"{case.__module__}.{case.__qualname__}.{name}")
        result = TrialRunner(TreeReporter, workingDirectory="_trial_reload").run(suite)
        kind = "two workers" if case.flags else "one process"
        print(f"{kind}: {streams if result.wasSuccessful() else 'not all'} of {streams} streams heard all")
        if not result.wasSuccessful():
            return 1
    print(f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
