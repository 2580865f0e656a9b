"""The error tree: stable codes, safe defaults, and pickles for process pools."""

import pickle

import pytest

from digitwin import errors

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.DigiTwinError)
]


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(codes) == len(set(codes)) == 23


@pytest.mark.parametrize("kind", KINDS)
def test_the_docstring_is_the_default_message(kind: type[errors.DigiTwinError]) -> None:
    assert kind.__doc__ is not None
    assert str(kind()) == kind.__doc__.splitlines()[0]


def test_an_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(errors.InvalidInputError("limit is 0", field="limit")))
    assert type(error) is errors.InvalidInputError
    assert (str(error), error.details) == ("limit is 0", {"field": "limit"})


def test_an_unknown_outcome_is_never_called_retryable() -> None:
    assert errors.ConnectionFailedError.retryable
    assert not errors.OutcomeUnknownError.retryable
