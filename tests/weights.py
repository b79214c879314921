"""The weights of the embedded model that tests run with."""

import os
from pathlib import Path

from twisted.trial.unittest import SkipTest


def weights() -> Path:
    """`$LLAMAPROXY_TEST_WEIGHTS`, or those of the home folder; skips the test if there are none."""
    home = Path(os.environ.get("LLAMAPROXY_HOME", Path.home() / ".llamaproxy"))
    path = Path(os.environ.get("LLAMAPROXY_TEST_WEIGHTS", home / "models" / "smollm2.gguf")).absolute()
    if not path.exists():
        raise SkipTest(
            f"no weights at {path}; run: agentctl model-pull smollm2, or set LLAMAPROXY_TEST_WEIGHTS"
        )
    return path
