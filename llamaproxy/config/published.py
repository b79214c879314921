"""JSON schemas of the operator's files, for editors: made of the structs that the files are loaded into.

They lie beside this module in `schemas/`, and `python -m llamaproxy.config.published` makes them anew.
"""

import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Struct

from .home import schema_file
from .load import BOUNDS, OF_PLUGINS
from .schema import PLUGIN, PROMPT_PLUGIN, DepthLimits, FrontDoor, GateDefaults, ModelEntry, Profile, Settings
from .tools import PREFIX, Mcp, ToolSettings, settings_of

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = "#/$defs/{name}"
_NULL = {"type": "null"}
_TEXT = {"type": "string"}
# Of these a key that is null counts as one that is not there.
_FORGIVING = (FrontDoor, Profile, Settings, DepthLimits, ModelEntry, GateDefaults, Mcp)


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each file, by the file's name."""
    tools = {name: shape for name in ToolSettings.__struct_fields__ if (shape := settings_of(name))}
    known = _definitions(FrontDoor, Settings, ModelEntry, DepthLimits, GateDefaults, *tools.values())
    for shape in {*tools.values()}:
        known[shape.__name__]["properties"]["enabled"] = {"type": "boolean"}
    door = known["FrontDoor"]["properties"]
    # The names may be left out.
    door["api_keys"]["anyOf"].append({"type": "array", "items": _TEXT})
    blocks = {
        PLUGIN: _to("FrontDoor"),
        PROMPT_PLUGIN: {"type": "object", "properties": {"enabled": {"type": "boolean"}}},
        **{f"{PREFIX}{name}": _to(shape.__name__) for name, shape in tools.items()},
    }
    limits = known.pop("Settings")["properties"]
    plugins = {
        "enabled_plugins": {"type": "array", "items": _TEXT},
        "plugin_config": {
            "type": "object",
            "properties": blocks,
            "additionalProperties": {"type": "object"},
        },
        "callers": {"anyOf": [{"type": "object", "additionalProperties": _to("Profile")}, _NULL]},
        **{name: limits[name] for name in limits if name not in OF_PLUGINS},
        # Where people put what they found on the plugin's own page.
        **{name: {"anyOf": [block, {"not": {"type": "object"}}]} for name, block in blocks.items()},
    }
    models = {
        "default_model": _TEXT,
        "models": {
            "type": "object",
            "propertyNames": {"pattern": r"^\S+$"},
            "additionalProperties": _to("ModelEntry"),
        },
        "limits": _to("DepthLimits"),
    }
    return {
        "plugins-enabled.json": _file("The server, its limits, and the tools", plugins, known),
        "llm-models.json": _file("The models", models, known, "default_model", "models"),
        "gate-defaults.json": _file(
            "What tools may do without asking", known["GateDefaults"]["properties"], known
        ),
    }


def _definitions(*shapes: type[Struct]) -> dict[str, Any]:
    """What is known of the shapes and of those in them, by name."""
    _, known = msgspec.json.schema_components(shapes, ref_template=_REFERENCE)
    for name, definition in known.items():
        definition["description"] = " ".join(definition.get("description", "").partition("\n\n")[0].split())
        for key, bounds in BOUNDS.get(name, {}).items():
            _bound(definition["properties"][key], bounds)
    for shape in _all(shapes):
        properties = known[shape.__name__]["properties"]
        for field in msgspec.structs.fields(shape):
            _name_keys(field.type, properties[field.encode_name])
        if shape in (*_FORGIVING, *shapes):
            required = known[shape.__name__].get("required", [])
            for key in properties:
                if key not in required:
                    properties[key] = _or_null(properties[key])
    return known


def _all(shapes: tuple[Any, ...]) -> set[type[Struct]]:
    """The shapes, and those in their fields."""
    found: set[type[Struct]] = set()
    hints = list(shapes)
    while hints:
        hint = hints.pop()
        if not (isinstance(hint, type) and issubclass(hint, Struct)):
            hints += get_args(hint)
        elif hint not in found:
            found.add(hint)
            hints += [field.type for field in msgspec.structs.fields(hint)]
    return found


def _name_keys(hint: Any, schema: dict[str, Any]) -> None:
    """Says which names an object may have, where its type does; msgspec says it of patterns only."""
    if get_origin(hint) is not dict:
        return
    key, value = get_args(hint)
    if get_origin(key) is Literal:
        schema["propertyNames"] = {"enum": sorted(get_args(key))}
    _name_keys(value, schema.get("additionalProperties", {}))


def _bound(schema: dict[str, Any], bounds: dict[str, Any]) -> None:
    for each in schema.get("anyOf", [schema]):
        if each.get("type") != "null":
            each.update(bounds)


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    default = {"default": schema.pop("default")} if "default" in schema else {}
    choices = schema.get("anyOf", [schema])
    return {"anyOf": [*choices, *([] if _NULL in choices else [_NULL])], **default}


def _to(name: str) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=name)}


def _file(title: str, properties: dict[str, Any], known: dict[str, Any], *required: str) -> dict[str, Any]:
    """The schema of one file, with the definitions that it refers to."""
    text = json.dumps(properties)
    used: dict[str, Any] = {}
    while new := [name for name in known if name not in used and json.dumps(_to(name))[1:-1] in text]:
        used.update({name: known[name] for name in new})
        text = json.dumps([properties, used])
    return {
        "$schema": _DRAFT,
        "title": title,
        "type": "object",
        "properties": {"$schema": _TEXT, **properties},
        **({"required": list(required)} if required else {}),
        **({"$defs": dict(sorted(used.items()))} if used else {}),
    }


def _text(schema: dict[str, Any]) -> str:
    """As it lies in its file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def publish() -> None:
    """Writes the files."""
    for name, schema in schemas().items():
        Path(schema_file(name)).write_text(_text(schema), "utf-8")


if __name__ == "__main__":
    publish()
