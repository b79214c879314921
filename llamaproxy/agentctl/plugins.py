"""Subcommands about plugins: what is there, on or off, and on which port."""

from argparse import Namespace
from typing import Any

from ..config import ConfigError, Home, JsonFile
from ..config.checks import plugin_block, section
from .command import AS_JSON, Refused, command
from .manifest import CLIENT, LEGEND, Plugin, dropped_in, is_switched_off, issues_of, load_manifest, state_of
from .printer import Printer
from .registry import summarise
from .rows import Row


@command("list", "show the plugins, their state and what they lack", AS_JSON)
def list_plugins(home: Home, args: Namespace, printer: Printer) -> None:
    """Default model, ready count, plugins by type, legend."""
    content, manifest = _read(home), load_manifest(home)
    if set(content["enabled_plugins"]) - set(manifest):
        manifest = {**dropped_in(), **manifest}
    names = list(dict.fromkeys([*manifest, *content["enabled_plugins"]]))
    if args.json:
        printer.json([_facts(name, manifest.get(name), content, home) for name in names])
        return
    types = {name: manifest[name].type if name in manifest else "not in the manifest" for name in names}
    printer.line(f"home: {home.path}")
    summarise(home, printer)
    for kind in dict.fromkeys(types.values()):
        printer.line(f"\n{kind}")
        for name in (name for name in names if types[name] == kind):
            plugin = manifest.get(name)
            sign = printer.sign(state_of(name, plugin, content, home))
            printer.line(f"  {sign} {name}  {plugin.description if plugin else ''}".rstrip())
            for issue in issues_of(name, plugin, content, home) if plugin else ():
                printer.line(f"      {issue.problem}")
    printer.line("\n" + "  ".join(f"{printer.sign(sign)} {sign.meaning}" for sign in LEGEND))


def _facts(name: str, plugin: Plugin | None, content: dict[str, Any], home: Home) -> dict[str, Any]:
    """What programs want to know of one plugin."""
    issues = issues_of(name, plugin, content, home) if plugin else []
    return {
        "name": name,
        "state": state_of(name, plugin, content, home).meaning,
        "type": plugin.type if plugin else None,
        "description": plugin.description if plugin else "",
        "issues": [issue._asdict() for issue in issues],
    }


@command("info <plugin>", "show one plugin's details and how to resolve what it lacks", AS_JSON)
def info(home: Home, args: Namespace, printer: Printer) -> None:
    """State, details, issues with their remedies."""
    content = _read(home)
    plugin = _known(args.plugin, load_manifest(home))
    if args.json:
        printer.json(_facts(args.plugin, plugin, content, home))
        return
    sign = state_of(args.plugin, plugin, content, home)
    printer.line(f"{printer.sign(sign)} {args.plugin}: {sign.meaning}")
    details = {
        "type": plugin.type,
        "description": plugin.description,
        "file": plugin.file,
        "needs": ", ".join([*plugin.dependencies, *plugin.env_vars, *plugin.config_files]),
    }
    if plugin.port_config_key:
        details["port"] = f"{_port_of(args.plugin, plugin, content, home)} ({plugin.port_config_key})"
    for word, value in details.items():
        if value:
            printer.line(f"  {word:12} {value}")
    for issue in issues_of(args.plugin, plugin, content, home):
        printer.note(f"  {issue.problem}: {issue.remedy}")


@command("enable <plugin>", "list a plugin and switch it on")
def enable(home: Home, args: Namespace, printer: Printer) -> None:
    """Refuses while the plugin lacks something."""
    issues = issues_of(args.plugin, _known(args.plugin, load_manifest(home)), _read(home), home)
    if issues:
        lines = [
            f"{args.plugin} cannot be enabled",
            *(f"{issue.problem}: {issue.remedy}" for issue in issues),
        ]
        raise Refused("\n".join(lines))
    with JsonFile(home.plugins_file).update() as content:
        listed = _listed(content, home)
        block = section(content, home.plugins_file, "plugin_config", args.plugin)
        if args.plugin in listed and block.get("enabled") is True:
            printer.note(f"{args.plugin} is enabled already; nothing to do")
            return
        if args.plugin not in listed:
            listed.append(args.plugin)
        block["enabled"] = True
    printer.done(f"{args.plugin} enabled")
    printer.restart()


@command("disable <plugin>", "switch a plugin off; its settings stay")
def disable(home: Home, args: Namespace, printer: Printer) -> None:
    """Works for plugins outside the manifest too, so that anything listed can be switched off."""
    with JsonFile(home.plugins_file).update() as content:
        if args.plugin not in _listed(content, home):
            _known(args.plugin, load_manifest(home))
            printer.note(f"{args.plugin} is not enabled; nothing to do")
            return
        if is_switched_off(args.plugin, content, home):
            printer.note(f"{args.plugin} is disabled already; nothing to do")
            return
        section(content, home.plugins_file, "plugin_config", args.plugin)["enabled"] = False
    printer.done(f"{args.plugin} disabled")
    printer.restart()


@command("port-list", "show the ports of the client plugins", AS_JSON)
def port_list(home: Home, args: Namespace, printer: Printer) -> None:
    """One line per client plugin that has a port; an endpoint in `listen` beats it."""
    content = _read(home)
    rows, facts = [], []
    for name, plugin in _clients(load_manifest(home)).items():
        state = state_of(name, plugin, content, home)
        port, where = _port_of(name, plugin, content, home), str(plugin.port_config_key)
        if listen := plugin_block(content, home.plugins_file, name).get("listen"):
            port, where = listen, "listen"
        title = f"{printer.sign(state)} {name}"
        rows.append(Row(f"{title}  {port}  ({where})", (title, str(port), where)))
        facts.append({"name": name, "state": state.meaning, "port": port, "set_by": where})
    if args.json:
        printer.json(facts)
    else:
        printer.table(("plugin", "port", "set by"), rows)


@command("port-set <plugin> <port>", "make a client plugin listen on another port")
def port_set(home: Home, args: Namespace, printer: Printer) -> None:
    """Warns when another plugin has that port, or when the plugin's `listen` beats it."""
    manifest = load_manifest(home)
    plugin = _known(args.plugin, manifest)
    if plugin.type != CLIENT or not plugin.port_config_key:
        raise Refused(f"{args.plugin} has no port: only plugins of type {CLIENT} have one")
    if not args.port.isdecimal() or not 1 <= int(args.port) <= 65535:
        raise Refused(f"{args.port} is no port: expected a number from 1 to 65535")
    port = int(args.port)
    with JsonFile(home.plugins_file).update() as content:
        others = [
            name
            for name, other in _clients(manifest).items()
            if name != args.plugin and _port_of(name, other, content, home) == port
        ]
        block = section(content, home.plugins_file, "plugin_config", args.plugin)
        old, listen = _port_of(args.plugin, plugin, content, home), block.get("listen")
        block[plugin.port_config_key] = port
    if old == port:
        printer.note(f"{args.plugin} has port {port} already; nothing to do")
    else:
        printer.done(f"{args.plugin} {plugin.port_config_key}: {old} → {port}")
        printer.restart()
    for name in others:
        printer.note(f"Port {port} is also that of {name}; only one of the two can run")
    if listen:
        printer.note(f"{args.plugin} listens on {listen}, which beats its port")


def _read(home: Home) -> dict[str, Any]:
    """The object in `plugins-enabled.json`, its list of plugins checked."""
    content = JsonFile(home.plugins_file).read()
    _listed(content, home)
    return content


def _listed(content: dict[str, Any], home: Home) -> list[str]:
    """The list of enabled plugins inside `content`, made where absent."""
    listed = content.setdefault("enabled_plugins", [])
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        remedy = "Write the plugins' names between [ and ]."
        raise ConfigError(home.plugins_file, "enabled_plugins", "expected a list of names", remedy)
    return listed


def _known(name: str, manifest: dict[str, Plugin]) -> Plugin:
    if name not in manifest:
        manifest = {**manifest, **dropped_in()}
    if name not in manifest:
        raise Refused(f"no plugin {name}; there is {', '.join(manifest)}")
    return manifest[name]


def _clients(manifest: dict[str, Plugin]) -> dict[str, Plugin]:
    return {name: one for name, one in manifest.items() if one.type == CLIENT and one.port_config_key}


def _port_of(name: str, plugin: Plugin, content: dict[str, Any], home: Home) -> Any:
    """The port in the file, as it stands there, or else the manifest's."""
    block = plugin_block(content, home.plugins_file, name)
    return block.get(plugin.port_config_key or "", plugin.default_port)
