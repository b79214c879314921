"""The system prompt: a root file and its section files, assembled as the agent's operators know it.

`.system_prompt` holds the main text, then a line `[SECTIONS]`, then lines `name: description`. Each name is a
file `.system_prompt_<name>` beside it, again text and sections. The client's own system message is not used.
"""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from shutil import copymode
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread

from ..seams.types import Message

ROOT = ".system_prompt"
DEFAULT = "You are a helpful assistant. Answer in the user's language, briefly and plainly."
SECTIONS = "[SECTIONS]"


class Section(Struct, frozen=True):
    """One part of the prompt; `depth` is 0 for the main text, whose `name` and `description` are empty."""

    depth: int
    name: str
    description: str
    body: str

    def render(self) -> str:
        """The part as it stands in the prompt."""
        if not self.depth:
            return self.body
        heading = f"{'#' * (self.depth + 1)} {self.name}" + (
            f": {self.description}" if self.description else ""
        )
        return f"{heading}\n{self.body}".rstrip()


class Prompt(Struct, frozen=True, dict=True):
    """An assembled prompt; `stamps` tells whether one of its files has changed since."""

    sections: tuple[Section, ...]
    stamps: tuple[tuple[str, tuple[int, int] | None], ...]

    @cached_property
    def text(self) -> str:
        """The whole prompt."""
        return "\n\n".join(part for section in self.sections if (part := section.render()))

    @cached_property
    def message(self) -> Message:
        """It as models get it."""
        return Message(role="system", content=self.text)

    @property
    def is_current(self) -> bool:
        """Whether its files are as they were."""
        return [(path, _stamp(path)) for path, _ in self.stamps] == [*self.stamps]


class PromptFiles:
    """Gives the prompt of a folder, read anew when one of its files has changed.

    `in_thread` reads files off the reactor's thread.
    """

    def __init__(
        self,
        folder: Path,
        in_thread: Callable[..., Deferred[Any]] = deferToThread,
    ) -> None:
        self._folder = folder
        self._in_thread = in_thread
        # By folder, as all that follows.
        self._prompts: dict[str, Prompt] = {}
        # Who waits for a look at a folder's files that has not begun yet.
        self._waiting: dict[str, list[Deferred[Prompt]]] = {}
        self._looking: set[str] = set()

    def prompt(self, folder: str | None = None) -> Deferred[Prompt]:
        """The prompt of `folder` (relative to the home), or of the home itself. Never fails for a missing file."""
        folder = folder or ""
        if (known := self.known(folder)) is not None:
            return succeed(known)
        prompt: Deferred[Prompt] = Deferred()
        self._waiting.setdefault(folder, []).append(prompt)
        if folder not in self._looking:
            self._look(folder)
        return prompt

    def known(self, folder: str | None = None) -> Prompt | None:
        """The same, if it was read before and its files are as they were."""
        folder = folder or ""
        known = self._prompts.get(folder)
        # Looking at the stamps takes microseconds, as a line of the log does; the way to a thread takes a hundred.
        return known if known is not None and folder not in self._looking and known.is_current else None

    def _look(self, folder: str) -> None:
        """Goes through the files once for all who wait; those who come meanwhile want a look of their own."""
        waiting = self._waiting.pop(folder)
        self._looking.add(folder)
        self._in_thread(self._current, folder).addBoth(self._seen, folder, waiting)

    def _seen(self, prompt: Any, folder: str, waiting: list[Deferred[Prompt]]) -> None:
        self._looking.discard(folder)
        if folder in self._waiting:
            self._look(folder)
        for each in waiting:
            each.callback(prompt)

    def rewrite(self, folder: str | None, name: str, body: str) -> Deferred[None]:
        """Replaces the body of the section `name`, "" for the main text; its own sections stay.

        Fails with `KeyError` if there is no such section, with `OSError` if its file cannot be written.
        """
        return self._in_thread(self._rewrite, self._folder / (folder or ""), name, body)

    def _rewrite(self, folder: Path, name: str, body: str) -> None:
        if all(section.name != name for section in assemble(folder).sections):
            raise KeyError(name)
        path = folder / (f"{ROOT}_{name}" if name else ROOT)
        _, marker, listing = f"\n{_read(path, '')}".partition(f"\n{SECTIONS}")
        scratch = path.with_name(f"{path.name}.new")
        scratch.unlink(missing_ok=True)
        # A new file, so that no link which somebody put there is followed.
        with scratch.open("x", encoding="utf-8") as file:
            file.write(body.strip() + (f"\n\n{SECTIONS}{listing}" if marker else "\n"))
        if path.exists():
            copymode(path, scratch)
        scratch.replace(path)

    def reload(self) -> None:
        """Forgets what was read."""
        self._prompts.clear()

    def _current(self, folder: str) -> Prompt:
        known = self._prompts.get(folder)
        if known is None or not known.is_current:
            known = self._prompts[folder] = assemble(self._folder / folder)
        return known


class ModelPrompts:
    """The system prompt of each model: that of its own folder where `folders` names one by key, else the common one."""

    def __init__(self, files: PromptFiles, folders: Mapping[str, str]) -> None:
        self._files = files
        self._folders = folders

    def renew(self, folders: Mapping[str, str]) -> None:
        """Takes over which models have prompts of their own, and forgets what was read."""
        self._folders = folders
        self.reload()

    def prompt(self, key: str) -> Deferred[Prompt]:
        """The prompt of the model `key`."""
        return self._files.prompt(self._folders.get(key))

    def known(self, key: str) -> Message | None:
        """Its system message, if that was read before and its files are as they were."""
        prompt = self._files.known(self._folders.get(key))
        return None if prompt is None else prompt.message

    async def message(self, key: str) -> Message:
        """Its system message."""
        return (await self.prompt(key)).message

    def rewrite(self, key: str, section: str, text: str) -> Deferred[None]:
        """Replaces a section of it; see `PromptFiles.rewrite`."""
        return self._files.rewrite(self._folders.get(key), section, text)

    def reload(self) -> None:
        """Forgets what was read."""
        self._files.reload()


def assemble(folder: Path) -> Prompt:
    """Reads the prompt of a folder. A repeated or circular section becomes a note in its place."""
    stamps: dict[str, tuple[int, int] | None] = {}
    sections: list[Section] = []

    def add(suffix: str, depth: int, name: str, description: str, above: frozenset[str]) -> None:
        path = str(folder / (ROOT + suffix))
        if path in stamps:
            problem = "includes itself" if name in above else "is named twice"
            sections.append(Section(depth, name, description, f"[section '{name}' {problem}]"))
            return
        stamps[path] = _stamp(path)
        body, children = _split(_read(path, DEFAULT if not depth else ""))
        sections.append(Section(depth, name, description, body))
        for child, about in children:
            add(f"_{child}", depth + 1, child, about, above | {name})

    add("", 0, "", "", frozenset())
    return Prompt(tuple(sections), tuple(stamps.items()))


def _split(text: str) -> tuple[str, list[tuple[str, str]]]:
    body, _, listing = (
        text.partition(f"\n{SECTIONS}") if not text.startswith(SECTIONS) else ("", "", text[10:])
    )
    if body.startswith("## "):
        body = body.partition("\n")[2]
    children = [line.partition(":") for line in listing.splitlines() if line.strip()]
    return body.strip(), [
        (name.strip(), about.strip()) for name, _, about in children if _is_name(name.strip())
    ]


def _is_name(name: str) -> bool:
    return bool(name) and "/" not in name and "\0" not in name


def _read(path: Path | str, default: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return default


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
