"""The table of deeds: what callers with all rights, with safe ones, with none, and the operator may set going.

The tests run each cell, and `docs/rights.md` shows it: `python -m tests.web.deeds` prints the rows for that.
"""

from typing import NamedTuple

YES, NO = "yes", "no"
EVERYBODY = (YES, YES, NO, YES)
WITH_ALL = (YES, NO, NO, YES)
OPERATORS = (NO, NO, NO, YES)
COLUMNS = ("all", "safe", "none", "operator")


class Deed(NamedTuple):
    """A message, and whether it does what it says, by the rights in `COLUMNS`."""

    message: str
    may: tuple[str, str, str, str]


DEEDS = (
    *(
        Deed(message, EVERYBODY)
        for message in (
            "!help",
            "!whoami",
            "!reset",
            "!undo",
            "!branches",
            "!branch 1",
            "!stop",
            "!sleep 1",
            "!session",
            "!trace",
            "!model",
            "!model main",
            "!llm_list",
            "!llm_call",
            "!llm_timeout",
            "!tool_preview_length 9",
            "!tool_suppress true",
            "!stream true",
            "!autogate status",
            "!autoAIdb status",
            "!autoAISysPrompt status",
            "!limit_list",
            "!limits list",
            "!get_system_info",
            "!maxctx",
            "!maxusers",
            "!sessiontimeout",
            "!sysprompt",
            "!read_system_prompt",
            "!no ABCD",
            "!jobs",
            "!resume",
            "!detach off",
            "!bg hello",
        )
    ),
    *(
        Deed(message, WITH_ALL)
        for message in (
            "!yes ABCD",
            "!always ABCD",
            "!autogate read true",
            "!autoAIdb read true",
            "!autoAISysPrompt read true",
            "!llm_clean_text main hello",
            "!llm_clean_tool main search_web cats",
            "!search_web cats",
        )
    ),
    *(
        Deed(message, OPERATORS)
        for message in (
            "!db x",
            "!llm_call true",
            "!llm_timeout 9",
            "!limit_set max_tool_iterations 3",
            "!limits write max_tool_iterations 3",
            "!maxctx 9",
            "!maxusers 9",
            "!sessiontimeout 9",
            "!sysprompt reload",
            "!session llama-other delete",
        )
    ),
)


def rows() -> str:
    """The table as the document has it."""
    lines = [f"| message | {' | '.join(COLUMNS)} |", "|---|---|---|---|---|"]
    lines += [f"| `{deed.message}` | {' | '.join(deed.may)} |" for deed in DEEDS]
    return "\n".join(lines)


if __name__ == "__main__":
    print(rows())
