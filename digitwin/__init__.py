"""Everything a live digital twin must remember, in one PostgreSQL and one ``async with``."""
