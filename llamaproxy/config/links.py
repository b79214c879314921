"""Where a file of the home is written: links of the operator's own are followed, planted ones are not."""

import os
import stat
from pathlib import Path

from .errors import ConfigError

# As many as Linux follows.
_HOPS = 40
_REMEDY = (
    "Remove the link, or make it anew as the user who runs this, in a folder that not everybody can write to."
)


def destination(path: Path) -> Path:
    """The file to write for `path`, which need not be there. Raises `ConfigError`.

    A link into somebody's dotfiles stays a link. One that belongs to another user, leads to another user's file or
    lies where everybody can write may have been planted to have a file of ours, or theirs, written over.
    """
    current = path
    for _ in range(_HOPS):
        status = _status(current)
        if status is None:
            return current
        linked = stat.S_ISLNK(status.st_mode)
        if (linked or current != path) and status.st_uid not in (os.geteuid(), 0):
            raise ConfigError(
                path, "", f"{current} belongs to another user, so this link is not followed", _REMEDY
            )
        if not linked:
            return current
        if current.parent.stat().st_mode & stat.S_IWOTH:
            raise ConfigError(
                path, "", f"everybody can write to {current.parent}, so its links are not followed", _REMEDY
            )
        current = current.parent / os.readlink(current)
    raise ConfigError(path, "", "a link that leads nowhere", _REMEDY)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        # Whoever writes there is told why it cannot be done.
        return None
