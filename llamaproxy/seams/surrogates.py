r"""Half an emoji: a surrogate without its other half, which JSON can say (`\ud83d`) and UTF-8 cannot.

Programs that cut text by UTF-16 units make them. They pass through a model's stream, where the other half may follow;
what is kept or sent on must be whole.
"""


def joined(text: str) -> str:
    """Text that UTF-8 can hold: two halves side by side become their character, a lone one becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
