"""Changes of single keys of a row's ``metadata``, which do not overwrite each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.jsonb import MAX_BYTES

PATCH = "metadata_patch"


def take_patch(values: dict[str, Any]) -> dict[str, Any]:
    """Replace a patch among an update's values by the keys to set.

    Returns:
        The further parameters of :func:`crud.update` with ``merges``; empty without a patch.

    Raises:
        InvalidInputError: ``metadata`` is given as well.
    """
    patch = values.pop(PATCH, None)
    if patch is None:
        return {}
    if "metadata" in values:
        raise InvalidInputError("give metadata or metadata_patch, not both", field=PATCH)
    values["metadata"] = {key: value for key, value in patch.items() if value is not None}
    removed = [key for key, value in patch.items() if value is None]
    return {"removed": removed, "max_bytes": MAX_BYTES}


def too_large(merge: Mapping[str, Any]) -> InvalidInputError:
    """Return the error for a patch after which the metadata would be too large."""
    limit = merge["max_bytes"]
    return InvalidInputError(
        f"metadata would be larger than {limit:,} bytes of JSON", field=PATCH, limit=limit
    )
