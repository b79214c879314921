"""`python -m benchmarks [NAME ...]`: runs the named benchmarks, or all, one after another."""

import argparse
from importlib import import_module

from .machine import machine, open_many_files

NAMES = (
    *("life", "paced", "unpaced", "frames", "first_token", "small"),
    *("slow_readers", "history", "start", "workers", "nodes", "seen", "curve"),
)
# Shorter forms of some, for a machine that is free for a few minutes only.
QUICK = {"nodes-quick": "nodes"}
# Only where it is named: it takes an hour.
LONG = ("soak",)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        choices=[*NAMES, *LONG, *QUICK, []],
        metavar="NAME",
        help=", ".join((*NAMES, *LONG, *QUICK)),
    )
    open_many_files()
    print(machine(), flush=True)
    for name in parser.parse_args().names or NAMES:
        module = import_module(f"benchmarks.{QUICK.get(name, name)}")
        print(f"\n## {name}\n\n{module.quick() if name in QUICK else module.run()}", flush=True)


if __name__ == "__main__":
    main()
