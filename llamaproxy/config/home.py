"""The home folder: where it is, what lies in it, and how it looks on the first start."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from .errors import ConfigError
from .files import JsonFile
from .schema import PLUGIN

_PLUGINS_FILE = "plugins-enabled.json"

_SCHEMAS = Path(__file__).parent / "schemas"

_FIRST_PLUGINS = {
    "enabled_plugins": [PLUGIN],
    "plugin_config": {PLUGIN: {"enabled": True, "llama_port": 11434, "llama_host": "0.0.0.0"}},
}
_FIRST_MODELS = {
    "default_model": "smollm2",
    "models": {
        "smollm2": {
            "type": "LOCAL",
            "model_id": "smollm2",
            "context_length": 4096,
            "max_tokens": 512,
            "enabled": True,
            "description": "SmolLM2 135M Instruct, a small model that runs inside the server",
        }
    },
}

_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)")
_QUOTED = re.compile(r"""'(?P<plain>[^']*)'|"(?P<escaped>(?:[^"\\]|\\.)*)\"""")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def find_home(option: str | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """The home folder, which may not exist yet.

    `option` (of `--home`) beats `$LLAMAPROXY_HOME`, that beats `cwd` where it holds `plugins-enabled.json`,
    and `~/.llamaproxy` is the last resort. A relative path counts from `cwd`; an empty one is none. Raises
    `ConfigError` where the account has no home.
    """
    chosen = option or environ.get("LLAMAPROXY_HOME")
    try:
        if chosen:
            return cwd / Path(chosen).expanduser()
        if (cwd / _PLUGINS_FILE).is_file():
            return cwd
        return Path(environ.get("HOME") or Path.home()) / ".llamaproxy"
    except RuntimeError:
        place = Path(chosen or "~/.llamaproxy")
        problem = "this account has no home folder (HOME is not set)"
        raise ConfigError(place, "", problem, "Name a folder with --home or LLAMAPROXY_HOME.") from None


def said_for(home: "Home", words: str, program: str = "agentctl") -> str:
    """The line `PROGRAM WORDS` for who types it where this program was called; another home has to be named."""
    try:
        found = find_home(None, os.environ, Path.cwd()).absolute()
    except (ConfigError, OSError):
        found = None
    return f"{program} {words}" + (
        "" if found == home.path.absolute() else f" --home {quote(str(home.path))}"
    )


class Home:
    """The paths in one home folder. Making one touches no disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plugins_file = path / _PLUGINS_FILE
        self.models_file = path / "llm-models.json"
        self.env_file = path / ".env"
        self.lock_file = path / "server.lock"
        self.operator_key_file = path / "operator.key"
        self.gate_defaults_file = path / "gate-defaults.json"
        self.manifest_file = path / "plugin-manifest.json"
        self.prompt_file = path / ".system_prompt"
        self.sessions_db = path / "sessions.db"
        self.weights = path / "models"

    def weights_file(self, model_id: str) -> Path:
        """Where the weights of a LOCAL model lie: `models/MODEL_ID.gguf`, or `model_id` if it is absolute."""
        return Path(model_id) if Path(model_id).is_absolute() else self.weights / f"{model_id}.gguf"

    def ensure(self) -> None:
        """Makes the folder and the two files that a server needs, where they are missing; overwrites nothing.

        Raises `ConfigError` if it cannot.
        """
        try:
            if not self.path.is_dir():
                self.path.mkdir(mode=0o700, parents=True)
        except OSError as error:
            remedy = "Choose another home folder with --home."
            raise ConfigError(self.path, "", f"cannot be made ({error.strerror})", remedy) from None
        create(self.plugins_file, _FIRST_PLUGINS)
        create(self.models_file, _FIRST_MODELS)

    def read_env(self) -> dict[str, str]:
        """What `.env` assigns; empty if there is none. Raises `ConfigError` if it cannot be read.

        Lines are `NAME=VALUE`, also after `export`; others are passed over. Single quotes keep a value as it
        is, double quotes know `\\n`, `\\r`, `\\t` and an escaped quote or backslash; without quotes it ends
        at a ` #`.
        """
        try:
            lines = self.env_file.read_text("utf-8-sig").splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeError) as error:
            remedy = "It must be text in UTF-8 that the server may read."
            raise ConfigError(self.env_file, "", f"cannot be read ({error})", remedy) from None
        assignments = (_ASSIGNMENT.match(line.strip()) for line in lines)
        return {found[1]: _unquoted(found[2]) for found in assignments if found}


def schema_file(name: str) -> Path:
    """The JSON schema of the file of that name."""
    return _SCHEMAS / name


def create(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a file of the home unless there is one; its first line tells editors what may stand in it.

    Raises `ConfigError`.
    """
    JsonFile(path).create({"$schema": schema_file(path.name).absolute().as_uri(), **content})


def is_assignment(line: str) -> bool:
    """Whether a line of `.env` assigns something."""
    return _ASSIGNMENT.match(line) is not None


def _unquoted(text: str) -> str:
    quoted = _QUOTED.match(text)
    if quoted is None:
        return _COMMENT.sub("", text).rstrip()
    if quoted["plain"] is not None:
        return quoted["plain"]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), quoted["escaped"])
