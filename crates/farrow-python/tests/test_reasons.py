"""Every reason that the agent refuses for has an exception of its own, as the Rust table has it."""

import inspect
import pickle

import farrow
import pytest
from farrow import _farrow

REASONS = {word: (retry, error) for word, retry, error in _farrow.reasons()}
KINDS = [kind for kind in vars(farrow).values() if inspect.isclass(kind) and issubclass(kind, farrow.Error)]


def test_there_are_as_many_exceptions_as_reasons():
    words = [kind.reason for kind in KINDS if kind.reason is not None]
    assert sorted(words) == sorted(REASONS)


@pytest.mark.parametrize("word", REASONS)
def test_a_reason_becomes_its_exception(word):
    retry, error = REASONS[word]
    assert (type(error).reason, type(error).retry) == (word, retry)
    assert type(error) in KINDS and str(error) == word
    # "not-found" is NotFound: who knows one word knows the other.
    assert type(error).__name__ == "".join(part.capitalize() for part in word.split("-"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_exception_is_documented_exported_and_can_be_sent(kind):
    assert kind.__doc__ and kind.__name__ in farrow.__all__
    assert kind.__module__ == "farrow"
    back = pickle.loads(pickle.dumps(kind("what happened")))
    assert type(back) is kind and str(back) == "what happened"


def test_denied_covers_unauthenticated():
    assert issubclass(farrow.Unauthenticated, farrow.Denied)
