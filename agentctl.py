"""`python agentctl.py` in a checkout; the program is in `llamaproxy.agentctl`."""

import os
import sys
from pathlib import Path

try:
    from llamaproxy.agentctl.cli import main
except ModuleNotFoundError as missing:
    # What `make` installed lies in the checkout's own environment.
    python = Path(__file__).resolve().parent / ".venv" / "bin" / "python"
    if not python.exists() or Path(sys.prefix) == python.parent.parent:
        sys.exit(f"agentctl needs {missing.name}; install it with: make, or pip install .")
    os.execv(python, [str(python), *sys.argv])

sys.exit(main())
