"""What a message contains besides text: what kind it is, and how large, never the media itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from livekit.agents.llm import AudioContent, ChatMessage, ImageContent

from digitwin.conversations.content.fields import ItemKind

MAX_ADDRESS = 2048
"""Characters of an address."""


def media(message: ChatMessage) -> Iterator[tuple[ItemKind, dict[str, Any]]]:
    """Return kind and description of each image and recording in a message."""
    for part in message.content:
        if isinstance(part, ImageContent):
            yield "image", _image(part)
        elif isinstance(part, AudioContent):
            seconds = sum(frame.duration for frame in part.frame)
            yield "audio", {"duration_ms": round(1000 * seconds), "transcript": part.transcript}


def _image(part: ImageContent) -> dict[str, Any]:
    if not isinstance(part.image, str):
        return {"width": part.image.width, "height": part.image.height}
    if not part.image.startswith("data:"):
        return {"uri": part.image[:MAX_ADDRESS]}
    header, _, body = part.image.partition(",")
    content_type, *flags = header.removeprefix("data:").split(";")
    size = len(body) * 3 // 4 - body[-2:].count("=") if "base64" in flags else len(body)
    return {"content_type": content_type[:MAX_ADDRESS], "size_bytes": size}
