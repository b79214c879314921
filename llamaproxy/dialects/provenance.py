"""Whose words a text is made of: what a person typed, and what their app put around it.

Apps write into the message of their user: pages that a search found, files, notes to the model. Only the person's own
words can be commands, so each wrapper that an app is known to use is a row of `TABLE`, with its reason. A row errs
on one side: where a wrapper cannot be told from typed text for sure, its inside is material. So material is taken up
to the last mark that closes it, since a page may well contain that mark, and a person's words only up to the first.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from ..seams.types import Material

NOTE = "a note of the app"
FILE = "a file"
PAGES = "pages and files that the app looked up"
RESULT = "the result of a tool of the app"

# - block: material between two marks, at the beginning or the end of a piece
# - piece: all of a piece that begins with the one mark and holds the other
# - line: one line of the app's at the beginning
# - tail: from its mark, at the beginning of a line, to the end of the piece
# - rest: as tail, and the pieces that follow are material as well
# - template: the piece begins with one mark, and the person's words stand behind the last of the other
# - between: the piece begins with one mark, and the person's words stand between the first of each of two others
# - inside: the piece begins with the mark, and the person's words stand up to the first that closes it
# - inmost: the piece ends with the closing mark, and the person's words stand behind the last opening one
Form = Literal["block", "piece", "line", "tail", "rest", "template", "between", "inside", "inmost"]


class Wrapper(Struct, frozen=True):
    """One wrapper of an app; `what` and `passing` are as in `Material`."""

    form: Form
    opens: str
    closes: str = ""
    what: str = NOTE
    passing: bool = True
    then: str = ""


def _blocks(*tags: str, what: str = NOTE, passing: bool = True) -> list[Wrapper]:
    return [Wrapper("block", f"<{tag}>", f"</{tag}>", what, passing) for tag in tags]


TABLE: tuple[Wrapper, ...] = (
    # Claude Code reads a file that its user mentions and quotes it like a tool's result.
    Wrapper("block", "<system-reminder>\nResult of calling", "</system-reminder>", FILE, False),
    # Claude Code, and those made after it: notes to the model beside each message.
    *_blocks("system-reminder", "system_reminder", "user-prompt-submit-hook", "post-tool-use-hook"),
    *_blocks("ide_opened_file", "ide_selection", "ide_diagnostics", "new-diagnostics", "task-notification"),
    # Its own slash commands and shell lines, which never were meant for a model.
    *_blocks("local-command-caveat", "local-command-stdout", "local-command-stderr"),
    *_blocks("command-name", "command-message", "command-args", "bash-input"),
    *_blocks("bash-stdout", "bash-stderr", what=RESULT, passing=False),
    # What it writes in the place of an answer that its user cut off.
    Wrapper("line", "[Request interrupted by user]"),
    Wrapper("line", "[Request interrupted by user for tool use]"),
    # Claude Code's and others' summary of a chat that had become too long.
    Wrapper("tail", "This session is being continued from a previous conversation that ran out of context."),
    # codex: where it runs, which rules hold, what became of the last turn. Each is a message or a part of its own.
    *_blocks("environment_context", "user_instructions", "turn_aborted", "subagent_notification", "skill"),
    *_blocks("user_shell_command", what=RESULT, passing=False),
    Wrapper("block", "# AGENTS.md instructions", "</INSTRUCTIONS>"),
    Wrapper("rest", "Another language model started to solve this problem"),
    *_blocks("stdin", what=FILE, passing=False),
    # Open WebUI's templates for pages and files, the present one and the older two; the question is behind them.
    Wrapper("template", "### Task:", "</context>", PAGES, False, "<context>"),
    Wrapper("template", "Use the following context as your learned knowledge", "\nQuery:", PAGES, False),
    Wrapper("template", "**Generate Response to User Query**", "</context>", PAGES, False, "<context>"),
    # Open WebUI's list of files that its tools may read.
    *_blocks("attached_files", what=FILE, passing=False),
    # Zed: files, symbols and threads, before the words or behind them. Cursor and VS Code have blocks of this name.
    *_blocks(
        "context", "attachments", "attachment", "editorContext", "repoContext", what=FILE, passing=False
    ),
    *_blocks("reminderInstructions", "environment_info", "workspace_info", "reminder"),
    # VS Code and Cursor: the words themselves are what is wrapped, last of all.
    Wrapper("inmost", "<userRequest>", "</userRequest>", FILE, False),
    Wrapper("inmost", "<user_query>", "</user_query>", FILE, False),
    # Cline, Roo Code and Kilo: the words are wrapped, and files that they mention follow.
    Wrapper("inside", "<task>", "</task>", FILE, False),
    Wrapper("inside", "<user_message>", "</user_message>", FILE, False),
    Wrapper("inside", "<feedback>", "</feedback>", FILE, False),
    Wrapper("inside", "<answer>", "</answer>", FILE, False),
    *_blocks("environment_details", "explicit_instructions"),
    Wrapper("tail", "<file_content path=", what=FILE, passing=False),
    Wrapper("tail", "<folder_content path=", what=FILE, passing=False),
    Wrapper("tail", "<url_content url=", what=PAGES, passing=False),
    Wrapper("rest", "[ERROR] You did not use a tool"),
    # opencode reads a file that its user mentions; each of these is a part of its own, before the words.
    Wrapper("piece", "Called the Read tool with the following input:"),
    Wrapper("piece", "Called the list tool with the following input:"),
    Wrapper("piece", "<path>", "<content>", FILE, False),
    Wrapper("piece", "<file>", "</file>", FILE, False),
    # qwen-code and aider: what a shell line of their user's own gave.
    Wrapper("block", "I ran the following shell command:\n```", "\n```", RESULT, False),
    Wrapper("piece", "I ran this command:\n\n", "And got this output:", RESULT, False),
    # aider: rules behind the words of its user, and files as messages of their own.
    Wrapper("tail", "# *SEARCH/REPLACE block* Rules:"),
    Wrapper("tail", "# File editing rules:\n\nReturn edits similar to unified diffs"),
    Wrapper("tail", "# V4A Diff Format Rules:"),
    Wrapper("tail", "To suggest changes to a file you MUST return"),
    Wrapper("tail", "^C KeyboardInterrupt"),
    Wrapper("rest", "I have *added these files to the chat*", what=FILE, passing=False),
    Wrapper("rest", "Here are some READ ONLY files, provided for your reference.", what=FILE, passing=False),
    Wrapper("rest", "Here are summaries of some files present in my git repo", what=FILE),
    # qwen-code and gemini-cli: files that were mentioned, in parts behind the words.
    Wrapper("rest", "--- Content from referenced files ---", what=FILE, passing=False),
    Wrapper("rest", "Content from @", what=FILE, passing=False),
    Wrapper("rest", "This is the Qwen Code. We are setting up the context for our chat."),
    Wrapper("rest", "This is the Gemini CLI. We are setting up the context for our chat."),
    Wrapper("rest", "Here is the user's editor context"),
    # LibreChat: the texts of files in one fence, before the words.
    Wrapper("template", "Attached document(s):\n```md", "\n```", FILE, False),
    # Cherry Studio: what its search found, behind the question.
    Wrapper(
        "between",
        "Please answer the question based on the reference materials",
        "## Reference Materials:",
        PAGES,
        False,
        "## My question is:",
    ),
    # Chatbox and LobeChat: files behind the words.
    Wrapper("tail", "<ATTACHMENT_FILE>", what=FILE, passing=False),
    Wrapper("tail", "<!-- SYSTEM CONTEXT (NOT PART OF USER QUERY) -->", what=FILE, passing=False),
)

# How Cline, Roo Code and Kilo head what a tool gave them; all that follows is the tool's.
_RESULT = re.compile(r"\[[a-z_]+(?: for [^\n]*|)\] Result:", re.ASCII)
_OF_RESULT = Wrapper("rest", "", what=RESULT, passing=False)
_OF_NOBODY = Wrapper("rest", "")
_OF_PIPE = Wrapper("rest", "", what=FILE, passing=False)

# What Cline, Roo Code and Kilo put behind the words of their user.
_READ_BY_CLINE = (
    *("<file_content", "<folder_content", "<url_content", "<environment_details", "<explicit_instructions"),
    *("<workspace_diagnostics", "<git_working_state", "<git_commit", "<terminal_output", "<user_feedback"),
)

# One argument of a command line with a blank in it.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:\n|\Z)', re.DOTALL)

# More layers than this are no app's; what is below them is nobody's words.
MOST_LAYERS = 16

_OPENINGS = tuple(row.opens for row in TABLE)
_CLOSINGS = tuple(row.closes for row in TABLE if row.form in ("block", "inmost"))
# Their first and last characters, and that of a tool's result.
_FIRST = frozenset(("[", *(opening[0] for opening in _OPENINGS)))
_LAST = frozenset(closing[-1] for closing in _CLOSINGS)
_TAIL = re.compile(f"\n(?:{'|'.join(re.escape(row.opens) for row in TABLE if row.form in ('tail', 'rest'))})")


def sort(pieces: Sequence[str]) -> tuple[list[str], list[Material]]:
    """The person's own words, and what was put around them, in the pieces of one message."""
    sorted_pieces, found = _sort(pieces)
    return [words for words in sorted_pieces if words is not None], found


def runs(pieces: Sequence[str]) -> list[str]:
    """The person's words in the pieces of one message, apart where a note of the app parts them.

    qwen-code, whose user stopped a reply before its first word, puts the next message behind the one without an answer.
    """
    return apart(_sort(pieces)[0])


def apart(pieces: Iterable[str | None]) -> list[str]:
    """Pieces joined, but for those with None between them."""
    joined: list[list[str]] = [[]]
    for words in pieces:
        if words is not None:
            joined[-1].append(words)
        elif joined[-1]:
            joined.append([])
    return ["\n".join(run) for run in joined if run]


def _sort(pieces: Sequence[str]) -> tuple[list[str | None], list[Material]]:
    """The person's words in each piece, None where it has none; and what was put around them."""
    own: list[str | None] = []
    found: list[Material] = []
    for index, piece in enumerate(pieces):
        if not may_be_wrapped(piece):
            own.append(piece)
            continue
        words, row = _unwrap(piece, found)
        own.append(words if words.strip() else None)
        if row is not None:
            found += _material(row, ["\n".join(pieces[index + 1 :])])
            break
    return own, found


def own_words(text: str) -> str:
    """What a person typed of a text; an app may wrap a message today and show it bare in tomorrow's history."""
    return _unwrap(text, [])[0].strip() if may_be_wrapped(text) else text


def unquoted(text: str) -> tuple[str, list[Material]]:
    """The words that a command line put in quotation marks, and what it was given through a pipe, which is behind."""
    found = _QUOTED.match(text)
    if found is None:
        return text, []
    return found[1].replace('\\"', '"'), _material(_OF_PIPE, [text[found.end() :]])


def unpiped(text: str) -> tuple[str, list[Material]]:
    """The words behind what a command line was given through a pipe, as qwen-code parts the two."""
    piped, parted, words = text.rpartition("\n\n\n")
    return (words, _material(_OF_PIPE, [piped])) if parted and words.strip() else (text, [])


def may_be_wrapped(piece: str) -> bool:
    """Whether any row may apply. Most texts are plain, and a long history of them must cost next to nothing."""
    bare = piece.strip()
    return (
        (bare[:1] in _FIRST and (bare.startswith(_OPENINGS) or _RESULT.match(bare) is not None))
        or (bare[-1:] in _LAST and bare.endswith(_CLOSINGS))
        or ("\n" in bare and _TAIL.search(bare) is not None)
    )


def _unwrap(piece: str, found: list[Material]) -> tuple[str, Wrapper | None]:
    """The person's words in a piece; and the row by which the pieces behind it are the app's, if there is one."""
    if _RESULT.match(piece.lstrip()):
        found += _material(_OF_RESULT, [piece])
        return "", _OF_RESULT
    the_rest = None
    rows = [row for row in TABLE if row.opens in piece]
    for _ in range(MOST_LAYERS):
        row, taken = _outermost(piece, rows)
        if row is None:
            return piece, the_rest
        piece, *material = taken
        found += _material(row, material)
        the_rest = row if row.form == "rest" else the_rest
    found += _material(_OF_NOBODY, [piece])
    return "", the_rest


def _outermost(piece: str, rows: Sequence[Wrapper]) -> tuple[Wrapper | None, list[str]]:
    """The first row that applies, with the words that it leaves and the material around them."""
    bare = piece.strip()
    for row in rows:
        taken = _TAKE[row.form](bare, row)
        if taken:
            return row, taken
    return None, []


def _material(row: Wrapper, texts: Sequence[str]) -> list[Material]:
    return [Material(what=row.what, text=text.strip(), passing=row.passing) for text in texts if text.strip()]


# Each gives the words and then the material of a piece without white space around it; nothing where it does not apply.


def _block(piece: str, row: Wrapper) -> list[str]:
    if piece.startswith(row.opens):
        end = piece.rfind(row.closes)
        end = len(piece) if end < 0 else end + len(row.closes)
        return [piece[end:].lstrip(), piece[:end]]
    start = piece.find(f"\n{row.opens}")
    return [piece[:start].rstrip(), piece[start:]] if start >= 0 and piece.endswith(row.closes) else []


def _piece(piece: str, row: Wrapper) -> list[str]:
    return ["", piece] if piece.startswith(row.opens) and row.closes in piece else []


def _line(piece: str, row: Wrapper) -> list[str]:
    head, _, rest = piece.partition("\n")
    return [rest, head] if head.rstrip() == row.opens else []


def _tail(piece: str, row: Wrapper) -> list[str]:
    start = f"\n{piece}".find(f"\n{row.opens}")
    return [piece[:start].rstrip(), piece[start:]] if start >= 0 else []


def _template(piece: str, row: Wrapper) -> list[str]:
    head, closes, words = piece.rpartition(row.closes)
    applies = piece.startswith(row.opens) and closes and row.then in head
    # Nobody asks for nothing: without words behind it, it is a text that only begins like this.
    return [words.lstrip(), head + closes] if applies and words.strip() else []


def _between(piece: str, row: Wrapper) -> list[str]:
    head, asked, rest = piece.partition(row.then)
    words, closed, material = rest.partition(row.closes)
    return [words.strip(), head, material] if piece.startswith(row.opens) and asked and closed else []


def _inside(piece: str, row: Wrapper) -> list[str]:
    words, closed, rest = piece.removeprefix(row.opens).partition(row.closes)
    rest = rest.lstrip()
    # People write prompts in tags of their own; Cline has nothing behind its own but what it read.
    applies = piece.startswith(row.opens) and closed and (not rest or rest.startswith(_READ_BY_CLINE))
    return [words.strip(), rest] if applies else []


def _inmost(piece: str, row: Wrapper) -> list[str]:
    head, opened, words = piece.rpartition(row.opens)
    return [words.removesuffix(row.closes).strip(), head] if opened and words.endswith(row.closes) else []


_TAKE = {
    "block": _block,
    "piece": _piece,
    "line": _line,
    "tail": _tail,
    "rest": _tail,
    "template": _template,
    "between": _between,
    "inside": _inside,
    "inmost": _inmost,
}
