"""What the operator wrote about the tools: one `plugin_config.plugin_<tool>` block each, in `plugins-enabled.json`.

A tool loads when its plugin is in `enabled_plugins` and its block does not say `enabled: false`. Times are seconds,
sizes bytes.
"""

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from .checks import CORRECT, as_struct, is_web_address, nearest, plugin_block, shown
from .errors import ConfigError
from .files import JsonFile
from .home import Home
from .variables import is_key_like, is_name

PREFIX = "plugin_"

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class DbQuery(Struct, frozen=True, kw_only=True):
    """`plugin_db_query`: the database.

    `url` is the path of an SQLite file, which counts from the home folder, or
    `postgresql://user@host:port/database`, `mysql://...` or `mariadb://...`; for those `?sslmode=` is `disable`
    (the default), `require` (any certificate) or `verify-full`, and `?socket=` the path of a Unix socket.
    `password_env` is the NAME of the environment variable (or of a line in `.env`) that holds the password.
    """

    url: str = "db.sqlite"
    password_env: str = "DB_PASSWORD"
    max_rows: Count = 100
    max_bytes: Count = 32 * 1024
    statement_timeout: Seconds = 20.0
    connect_timeout: Seconds = 5.0


class Search(Struct, frozen=True, kw_only=True):
    """`plugin_search_ddgs` and `plugin_search_tavily`."""

    max_results: Annotated[int, Meta(ge=1, le=20)] = 5
    timeout: Seconds = 20.0


class UrlExtract(Struct, frozen=True, kw_only=True):
    """`plugin_url_extract`: `allow_private` opens addresses of the own machine and network to it.

    `max_bytes` is of the page as it comes, `max_characters` of the text that is made from it.
    """

    allow_private: bool = False
    max_bytes: Count = 5 * 1024 * 1024
    max_characters: Count = 20_000
    timeout: Seconds = 30.0


class Files(Struct, frozen=True, kw_only=True):
    """`plugin_files`: the one folder, which counts from the home folder; nothing outside of it can be reached."""

    folder: str = "files"
    max_read_bytes: Count = 64 * 1024
    max_write_bytes: Count = 1024 * 1024


# Of an MCP server.
SERVER_NAME = r"^[a-z0-9_]{1,20}$"


class McpServer(Struct, frozen=True, kw_only=True):
    """One entry of `plugin_mcp.servers`: a program with `command`, or an address with `url`, never both.

    `env` are environment variables of the program; `env_from` names some that it gets from the server's own
    environment or from `.env`. `token_env` is the NAME of the variable with the bearer token for `url`. `tools`
    lists the tools to take (None: all). `timeout` bounds one call.
    """

    command: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    env_from: tuple[str, ...] = ()
    cwd: str | None = None
    url: str = ""
    token_env: str | None = None
    enabled: bool = True
    tools: tuple[str, ...] | None = None
    timeout: Seconds = 60.0


class Mcp(Struct, frozen=True, kw_only=True):
    """`plugin_mcp`: the servers by name: small letters, digits and `_`, since their tools' names begin with it."""

    servers: dict[Annotated[str, Meta(pattern=SERVER_NAME)], McpServer] = field(default_factory=dict)


class ToolSettings(Struct, frozen=True, kw_only=True):
    """All tools. `enabled` are their names, in the order of `enabled_plugins`, without the `plugin_`; `others` are the
    blocks of those that are not ours, which nobody has checked.
    """

    enabled: tuple[str, ...] = ()
    db_query: DbQuery = DbQuery()
    search_ddgs: Search = Search()
    search_tavily: Search = Search()
    url_extract: UrlExtract = UrlExtract()
    files: Files = Files()
    mcp: Mcp = Mcp()
    others: dict[str, dict[str, Any]] = field(default_factory=dict)


_SHAPES = {
    one.name: one.type
    for one in msgspec.structs.fields(ToolSettings)
    if one.name not in ("enabled", "others")
}


def load_tool_settings(home: Home) -> ToolSettings:
    """The tools' part of `plugins-enabled.json`; what is not enabled is not checked. Raises `ConfigError`."""
    file = home.plugins_file
    content = JsonFile(file).read()
    blocks = {name: plugin_block(content, file, name) for name in _listed(content, home)}
    enabled = {
        name.removeprefix(PREFIX): block
        for name, block in blocks.items()
        if block.get("enabled") is not False
    }
    settings = {name: load_tool(home, name, block) for name, block in enabled.items() if name in _SHAPES}
    others = {
        name: {key: value for key, value in block.items() if key != "enabled"}
        for name, block in enabled.items()
        if name not in _SHAPES and block
    }
    return ToolSettings(enabled=tuple(enabled), others=others, **settings)


def load_tool(home: Home, name: str, block: dict[str, object]) -> Any:
    """The settings of one tool that has some, from its block. Raises `ConfigError`."""
    if name == "mcp":
        _check_names(block.get("servers"), home)
    settings = as_struct(_SHAPES[name], block, home.plugins_file, f"plugin_config.{PREFIX}{name}")
    if isinstance(settings, Mcp):
        _check_servers(settings, block.get("servers"), home)
    if isinstance(settings, DbQuery):
        _check_variable(settings.password_env, f"plugin_config.{PREFIX}{name}.password_env", home)
    return settings


def settings_of(name: str) -> type[Struct] | None:
    """The shape of a tool's settings, None for one that has none of ours."""
    return _SHAPES.get(name)


def unchanged(old: ToolSettings, new: ToolSettings) -> set[str]:
    """The tools that are enabled in both, and set in the same way."""
    both = set(old.enabled) & set(new.enabled)
    return {
        name
        for name in both
        if getattr(old, name, None) == getattr(new, name, None)
        and old.others.get(name) == new.others.get(name)
    }


def has_settings(name: str) -> bool:
    """Whether that tool is one which `load_tool` knows."""
    return name in _SHAPES


def _listed(content: dict[str, object], home: Home) -> list[str]:
    listed = content.get("enabled_plugins", [])
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        remedy = "Write the plugins' names between [ and ]."
        raise ConfigError(home.plugins_file, "enabled_plugins", "expected a list of names", remedy)
    return [name for name in listed if name.startswith(PREFIX)]


def _check_names(servers: object, home: Home) -> None:
    for name in servers if isinstance(servers, dict) else ():
        if not re.fullmatch(SERVER_NAME, name):
            where = f"plugin_config.{PREFIX}mcp.servers.{name}"
            problem = "expected a name of small letters, digits and _, at most 20"
            raise ConfigError(home.plugins_file, where, problem, "Rename it; its tools are called by it.")


def _check_servers(mcp: Mcp, raw: Any, home: Home) -> None:
    for name, server in mcp.servers.items():
        where = f"plugin_config.{PREFIX}mcp.servers.{name}"
        if bool(server.command) == bool(server.url):
            strange = [key for key in raw[name] if key not in McpServer.__struct_fields__]
            meant = [(key, near) for key in strange if (near := nearest(key, ("command", "url")))]
            hint = "".join(f" ({key} stands there; did you mean {near}?)" for key, near in meant)
            problem = f"expected either a command or a url{hint}"
            raise ConfigError(home.plugins_file, where, problem, "Give one of the two.")
        if server.url and not is_web_address(server.url):
            problem = f"expected an http or https URL, got {shown(server.url)}"
            raise ConfigError(home.plugins_file, f"{where}.url", problem, CORRECT)
        _check_variable(server.token_env, f"{where}.token_env", home)


def _check_variable(name: str | None, where: str, home: Home) -> None:
    """What may be the secret itself is not repeated."""
    if name and (not is_name(name) or is_key_like(name)):
        problem = "expected the NAME of an environment variable"
        remedy = f"Put the secret into {home.env_file}, as NAME=secret, and the name here."
        raise ConfigError(home.plugins_file, where, problem, remedy)
