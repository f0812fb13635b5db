"""Errors that a caller sees."""

import pickle

import pytest

from augfarm.client.outcomes import error_of, with_builtin_type
from augfarm.protocol.errors import AugmentationFailed, BatchPoisoned, FarmRefused
from augfarm.protocol.messages import FAILURE_KINDS, Fail
from augfarm.protocol.seeds import Seed

SEED = Seed("worker", 1, 9, 4)


def fail(kind):
    return Fail(0, 0, 4, 3, kind, "ValueError", "too dark", "Traceback ...")


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


class TestBuiltinTypes:
    """`except ValueError` goes on working for Pool's users."""

    @staticmethod
    def mixed(name):
        return with_builtin_type(
            error_of(Fail(0, 0, 4, 3, "raised", name, "too dark", "Traceback ..."), 9, SEED)
        )

    @pytest.mark.parametrize(
        "kind",
        [
            ValueError,
            AssertionError,
            KeyError,
            IndexError,
            TypeError,
            ZeroDivisionError,
            OSError,
            MemoryError,
        ],
    )
    def test_an_error_is_an_instance_of_both_and_knows_the_same(self, kind):
        error = self.mixed(kind.__name__)
        assert isinstance(error, kind)
        assert isinstance(error, AugmentationFailed)
        assert (error.index, error.worker_id, error.seed, error.attempts) == (9, 4, SEED, 3)
        assert "too dark" in str(error)
        assert "Traceback ..." in str(error)

    @pytest.mark.parametrize(
        "name",
        [
            "StopIteration",
            "StopAsyncIteration",
            "KeyboardInterrupt",
            "SystemExit",
            "print",
            "NotThere",
            "error",
        ],
    )
    def test_what_would_end_a_loop_or_is_no_exception_stays_our_own(self, name):
        assert type(self.mixed(name)) is AugmentationFailed

    def test_a_type_with_arguments_of_its_own(self):
        error = self.mixed("UnicodeDecodeError")
        assert isinstance(error, AugmentationFailed)
        assert "too dark" in str(error)

    @pytest.mark.parametrize("name", ["ValueError", "OSError", "KeyError", "MemoryError", "NotThere"])
    def test_errors_cross_processes(self, name):
        error = self.mixed(name)
        again = pickle.loads(pickle.dumps(error))
        assert [kind.__name__ for kind in type(again).__mro__] == [k.__name__ for k in type(error).__mro__]
        assert str(again) == str(error)
        assert vars(again) == vars(error)

    def test_other_errors_are_left_alone(self):
        error = error_of(fail("poisoned"), 9, SEED)
        assert with_builtin_type(error) is error
