"""The list of all subcommands, by what they are about."""

from .command import COMMANDS, Command
from .printer import Printer

# The modules whose subcommands stand together; those of any other are about the server.
_GROUPS = {
    "Plugins": ("plugins",),
    "Models": ("models", "pull", "trial"),
    "Gates and limits of tools": ("gates", "limits"),
    "Callers": ("callers", "keys"),
    "Conversations": ("sessions", "backup", "stores"),
    "What goes on": ("seen", "doctor"),
}
_OTHERS = "The server"


def show_help(printer: Printer) -> None:
    """Each with its usage line and purpose."""
    for title, entries in grouped().items():
        printer.heading(title)
        for entry in entries:
            also = f" (also {', '.join(entry.aliases)})" if entry.aliases else ""
            printer.line(f"  {entry.usage}\n      {entry.purpose}{also}")
        printer.line()
    printer.line(
        "--home FOLDER goes with any of them, --help explains one, --json is for those that list something."
    )
    printer.line("Without a subcommand: a prompt, which quit leaves. agentctl --version tells the version.")


def grouped() -> dict[str, list[Command]]:
    """The subcommands under their headings."""
    titles = {module: title for title, modules in _GROUPS.items() for module in modules}
    groups: dict[str, list[Command]] = {title: [] for title in (_OTHERS, *_GROUPS)}
    for name, entry in sorted(COMMANDS.items()):
        if name not in entry.aliases:
            groups[titles.get(entry.run.__module__.rpartition(".")[2], _OTHERS)].append(entry)
    return groups
