"""The subcommand that tries one model."""

from argparse import Namespace

from ..config import Home, JsonFile
from ..config.load import load_entry
from .command import AS_JSON, Refused, command
from .printer import Printer, Sign
from .registry import entries_in

_YES, _NO, _UNKNOWN = Sign("✓", "green", "yes"), Sign("✗", "red", "no"), Sign("–", "yellow", "unknown")  # noqa: RUF001

# What keeps a model from being used.
FATAL = {
    "weights": "{key} has no weights",
    "reachable": "{key} cannot be reached",
    "address": "there is nothing at the address of {key}",
    "key": "{key} needs another key",
    "name": "the server of {key} has no model {name}",
    "answers": "{key} does not answer",
}


@command(
    "model-test <key>",
    "try a model: its key and name, whether it streams, calls tools and sees, and how fast",
    AS_JSON,
)
def model_test(home: Home, args: Namespace, printer: Printer) -> None:
    """Asks its server directly. Refused if it could not be talked to."""
    # With an HTTP client, which nothing else needs.
    from .tryout import tried

    entries = entries_in(JsonFile(home.models_file).read(), home)
    if args.key not in entries:
        raise Refused(f"no model {args.key}; there is {', '.join(entries) or 'none'}")
    entry = load_entry(home.models_file, args.key, entries[args.key])
    checks = []
    for check in tried(home, entry):
        checks.append(check)
        if not args.json:
            sign = _UNKNOWN if check.holds is None else _YES if check.holds else _NO
            printer.line(f"{printer.sign(sign)} {check.what}{': ' + check.told if check.told else ''}")
    if args.json:
        printer.json([check._asdict() for check in checks])
    for check in checks:
        if check.holds is False and check.what in FATAL:
            raise Refused(FATAL[check.what].format(key=args.key, name=entry.model_id))
