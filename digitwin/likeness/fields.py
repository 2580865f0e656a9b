"""Fields, filters and status changes of voice and face models."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Required
from uuid import UUID

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.kernel.primitives.validation import (
    STRICT,
    ArtifactUri,
    Checksum,
    FiniteFloat,
    JsonObject,
    line,
)

Status = Literal["pending", "training", "ready", "failed"]

STEPS: Final[dict[str, frozenset[str]]] = {
    "pending": frozenset({"training", "ready", "failed"}),
    "training": frozenset({"ready", "failed", "pending"}),
    "ready": frozenset({"training"}),
    "failed": frozenset({"pending", "training"}),
}
"""The statuses that may follow each status. A model that was trained elsewhere goes directly
from pending to ready, a cancelled training goes back to pending, a ready model can be trained
again, and a failed one must be."""

Name = Annotated[str, line(200)]
Provider = Annotated[str, line(100)]
Score = Annotated[FiniteFloat, Field(ge=0, le=1)]


@with_config(STRICT)
class NewModel(TypedDict, total=False):
    """Fields of ``create``; ``name`` is required, ``user_id`` too unless under ``for_user``.

    Attributes:
        user_id: the person the model imitates.
        provider: who trains or hosts the model.
        artifact_uri: location of the model's file.
        checksum: checksum of that file.
        quality_score: 0 to 1.
        is_active: activate the model, as ``activate`` does.
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
    """One row of ``create_many``: the fields of ``create``, and optionally ``id``."""

    id: UUID | str


@with_config(STRICT)
class ModelChanges(TypedDict, total=False):
    """Fields of ``update``; ``activate`` and ``deactivate`` change ``is_active``."""

    name: Name
    provider: Provider | None
    artifact_uri: ArtifactUri | None
    checksum: Checksum | None
    status: Status
    quality_score: Score | None
    metadata: JsonObject


@with_config(STRICT)
class ModelFilters(TypedDict, total=False):
    """Filters of ``list``, ``stream``, ``count`` and ``exists``; None matches NULL."""

    user_id: UUID | str
    name: Name
    provider: Provider | None
    status: Status
    is_active: bool


NEW = TypeAdapter(NewModel)
CHANGES = TypeAdapter(ModelChanges)
FILTERS = TypeAdapter(ModelFilters)
