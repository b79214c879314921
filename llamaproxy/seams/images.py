"""Pictures, which messages and results of tools may hold."""

from msgspec import Struct


class Image(Struct, frozen=True):
    """One picture of a message: base64 without a `data:` prefix, and its MIME type."""

    data: str
    media_type: str = "image/jpeg"
