"""The address of the chat page for a phone's camera.

The library is imported only where somebody looks, which most servers never see.
"""

from io import BytesIO, StringIO

_WHITE_ON_BLACK, _AS_BEFORE = "\x1b[97m\x1b[40m", "\x1b[0m"


def picture(url: str) -> bytes:
    """As an SVG, dark on light whatever the page around it looks like."""
    import segno

    out = BytesIO()
    segno.make(url, error="m").save(out, kind="svg", scale=6, border=3, light="white", xmldecl=False)
    return out.getvalue()


def letters(url: str, coloured: bool = False) -> str:
    """As text for a terminal, without a line's end behind it.

    The letters draw what is light. Where they are `coloured` that is white on black whatever the terminal's own colours
    are; as they are, a camera may need a terminal with a dark ground.
    """
    import segno

    out = StringIO()
    segno.make(url, error="l").terminal(out, border=2, compact=True)
    lines = out.getvalue().splitlines()
    return "\n".join(f"{_WHITE_ON_BLACK}{line}{_AS_BEFORE}" if coloured else line for line in lines)
