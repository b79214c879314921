"""Words that commands take, in the chat and on the operator's command line alike."""


def truth(word: str) -> bool | None:
    """What a boolean word means, None if it is none."""
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(word.lower())
