"""What goes wrong with the operator's files, in words for the operator."""

from pathlib import Path


class ConfigError(Exception):
    """A file of the operator cannot be used as it is.

    The message is one line: the file, the place in it (a dotted key or a line and column, may be empty), what
    is wrong, what to do. It never holds a secret's value.
    """

    def __init__(self, file: Path, where: str, problem: str, remedy: str) -> None:
        self.where = where
        self.problem = problem
        text = ": ".join(filter(None, (str(file), where, problem))) + ". " + remedy
        super().__init__(text.replace("\n", "\\n"))
