"""Finds an id in names that callers chose, in every spelling in which it may be stored.

Names are stored in one spelling (``one_spelling``), but rows of earlier releases are not. The
spellings are listed, so that the index on the name finds them.
"""

from __future__ import annotations

_ID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def spellings(name: str) -> str:
    """Return SQL for an array of all spellings of a name, itself included.

    The name ``user:<id>`` is a spelling of an id, too: both name one person.

    Args:
        name: SQL for the name, in its one spelling.
    """
    return f"""CASE WHEN {name} ~ '(^|[:/]){_ID}$' THEN ARRAY(
        SELECT prefix || form
        FROM (SELECT left({name}, -36) AS given, right({name}, 36) AS id) AS named,
             unnest(ARRAY[given, CASE given WHEN '' THEN 'user:' END]) AS prefix,
             unnest(ARRAY[id, replace(id, '-', '')]) AS short,
             unnest(ARRAY[short, upper(short)]) AS spelled,
             unnest(ARRAY[spelled, '{{' || spelled || '}}', 'urn:uuid:' || spelled,
                          'URN:UUID:' || spelled]) AS form
        WHERE prefix IS NOT NULL
    ) ELSE ARRAY[{name}] END"""


def id_in(name: str) -> str:
    """Return SQL for the id in a name, whatever its spelling and what precedes it.

    Args:
        name: SQL for the name.

    Returns:
        SQL for text that is an id only if the name contains one.
    """
    hex = f"translate(lower(substring({name} FROM '[^:/]*$')), '-{{}}', '')"
    parts = "^(.{8})(.{4})(.{4})(.{4})(.{12})$"
    return f"regexp_replace({hex}, '{parts}', '\\1-\\2-\\3-\\4-\\5')"
