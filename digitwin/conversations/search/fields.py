"""Input types of the search over what was said."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.kernel.primitives.validation import STRICT, Text

Audience = Literal["owner", "visitor"]
Order = Literal["relevance", "newest"]


@with_config(STRICT)
class _Search(TypedDict):
    query: Annotated[str, Text(4000)]
    audience: Audience
    order: Order


SEARCH = TypeAdapter(_Search)
