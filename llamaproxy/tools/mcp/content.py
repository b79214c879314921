"""What a tool of a server answers, as text for a model."""

import base64
import binascii
import json
from contextlib import suppress

from mcp_types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from ...seams.types import Image, ToolAnswer

# More text than any model takes is not carried to the other thread.
MOST_CHARACTERS = 256 * 1024
# Pictures of one answer, the characters of one, and of what kinds they are.
MOST_PICTURES, LARGEST_PICTURE = 4, 7 * 1024 * 1024
_KINDS = ("image/png", "image/jpeg", "image/gif", "image/webp")


def as_answer(result: CallToolResult) -> str | ToolAnswer:
    """The text of the answer, with its pictures if it has some that models can take."""
    pictures = [part for part in result.content if isinstance(part, ImageContent) and _can_be_shown(part)]
    text = as_text(result)
    if not pictures:
        return text
    images = (Image(part.data, part.mime_type.lower()) for part in pictures[:MOST_PICTURES])
    return ToolAnswer(text, tuple(images))


def as_text(result: CallToolResult) -> str:
    """All parts of the answer, one below the other; of a picture, that there is one."""
    parts = [_part(part) for part in result.content]
    if not parts and result.structured_content is not None:
        parts.append(json.dumps(result.structured_content, ensure_ascii=False))
    text = "\n".join(parts)
    if len(text) > MOST_CHARACTERS:
        return f"{text[:MOST_CHARACTERS]}\n[cut here; the answer had {len(text)} characters]"
    return text or "(no content)"


def _can_be_shown(part: ImageContent) -> bool:
    return part.mime_type.lower() in _KINDS and 0 < len(part.data) <= LARGEST_PICTURE


def _part(part: ContentBlock) -> str:
    match part:
        case TextContent():
            return part.text
        case ImageContent():
            return f"[a picture, {_about(part.mime_type, part.data)}]"
        case AudioContent():
            return f"[a recording, {_about(part.mime_type, part.data)}; it is not played here]"
        case ResourceLink():
            about = f" ({part.description})" if part.description else ""
            return f"[{part.title or part.name}: {part.uri}{about}]"
        case EmbeddedResource():
            return _resource(part)
    return f"[{part.type}, which cannot be shown as text]"


def _resource(part: EmbeddedResource) -> str:
    resource = part.resource
    if isinstance(resource, TextResourceContents):
        return f"{resource.uri}:\n{resource.text}"
    kind = resource.mime_type or ""
    if kind.startswith("text/") or kind.endswith(("json", "xml", "yaml")):
        with suppress(binascii.Error, ValueError):
            return f"{resource.uri}:\n{base64.b64decode(resource.blob).decode('utf-8')}"
    return f"[{resource.uri}, {_about(kind or 'of an unknown kind', resource.blob)}; it is no text]"


def _about(kind: str, data: str) -> str:
    return f"{kind}, {len(data) * 3 // 4} bytes"
