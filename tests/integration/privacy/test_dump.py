"""What an outsider would find: a dump of the whole database, and the memory of the process."""

from __future__ import annotations

import json
import pickle
from base64 import b64encode

from digitwin.database import Database
from tests.integration.privacy.conftest import STRINGS, Person, fill, visit
from tests.integration.privacy.programs import dump


def spellings(text: str) -> set[str]:
    """As it may stand in a dump: itself, in JSON, as bytes in hexadecimal or base64."""
    raw = text.encode()
    return {text, json.dumps(text)[1:-1], raw.hex(), b64encode(raw).decode().rstrip("=")[:-1]}


def in_it(dumped: str, person: Person) -> list[str]:
    told = [*STRINGS, str(person.id), person.id.hex]
    return [text for text in told if any(spelt in dumped for spelt in spellings(text))]


async def test_a_dump_after_an_erasure_holds_nothing_of_them(digitwin_db: Database) -> None:
    ada = await fill(digitwin_db)
    bob = await digitwin_db.users.create(email="bob@example.com", name="Robert Boole")
    await visit(digitwin_db, bob.id, ada.id)
    await digitwin_db.users.update(ada.id, settings={"note": STRINGS[4], "passport": STRINGS[9]})
    before = in_it(await dump(digitwin_db), ada)
    assert set(STRINGS) - set(before) == {STRINGS[2], STRINGS[3]}  # addresses are sealed
    await digitwin_db.privacy.erase(ada.id, reason="asked for it")
    await digitwin_db.limits.usage()
    after = await dump(digitwin_db)
    assert in_it(after, ada) == []
    assert "Robert Boole" in after


async def test_one_deleted_before_leaves_nothing_either(digitwin_db: Database) -> None:
    ada = await fill(digitwin_db)
    await digitwin_db.users.delete(ada.id)
    await digitwin_db.privacy.erase(ada.id, reason="asked for it")
    assert in_it(await dump(digitwin_db), ada) == []


async def test_the_memory_before_the_cache_holds_nothing_of_them(
    digitwin_db: Database, ada: Person
) -> None:
    for _ in range(3):
        await digitwin_db.cache.searches.get("orchard", user_id=ada.id)
        await digitwin_db.cache.responses.get("orchard", user_id=ada.id, audience="visitor")
    memory = digitwin_db.cache._local
    held = pickle.dumps(dict(memory._held))
    assert not memory._held or in_it(held.decode("latin-1"), ada)
    await digitwin_db.privacy.erase(ada.id, reason="asked for it")
    held = pickle.dumps((dict(memory._held), memory._keys_by_target))
    assert in_it(held.decode("latin-1"), ada) == []
