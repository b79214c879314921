"""Bytes to text, in whatever charset they are: pages say theirs, sometimes wrongly; files do not."""

import codecs
import re

# Names as the web uses them, where Python knows another one, or knows too little under that name.
_NAMES = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "latin1": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "big5": "big5hkscs",
    "x-x-big5": "big5hkscs",
    "windows-874": "cp874",
    "tis-620": "cp874",
    "iso-8859-9": "cp1254",
    "unicode": "utf-16",
    "utf8": "utf-8",
}
# Codecs of Python that are no charset of any text.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "utf-7", "charmap"}
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w-]{1,40})", re.I
)
# Where a page has said it, if it says it at all.
_HEAD = 4096
LAST_RESORT = "cp1252"


def codec_of(charset: str) -> str:
    """Python's codec for a charset's name, "" if there is none."""
    name = charset.strip().lower()
    try:
        found = codecs.lookup(_NAMES.get(name, name))
    except (LookupError, ValueError):  # also what cannot be a name at all
        return ""
    return "" if found.name in _NO_CHARSETS or not found._is_text_encoding else found.name


def marked(data: bytes) -> str:
    """The codec that the mark at the beginning of a text tells, "" without one."""
    return next((codec for mark, codec in _MARKS if data.startswith(mark)), "")


def declared(data: bytes) -> str:
    """The codec that a page names within itself, "" if it does not."""
    found = _DECLARED.search(data[:_HEAD])
    codec = codec_of(found[1].decode("ascii")) if found else ""
    # It could not be read this far if it were.
    return "" if codec.startswith(("utf-16", "utf-32")) else codec


def is_utf8(data: bytes) -> bool:
    """Whether a piece of a text is UTF-8; its ends may lie inside a character."""
    begin = next((n for n, byte in enumerate(data[:3]) if byte & 0xC0 != 0x80), 0)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data[begin:])
    except UnicodeDecodeError:
        return False
    return True


def text_of(data: bytes, codec: str = "") -> str:
    """The text; one that tells no codec is UTF-8, or else in the charset that most others are."""
    codec = marked(data) or codec or ("utf-8" if is_utf8(data) else LAST_RESORT)
    return data.decode(codec, "replace").removeprefix("\ufeff")


def is_text(data: bytes, codec: str = "") -> bool:
    """Whether it can be text at all, as far as one can see."""
    return b"\0" not in data or (codec or marked(data)).startswith(("utf-16", "utf-32"))
