"""Errors that a caller sees."""

import pytest

from augfarm.client.outcomes import error_of
from augfarm.protocol.errors import AugmentationFailed, BatchPoisoned, FarmRefused
from augfarm.protocol.messages import FAILURE_KINDS, Fail
from augfarm.protocol.seeds import Seed

SEED = Seed("worker", 1, 9, 4)


def fail(kind):
    return Fail(0, 4, 3, kind, "ValueError", "too dark", "Traceback ...")


@pytest.mark.parametrize("kind", FAILURE_KINDS)
def test_every_kind_has_an_error_that_says_what_the_worker_said(kind):
    error = error_of(fail(kind), 9, SEED)
    assert isinstance(
        error, {"pipeline": FarmRefused, "poisoned": BatchPoisoned}.get(kind, AugmentationFailed)
    )
    assert ("too dark" in str(error)) == (kind != "poisoned")


def test_a_raised_error_has_everything_a_replay_needs():
    error = error_of(fail("raised"), 9, SEED)
    assert (error.index, error.worker_id, error.seed, error.exception_type) == (9, 4, SEED, "ValueError")
    assert "Traceback ..." in str(error)


def test_poison_says_how_often():
    error = error_of(fail("poisoned"), 9, SEED)
    assert error.attempts == 3
    assert "3 worker processes died" in str(error)
