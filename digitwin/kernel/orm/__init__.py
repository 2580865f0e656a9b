"""The models' base on Tortoise. Importing this package imports Tortoise, in two thirds of its time.

Tortoise looks for comments in the source of each model class, that of its own base class among
them: it parses 1,700 lines at every start (some 45 ms), for a class that has no field to describe.
While Tortoise is imported, that source is empty for :mod:`linecache`, which is where it is read.
"""

import linecache
import sys
from importlib import import_module
from importlib.util import find_spec


def _import_tortoise() -> None:
    spec = find_spec("tortoise")
    folders = (spec and spec.submodule_search_locations) or []
    sources = [f"{folder}/models.py" for folder in folders]
    # Without a time of change, linecache does not look at the file
    linecache.cache.update({source: (0, None, [], source) for source in sources})
    try:
        import_module("tortoise.models")
    finally:
        for source in sources:
            linecache.cache.pop(source, None)


if "tortoise.models" not in sys.modules:
    _import_tortoise()
