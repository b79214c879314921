"""The conversation that an app's prompt quotes, in tags, in a fence or line by line; and what was said in it first."""

import re

HISTORY = "<chat_history>"
# What stands around a quoted conversation: tags, a fence, rules, or a cue behind which there is nothing else.
_AROUND = (
    (HISTORY, "</chat_history>"),
    ("<session>", "</session>"),
    ("<conversation>", "</conversation>"),
    ("<messages>", "</messages>"),
    ("<transcript>", "</transcript>"),
    ("```\n", "\n```"),
    ("--------------\n", "\n--------------"),
)
_CUES = ("User prompt:\n", "this message:", "\nConversation:\n", "ending punctuation.\n\n")
_SPEAKER = re.compile(r"^(USER|ASSISTANT|SYSTEM|TOOL): ", re.MULTILINE)
_USER = re.compile(r"^(?:- )?(?:user|human)[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE)
_ANYBODY = re.compile(
    r"^(?:- )?(?:user|human|assistant|ai|bot|model|system)[ \t]*:", re.IGNORECASE | re.MULTILINE
)
# Cherry Studio quotes the messages as JSON.
_IN_JSON = re.compile(r'"(?:content|mainText)"\s?:\s?"((?:[^"\\]|\\.)*)')
# Characters of a quotation that are looked through for its first words.
_BEGINNING = 4000


def quoted(text: str) -> str | None:
    """The conversation that a text quotes, None if there is none."""
    for opens, closes in _AROUND:
        start, end = text.find(opens), text.rfind(closes)
        if start >= 0 and start + len(opens) <= end:
            return text[start + len(opens) : end]
    user = _USER.search(text)
    if user is not None and _ANYBODY.search(text, user.end()) is not None:
        return text[user.start() :]
    return None


def first_words(text: str) -> str | None:
    """What was said first in the conversation that a text quotes; None if it quotes none."""
    conversation = quoted(text)
    if conversation is None and text.startswith("[{"):
        message = _IN_JSON.search(text[:_BEGINNING])
        return message[1].replace("\\n", " ").replace('\\"', '"') if message is not None else None
    if conversation is None:
        cue = next((cue for cue in _CUES if cue in text), None)
        return text.partition(cue)[2] if cue is not None else None
    beginning = conversation[:_BEGINNING]
    user = _USER.search(beginning)
    if user is None:
        return beginning.partition("\n\n---")[0]
    rest = beginning[user.end() :]
    until = _ANYBODY.search(rest)
    return rest[: until.start()] if until is not None else rest


def said(text: str) -> list[str]:
    """The user's messages in a `<chat_history>`, at least one; "" where there is none."""
    history = text.rpartition(HISTORY)[2] if HISTORY in text else ""
    # What stands before the first speaker, then speakers and texts by turns.
    pieces = _SPEAKER.split(history.partition("</chat_history>")[0])
    return [each for who, each in zip(pieces[1::2], pieces[2::2], strict=True) if who == "USER"] or [""]
