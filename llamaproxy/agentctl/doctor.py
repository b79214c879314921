"""The subcommand that plays every client's part against a running server."""

import os
from argparse import Namespace

from ..config import Home, load_configuration, operator_key
from ..config.advice import advice
from .command import AS_JSON, Refused, command, option
from .printer import Printer, Sign
from .running import address_here

_WORKS = Sign("✓", "green", "works")
_FAILS = Sign("✗", "red", "fails")


@command(
    "doctor [--client NAME] [--key KEY] [--cacert FILE] [URL]",
    "try every app's way of using a server, by default this home's",
    option("url", nargs="?", metavar="URL", help="what a user would enter in the app, with or without /v1"),
    option("--client", metavar="NAME", help="only this one, by the name in brackets of the report"),
    option("--key", metavar="KEY", default="", help="an API key, for clients that can send one"),
    option(
        "--cacert", metavar="FILE", default="", help="whose certificates are believed besides, as with curl"
    ),
    AS_JSON,
)
def doctor(home: Home, args: Namespace, printer: Printer) -> None:
    """One line per client, with the first call and field at fault. Refused if there is any."""
    # Nothing else of agentctl needs an HTTP client.
    from ..doctor.clients import clients
    from ..doctor.replay import examine
    from ..doctor.visit import BadURL, server_at

    known = [client.key for client in clients([""])]
    if args.client and args.client not in known:
        raise Refused(f"no client {args.client}; there is {', '.join(known)}")
    oddities = [] if args.url else _oddities(home)
    for line in () if args.json else oddities:
        printer.note(line)
    try:
        server = server_at(args.url or address_here(home), args.cacert)
        server.reach()
    except BadURL as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"nothing to talk to at {server}: {error.strerror or error}") from None
    # The list is ours to read in this home's own server, whoever may come in there.
    key = args.key or ("" if args.url else operator_key(home.operator_key_file))
    models = server.models({"Authorization": f"Bearer {key}"} if key else {})
    chosen = [each for each in clients(models) if args.client in (None, each.key)]
    failed, facts = 0, []
    for client in chosen:
        complaint = examine(client, server.ask, args.key)
        failed += complaint is not None
        facts.append({"client": client.key, "name": client.name, "complaint": str(complaint or "")})
        if args.json:
            continue
        printer.line(f"{printer.sign(_FAILS if complaint else _WORKS)} {client.name}  ({client.key})")
        if complaint:
            printer.line(f"    {complaint}")
    is_agent = failed == len(chosen) or server.is_agent(models[0], args.key or key)
    if args.json:
        printer.json({"server": str(server), "agent": is_agent, "clients": facts, "oddities": oddities})
    elif not is_agent:
        printer.note(
            f"at {server} a model answers by itself, as with a plain Ollama: "
            "no agent, so no sessions, commands or tools of ours"
        )
    if failed:
        raise Refused(f"{failed} of {len(chosen)} clients would fail at {server}")
    if not args.json:
        printer.done(f"all {len(chosen)} work at {server}" if len(chosen) > 1 else f"works at {server}")


def _oddities(home: Home) -> list[str]:
    """What the home's server says of its files and tools when it starts."""
    from twisted.internet import reactor

    from ..tools.registry import Workshop, load_tools, troubles
    from ..tools.strangers import strangers

    environ = {**home.read_env(), **os.environ}
    workshop = Workshop(reactor=reactor, environ=environ.get, home=home.path)
    config = load_configuration(home)
    return [
        *advice(home, os.environ),
        *troubles(config.tools, workshop),
        *strangers(config, home, load_tools(config.tools, workshop).fixed),
    ]
