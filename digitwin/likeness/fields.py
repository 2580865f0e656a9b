"""What a voice or face model is made of, as callers give it, and the life it leads."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Required
from uuid import UUID

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.kernel.primitives.validation import STRICT, FiniteFloat, JsonObject, line

Status = Literal["pending", "training", "ready", "failed"]

STEPS: Final[dict[str, frozenset[str]]] = {
    "pending": frozenset({"training", "ready", "failed"}),
    "training": frozenset({"ready", "failed", "pending"}),
    "ready": frozenset({"training"}),
    "failed": frozenset({"pending", "training"}),
}
"""What each status may become. A model that comes trained goes from pending to ready at once,
a training called off goes back to pending, a ready model may be trained again, and a failed
one is ready only after another training."""

Name = Annotated[str, line(200)]
Provider = Annotated[str, line(100)]
ArtifactUri = Annotated[str, line(2048)]
Checksum = Annotated[str, line(128)]
Score = Annotated[FiniteFloat, Field(ge=0, le=1)]


@with_config(STRICT)
class NewModel(TypedDict, total=False):
    """Fields of ``create``; ``name`` is needed, and ``user_id`` outside ``for_user``.

    ``user_id`` is the person the model imitates, ``provider`` who trains or hosts it,
    ``artifact_uri`` where its file is and ``checksum`` what that file must be.
    ``quality_score`` goes from 0 to 1. ``is_active`` does what ``activate`` does.
    """

    user_id: UUID | str
    name: Required[Name]
    provider: Provider | None
    artifact_uri: ArtifactUri | None
    checksum: Checksum | None
    status: Status
    quality_score: Score | None
    is_active: bool
    metadata: JsonObject


class NewModelRow(NewModel, total=False):
    """One row of ``create_many``: the fields of ``create``, and ``id`` if the caller made one."""

    id: UUID | str


@with_config(STRICT)
class ModelChanges(TypedDict, total=False):
    """Fields of ``update``; ``is_active`` is changed by ``activate`` and ``deactivate``."""

    name: Name
    provider: Provider | None
    artifact_uri: ArtifactUri | None
    checksum: Checksum | None
    status: Status
    quality_score: Score | None
    metadata: JsonObject


@with_config(STRICT)
class ModelFilters(TypedDict, total=False):
    """What ``list``, ``stream``, ``count`` and ``exists`` can ask for; None means "has none"."""

    user_id: UUID | str
    name: Name
    provider: Provider | None
    status: Status
    is_active: bool


NEW = TypeAdapter(NewModel)
CHANGES = TypeAdapter(ModelChanges)
FILTERS = TypeAdapter(ModelFilters)
