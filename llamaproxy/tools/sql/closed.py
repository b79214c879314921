"""What is said of a statement that turned out to touch what it has no leave for."""

from ...seams.errors import ToolError
from ...seams.gates import Need


def refusal(need: Need) -> ToolError:
    """The error of a call that the database itself has shown to need that gate."""
    return ToolError(
        f"this call was not made: the user has not allowed to {need.what}, which the statement would do (by a view, a "
        f"trigger or an index, perhaps). Do not try to get around it; the user can allow it by sending {need.command}"
    )
