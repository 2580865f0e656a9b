"""Everything a live digital twin must remember, in one PostgreSQL and one ``async with``.

The names are those of ``digitwin._public``, loaded at the first use: the command line and
every pytest run of an environment import this package, and most of them need none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from digitwin._public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name == "__all__" or not name.startswith("_"):
        public = import_module("digitwin._public")
        if name == "__all__" or name in public.__all__:
            return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *import_module("digitwin._public").__all__})
