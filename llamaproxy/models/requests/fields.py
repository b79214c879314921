"""The fields of a request that formats have in common."""


def lower_limit(asked: int | None, own: int | None) -> int | None:
    """How long an answer may be, in tokens: what the client asks for, under what the model's entry says."""
    return min(asked, own) if asked and own else asked or own
