"""Subcommands about models: which there are, which are ready, and which one new sessions start with."""

from argparse import BooleanOptionalAction, Namespace
from collections.abc import Sequence
from typing import Any

from msgspec.structs import asdict, fields

from ..config import Home, JsonFile, ModelEntry
from ..config.advice import odd_host
from ..config.checks import section
from ..config.load import load_entry
from ..config.variables import shown_name
from .changes import Change, announce
from .command import AS_JSON, Option, Refused, command, judged, option, required_truth
from .printer import Printer
from .registry import BROKEN, entries_in, status_of, type_problem
from .rows import Row

# Fields that are objects and stand in the file only.
_STRUCTURED = ("extra", "gate_policy")


@command("models", "show the models and their state", AS_JSON)
def list_models(home: Home, args: Namespace, printer: Printer) -> None:
    """One line per model, with the cure where it is not ready."""
    content = JsonFile(home.models_file).read()
    rows, facts = [], []
    for key, raw in entries_in(content, home).items():
        sign, cure = status_of(home, key, raw)
        shown = raw if isinstance(raw, dict) else {}
        kind, model_id = str(shown.get("type")), str(shown.get("model_id"))
        is_default = key == content.get("default_model")
        name = f"{printer.sign(sign)} {key}{' (default)' if is_default else ''}"
        note = f"{sign.meaning}: {cure}" if cure else ""
        rows.append(Row(f"{name}  {kind} {model_id}", (name, kind, model_id), note))
        facts.append(
            {
                "key": key,
                "default": is_default,
                "type": shown.get("type"),
                "model_id": shown.get("model_id"),
                "state": sign.meaning,
                "cure": cure,
            }
        )
    if args.json:
        printer.json(facts)
    else:
        printer.table(("model", "type", "name there"), rows)


@command("model <key>", "choose the model that new sessions start with")
def choose(home: Home, args: Namespace, printer: Printer) -> None:
    """Refuses an unknown, a broken or a disabled one."""
    with JsonFile(home.models_file).update() as content:
        raw = _known(args.key, entries_in(content, home))
        entry = load_entry(home.models_file, args.key, raw)
        if not entry.enabled:
            raise Refused(f"{args.key} is disabled; first: agentctl model-enable {args.key}")
        if entry.embedding:
            raise Refused(f"{args.key} makes embeddings and cannot be talked to")
        _refuse_unknown(args.key, entry)
        old = content.get("default_model")
        content["default_model"] = args.key
    if old == args.key:
        printer.note(f"{args.key} is the default model already; nothing to do")
        return
    printer.done(f"default model: {old} → {args.key}")
    printer.restart()


@command("model-info <key>", "show one model's settings", AS_JSON)
def model_info(home: Home, args: Namespace, printer: Printer) -> None:
    """State and every field, defaults included; a key's name, never its value."""
    content = JsonFile(home.models_file).read()
    raw = _known(args.key, entries_in(content, home))
    sign, cure = status_of(home, args.key, raw)
    if args.json:
        settings = {} if sign is BROKEN else asdict(load_entry(home.models_file, args.key, raw))
        printer.json({"key": args.key, "state": sign.meaning, "cure": cure, "settings": settings})
        return
    printer.line(f"{printer.sign(sign)} {args.key}: {sign.meaning}")
    if cure:
        printer.line(f"  {cure}")
    if sign is not BROKEN:
        entry = load_entry(home.models_file, args.key, raw)
        for name in entry.__struct_fields__:
            value = getattr(entry, name)
            if value not in (None, "", {}):
                printer.line(f"  {name:22} {shown_name(value) if name == 'env_key' else value}")


def _entry_options() -> list[Option]:
    """An option for each optional field of an entry; what is given stays text, for the loader to judge."""
    options = []
    for field in fields(ModelEntry):
        if field.required or field.name in _STRUCTURED:
            continue
        flag = "--" + field.name.replace("_", "-")
        if field.type is bool:
            options.append(option(flag, action=BooleanOptionalAction))
        else:
            options.append(option(flag))
    return options


@command(
    "model-add <key> <type> <model_id> [--host URL] [--env-key NAME] ...",
    "add a model",
    *_entry_options(),
    option("--anywhere", action="store_true", help="LOCAL: the weights may lie outside the home folder"),
)
def add(home: Home, args: Namespace, printer: Printer) -> None:
    """The entry passes the server's own loader before it is written."""
    given = {
        name: value
        for name, value in vars(args).items()
        if name not in ("key", "anywhere") and value is not None
    }
    entry = load_entry(home.models_file, args.key, given, from_text=True)
    if entry.type == "LOCAL" and not args.anywhere:
        weights = home.weights_file(entry.model_id).resolve()
        if not weights.is_relative_to(home.path.resolve()):
            raise Refused(f"{weights} is not in the home folder; if that is meant, add --anywhere")
    _refuse_unknown(args.key, entry)
    with JsonFile(home.models_file).update() as content:
        entries = entries_in(content, home)
        if args.key in entries:
            raise Refused(f"there is a model {args.key}; first: agentctl model-remove {args.key}")
        entries[args.key] = {name: getattr(entry, name) for name in given} | {"enabled": entry.enabled}
    printer.done(f"model {args.key} added")
    if odd := odd_host(entry):
        printer.note(odd)
    sign, cure = status_of(home, args.key, entries[args.key])
    if cure:
        printer.note(f"{sign.meaning}: {cure}")
    if odd := odd_host(entry):
        printer.note(odd)
    printer.restart()


@command("model-remove <key>", "remove a model; its weights stay")
def remove(home: Home, args: Namespace, printer: Printer) -> None:
    """Refuses the default model."""
    with JsonFile(home.models_file).update() as content:
        entries = entries_in(content, home)
        _known(args.key, entries)
        _refuse_default(args.key, content, "removed")
        del entries[args.key]
    printer.done(f"model {args.key} removed")
    printer.restart()


@command("model-enable <key>", "offer a model to the apps again")
def enable(home: Home, args: Namespace, printer: Printer) -> None:
    """A field that is absent counts as enabled."""
    _switch(home, args.key, True, printer)


@command("model-disable <key>", "hide a model from the apps; its settings stay")
def disable(home: Home, args: Namespace, printer: Printer) -> None:
    """Refuses the default model."""
    _switch(home, args.key, False, printer)


@command("model-llmcall <key> <bool>", "whether other models may ask this one")
def llmcall(home: Home, args: Namespace, printer: Printer) -> None:
    """Refuses one that makes embeddings."""
    raw = _known(args.key, entries_in(JsonFile(home.models_file).read(), home))
    if load_entry(home.models_file, args.key, raw).embedding:
        raise Refused(f"{args.key} makes embeddings and cannot be talked to")
    _set_field(home, [args.key], "llm_call_available", required_truth(args.bool), printer)


@command("model-llmcall-all <bool>", "whether models may ask each other, for all of them")
def llmcall_all(home: Home, args: Namespace, printer: Printer) -> None:
    """Passes over those that make embeddings."""
    entries = entries_in(JsonFile(home.models_file).read(), home)
    keys = [key for key, raw in entries.items() if not load_entry(home.models_file, key, raw).embedding]
    _set_field(home, keys, "llm_call_available", required_truth(args.bool), printer)


@command("model-timeout <key> <seconds>", "how long a whole call of a model may take")
def timeout(home: Home, args: Namespace, printer: Printer) -> None:
    """Holds for turns and for delegated calls."""
    _set_field(home, [args.key], "llm_call_timeout", args.seconds, printer)


@command("model-context <key> <messages>", "how many messages of the history a model gets at most")
def context(home: Home, args: Namespace, printer: Printer) -> None:
    """The ceiling of `history-maxctx` holds besides."""
    _set_field(home, [args.key], "max_context", args.messages, printer)


def _set_field(home: Home, keys: Sequence[str], name: str, given: Any, printer: Printer) -> None:
    """Sets one field of some entries, once the server's own loader has taken it."""
    default = getattr(ModelEntry(type="", model_id=""), name)
    changes = []
    with JsonFile(home.models_file).update() as content:
        for key in keys:
            _known(key, entries_in(content, home))
            raw = section(content, home.models_file, "models", key)
            with judged():
                entry = load_entry(home.models_file, key, {**raw, name: given}, from_text=True)
            changes.append(Change.make(raw, name, getattr(entry, name), default, f"{key} {name}"))
    announce(changes, printer)


def _switch(home: Home, key: str, on: bool, printer: Printer) -> None:
    word = "enabled" if on else "disabled"
    with JsonFile(home.models_file).update() as content:
        _known(key, entries_in(content, home))
        if not on:
            _refuse_default(key, content, "disabled")
        entry = section(content, home.models_file, "models", key)
        if entry.get("enabled", True) is on:
            printer.note(f"{key} is {word} already; nothing to do")
            return
        entry["enabled"] = on
    printer.done(f"model {key} {word}")
    printer.restart()


def _refuse_unknown(key: str, entry: ModelEntry) -> None:
    if problem := type_problem(entry.type):
        raise Refused(f"models.{key}.type: {problem}; correct it, or install the plugin that it needs")


def _refuse_default(key: str, content: dict[str, Any], word: str) -> None:
    if key == content.get("default_model"):
        raise Refused(f"{key} is the default model and cannot be {word}; first: agentctl model ANOTHER")


def _known(key: str, entries: dict[str, Any]) -> Any:
    if key not in entries:
        raise Refused(f"no model {key}; there is {', '.join(entries) or 'none'}")
    return entries[key]
