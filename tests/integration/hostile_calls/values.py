"""What callers send by mistake or on purpose, as values for any parameter."""

from __future__ import annotations

import array
import enum
import ipaddress
import itertools
import math
from collections import OrderedDict, UserDict, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy
from hypothesis import strategies as st

MARK = "s3cret"
"""Part of each text, so that an error which repeats a value is found."""
KEY = "no-such-field"
"""An error names an unknown field, as its caller must find what was misspelt."""


class Refuses:
    """Raises in whatever Python asks of it; a ``TypeError`` would look like a wrong signature."""

    def _raise(self, *_: Any) -> Any:
        raise RuntimeError("asked")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _raise
    __hash__ = __len__ = __iter__ = __contains__ = __getitem__ = __bool__ = _raise
    __str__ = __repr__ = __format__ = __bytes__ = __index__ = __int__ = __float__ = _raise
    __call__ = __await__ = __aiter__ = __enter__ = __aenter__ = keys = values = items = _raise
    tolist = utcoffset = total_seconds = _raise


class _Unlike:
    """Methods of values that other code trusts, all raising."""

    def _raise(self, *_: Any) -> Any:
        raise RuntimeError("asked")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = __str__ = __repr__ = _raise
    __format__ = __bool__ = _raise


class StrangeText(_Unlike, str):
    __len__ = __iter__ = __contains__ = __getitem__ = encode = strip = lower = _Unlike._raise
    replace = isprintable = isascii = split = startswith = partition = _Unlike._raise


class StrangeKey(StrangeText):
    """Can be a key of a dict, and nothing else."""

    __hash__ = str.__hash__


class StrangeInt(_Unlike, int):
    __int__ = __index__ = __float__ = __add__ = __sub__ = __round__ = _Unlike._raise


class StrangeFloat(_Unlike, float):
    __int__ = __float__ = __mul__ = __rmul__ = __round__ = _Unlike._raise


class StrangeDict(_Unlike, dict):  # type: ignore[type-arg]
    __iter__ = __len__ = __getitem__ = keys = values = items = get = pop = copy = _Unlike._raise


class StrangeList(_Unlike, list):  # type: ignore[type-arg]
    __iter__ = __len__ = __getitem__ = _Unlike._raise


class EndlessDict(dict):  # type: ignore[type-arg]
    """Its items never end, and are not the ones that it has."""

    def items(self) -> Any:
        return itertools.count()


class Endless:
    def __iter__(self) -> Iterator[Any]:
        return itertools.count()


class EndlessTurns:
    def __iter__(self) -> Iterator[Any]:
        return itertools.repeat({"user_text": MARK})


class Shrinks:
    """Says that it is short and is not."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        return itertools.repeat(MARK)


class LyingMapping(Mapping[str, Any]):
    """Has keys without values."""

    def __getitem__(self, key: str) -> Any:
        raise KeyError(MARK)

    def __iter__(self) -> Iterator[str]:
        return iter(["user_id", "email", KEY])

    def __len__(self) -> int:
        return 3


class EndlessMapping(LyingMapping):
    def __iter__(self) -> Iterator[str]:
        return map(str, itertools.count())


class Poses:
    """Poses as an instance of another class."""

    def __init__(self, kind: type) -> None:
        self._kind = kind

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return self._kind


class NoClass:
    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise RuntimeError("asked")


class StrangeZone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise RuntimeError("asked")


class StrEnum(enum.StrEnum):
    VALUE = MARK


class Pair(NamedTuple):
    first: str
    second: int


def nested(kind: type, depth: int = 5000) -> Any:
    value: Any = kind()
    for _ in range(depth):
        value = [value] if kind is list else (value,) if kind is tuple else {KEY: value}
    return value


def circular() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def broken(_: Any = None) -> Iterator[Any]:
    yield {"user_text": "one"}
    raise RuntimeError("asked")


async def raises() -> Any:
    raise ArithmeticError


async def never_stored() -> Any:
    return {1, 2}


TEXTS = (
    "",
    " ",
    "\t\n",
    f"{MARK}\0",
    f"\ud800{MARK}",
    f"{MARK}\udfff",
    MARK * 200_000,
    f"{MARK}\n{MARK}",
    f"{MARK}'; DROP TABLE users; --",
    f'{MARK}"$1:name%s{{}}{{0}}\\',
    "\u200b",
    "\u2060\ufeff",
    "\u0301\u0308",
    "\u3164\u115f",
    "\u202e" + MARK,
    "0" * 36,
    "00000000-0000-0000-0000-000000000000",
    "{00000000-0000-7000-8000-000000000000}",
    "９" * 32,
    "infinity",
    "-infinity",
    "NaN",
    "true",
    "no",
    "0",
    "1e400",
    "AAAAAAAAAAAAAAAAAAAAAA",
    "9223372036854775808:0",
    "0:0",
    f"{MARK}@" + "x" * 250 + ".com",
    f"{MARK}@xn--a.example",
    "\N{LATIN SMALL LETTER SHARP S}" * 400,
    "\ufdfa" * 200,
)
NUMBERS = (
    0,
    1,
    -1,
    2**31,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**400,
    -(10**5000),
    0.0,
    -0.0,
    0.5,
    1e308,
    5e-324,
    math.inf,
    -math.inf,
    math.nan,
    Decimal("1.5"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal("1e999999"),
    Fraction(1, 3),
    1 + 2j,
    True,
    False,
)
MOMENTS = (
    datetime(1, 1, 1),  # noqa: DTZ001 - naive on purpose
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23))),
    datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=23))),
    datetime(2026, 1, 1, tzinfo=StrangeZone()),
    date(2026, 1, 1),
    timedelta.max,
    timedelta.min,
    timedelta(microseconds=1),
)
MAKERS: tuple[Callable[[], Any], ...] = (
    Refuses,
    lambda: Refuses,
    lambda: StrangeText(MARK),
    lambda: StrangeText("owner"),
    lambda: StrangeText("01890000-0000-7000-8000-000000000000"),
    lambda: StrangeInt(5),
    lambda: StrangeFloat(5.5),
    lambda: StrangeDict({"user_text": MARK}),
    lambda: [StrangeDict({"user_text": MARK, "action": MARK, "email": MARK})],
    lambda: StrangeList([MARK]),
    lambda: EndlessDict({KEY: MARK}),
    Endless,
    EndlessTurns,
    Shrinks,
    LyingMapping,
    EndlessMapping,
    lambda: [LyingMapping()],
    lambda: [EndlessMapping()],
    lambda: Poses(str),
    lambda: Poses(dict),
    lambda: Poses(UUID),
    lambda: Poses(list),
    NoClass,
    lambda: nested(list),
    lambda: nested(tuple),
    lambda: nested(dict),
    circular,
    broken,
    lambda: broken,
    lambda: raises,
    lambda: never_stored,
    lambda: lambda: MARK,
    lambda: lambda *_: MARK,
    lambda: (character for character in MARK),
    lambda: iter(()),
    object,
    lambda: object,
    lambda: numpy.array(["a", MARK]),
    lambda: numpy.array([1.0, math.nan]),
    lambda: numpy.zeros((2, 2)),
    lambda: numpy.zeros(0),
    lambda: numpy.array([object()]),
    lambda: numpy.array([{KEY: 1}]),
    lambda: numpy.float32(1.5),
    lambda: numpy.float64("nan"),
    lambda: numpy.int64(5),
    lambda: numpy.bool_(True),
    lambda: numpy.str_(MARK),
    lambda: numpy.datetime64("NaT"),
    lambda: array.array("d", [1.0, math.inf]),
    lambda: range(10**12),
    lambda: [1],
    lambda: [None],
    lambda: [[]],
    lambda: [{}],
    lambda: [MARK] * 3,
    lambda: [{1: MARK}],
    lambda: [{KEY: MARK}],
    lambda: [{f"{KEY} is no name": 1}],
    lambda: [{"user_text": MARK}] * 20_000,
    lambda: [{"user_text": {"x": MARK}}],
    lambda: [{"user_text": "a", "timings": {KEY: 1}}],
    lambda: [{"email": f"{MARK}", "name": MARK}],
    lambda: [{"action": MARK, "resource": "\0", KEY: 1}],
    lambda: [0.5] * 100_000,
    lambda: [10**400],
    lambda: [Decimal("sNaN")],
    lambda: [True],
    lambda: (),
    dict,
    lambda: {KEY: {MARK}},
    lambda: {1: 2},
    lambda: {"a": math.nan},
    lambda: {"a": f"\0{MARK}"},
    lambda: {f"\ud800{MARK}": 1},
    lambda: {"a": 10**30},
    lambda: {"a": b""},
    lambda: {"a": StrangeText(MARK)},
    lambda: {StrangeKey(KEY): 1},
    lambda: {"a": StrangeInt(1)},
    lambda: {"a": StrangeFloat(1)},
    lambda: {"a": StrangeList([1])},
    lambda: {"a": StrangeDict(b=1)},
    lambda: {"a": EndlessDict(b=1)},
    lambda: {"a": MARK * 200_000},
    lambda: dict.fromkeys(range(100_000)),
    lambda: OrderedDict(a=MARK),
    lambda: defaultdict(list, a=1),
    lambda: UserDict(a=MARK),
    lambda: {MARK},
    lambda: frozenset({MARK}),
    lambda: MARK.encode(),
    lambda: bytearray(MARK.encode()),
    lambda: memoryview(MARK.encode()),
    lambda: StrEnum.VALUE,
    lambda: Pair(MARK, 1),
    lambda: ValueError(MARK),
    lambda: ValueError,
    lambda: Path(MARK),
    lambda: ipaddress.ip_address("::1"),
    lambda: ipaddress.ip_network("10.0.0.0/8"),
    lambda: NotImplemented,
    lambda: ...,
    lambda: UUID(int=0),
    lambda: UUID(int=2**128 - 1),
    lambda: slice(MARK),
    lambda: None,
)

CONSTANTS: tuple[Callable[[], Any], ...] = tuple(
    (lambda value=value: value) for value in (*TEXTS, *NUMBERS, *MOMENTS)
)
HOSTILE: tuple[Callable[[], Any], ...] = (*MAKERS, *CONSTANTS)
"""Makes each value anew, since some are used up."""

GENERATED: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text().map(MARK.__add__),
        st.binary(),
        st.datetimes(),
        st.timedeltas(),
        st.uuids(),
    ),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().map(KEY.__add__), inner),
    max_leaves=8,
)
"""Values that none thought of."""
