"""How fast digitwin is beside what one would use instead: ``make bench``.

- ``operations``    what is measured, and the targets
- ``filling``       the rows it is measured on
- ``servers``       PostgreSQL and Redis for one run, the cores they run on, their processor time
- ``recording``     the statements that digitwin sends, for the peers that send the same
- ``peers``         the contestants, one module each; ``node_pg`` is the one in JavaScript
- ``worker``        a peer's own process; ``contestants`` and ``node`` start and order them
- ``sections``      one condition: servers, rows, processes
- ``runner``        interleaved rounds of one operation
- ``starting``      from the start of a process to its first result
- ``results``       figures, verdicts, and the JSON that keeps them
- ``report``        the same as Markdown; ``charts`` as pictures
- ``growth``        one operation in small tables and in large ones: ``make bench-growth``
- ``retrieval``     quality and speed of the search on a test collection

Nothing here is imported by the package, and only its public API is imported here.
"""
