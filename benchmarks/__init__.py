"""How fast digitwin is beside what one would take instead: ``make bench``.

- ``operations``  what is measured, and what each operation is to cost at most
- ``filling``     the rows it is measured on
- ``servers``     PostgreSQL and Redis, made for one run
- ``peers``       the contestants, one module each
- ``runner``      interleaved rounds of one operation
- ``__main__``    the command

Nothing here is imported by the package.
"""
