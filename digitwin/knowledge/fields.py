"""Input types of documents, and the allowed changes of status."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Final, Literal, Required
from uuid import UUID

from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.errors import InvalidStateError
from digitwin.kernel.primitives.validation import STRICT, JsonObject, Line, Text

Status = Literal["pending", "processing", "ready", "failed"]
Visibility = Literal["owner", "visitors"]
Audience = Literal["owner", "visitor"]

TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "pending": frozenset({"processing", "ready", "failed"}),
    "processing": frozenset({"pending", "ready", "failed"}),
    "ready": frozenset({"pending"}),
    "failed": frozenset({"pending"}),
}
"""The statuses that ``update`` may set, by current status. A finished document is processed again
only from ``pending``; going back from ``processing`` takes it from its worker."""

VISIBLE_TO: Final[dict[str, list[str]]] = {
    "owner": ["owner", "visitors"],
    "visitor": ["visitors"],
}
"""The visibilities that each audience may see."""

MOST_CLAIMS: Final = 1000
"""The largest number of attempts that a caller can ask for."""

Title = Annotated[str, Line(500)]
Content = Annotated[str, Text(10_000_000)]
ContentType = Annotated[str, Line(100)]
SourceUri = Annotated[str, Line(2048)]
ContentHash = Annotated[str, Line(64)]


class _Details(TypedDict, total=False):
    content_type: ContentType
    source_uri: SourceUri | None
    content_hash: ContentHash
    visibility: Visibility
    metadata: JsonObject


@with_config(STRICT)
class NewDocument(_Details, total=False):
    """Fields of ``create``; ``title`` and ``content`` are required, ``user_id`` outside a scope."""

    user_id: UUID | str
    title: Required[Title]
    content: Required[Content]
    status: Literal["pending", "ready", "failed"]


class NewDocumentRow(NewDocument, total=False):
    """A row of ``create_many``: the arguments of ``create``."""

    id: UUID | str


@with_config(STRICT)
class DocumentChanges(_Details, total=False):
    """Fields of ``update``."""

    title: Title
    content: Content
    status: Status


@with_config(STRICT)
class ResultingChanges(DocumentChanges, total=False):
    """What ``update`` writes: the caller's changes and the fields that they reset."""

    attempts: int
    worker: None
    lease_token: None
    lease_until: None
    error: None


@with_config(STRICT)
class DocumentFilters(TypedDict, total=False):
    """Filters of ``list``, ``stream``, ``count`` and ``exists``; None matches NULL."""

    user_id: UUID | str
    title: Title
    content_type: ContentType
    source_uri: SourceUri | None
    content_hash: ContentHash
    visibility: Visibility
    status: Status


@with_config(STRICT)
class _Search(TypedDict):
    query: Annotated[str, Text(4000)]
    audience: Audience


@with_config(STRICT)
class _Failure(TypedDict):
    error: Annotated[str, Text(2000)]


@with_config(STRICT)
class _Worker(TypedDict):
    worker: Annotated[str, Line(200)]


NEW = TypeAdapter(NewDocument)
CHANGES = TypeAdapter(DocumentChanges)
RESULTING_CHANGES = TypeAdapter(ResultingChanges)
FILTERS = TypeAdapter(DocumentFilters)
SEARCH = TypeAdapter(_Search)
FAILURE = TypeAdapter(_Failure)
WORKER = TypeAdapter(_Worker)


def digest(content: str) -> str:
    """Return the SHA-256 of the content as hex digits."""
    return sha256(content.encode()).hexdigest()


def check_transition(old: str, new: str) -> None:
    """Refuse a change of status that is not allowed.

    Raises:
        InvalidStateError: names both statuses.
    """
    if new != old and new not in TRANSITIONS[old]:
        raise InvalidStateError(
            f"a document that is {old} cannot become {new}", field="status", status=old, wanted=new
        )
