"""How fast digitwin is beside what one would take instead: ``make bench``.

- ``operations``  what is measured, and what each operation may cost
- ``filling``     the rows it is measured on
- ``servers``     PostgreSQL and Redis, made for one run; ``conditions`` says how they are reached
- ``peers``       the contestants, one module each
- ``runner``      interleaved rounds of one operation; ``results`` makes figures of them
- ``terminal``, ``report``, ``charts``: the table at the end, the page, the pictures
- ``growth``      one operation in small tables and in large ones: ``make bench-growth``

Nothing here is imported by the package.
"""
