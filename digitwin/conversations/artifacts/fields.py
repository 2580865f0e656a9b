"""Input types of session artifacts."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Required

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.kernel.primitives.validation import (
    STRICT,
    ArtifactUri,
    AwareDatetime,
    Checksum,
    Count,
    Id,
    JsonObject,
    line,
)

Kind = Literal["recording", "video", "image", "file"]

RECORDED: Final[frozenset[Kind]] = frozenset({"recording", "video"})
"""Kinds that hold a person's voice or face: they need the owner's consent ``recording``."""

Bytes = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]


@with_config(STRICT)
class NewArtifact(TypedDict, total=False):
    """Fields of ``add_artifact``; ``kind`` and ``artifact_uri`` are required.

    Attributes:
        kind: ``recording`` and ``video`` need the owner's consent ``recording``.
        artifact_uri: where the object is kept; stored encrypted.
        checksum: the object's checksum; stored encrypted.
        turn_id: the turn that it belongs to; None: the whole session.
        content_type: its media type, such as ``audio/ogg``.
        size_bytes: its size.
        duration_ms: its length in milliseconds.
        started_at: when it begins.
        metadata: notes of the service.
    """

    kind: Required[Kind]
    artifact_uri: Required[ArtifactUri]
    checksum: Checksum | None
    turn_id: Id | None
    content_type: Annotated[str, line(100)] | None
    size_bytes: Bytes | None
    duration_ms: Count | None
    started_at: AwareDatetime | None
    metadata: JsonObject | None


@with_config(STRICT)
class ArtifactFilters(TypedDict, total=False):
    """Filters of ``artifacts``; ``turn_id=None`` finds those of no turn."""

    kind: Kind
    turn_id: Id | None


NEW = TypeAdapter(NewArtifact)
FILTERS: TypeAdapter[Any] = TypeAdapter(ArtifactFilters)
