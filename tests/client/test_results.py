"""The result of a call in the background."""

import multiprocessing
import threading

import pytest

from augfarm.client.results import AsyncResult

PATIENCE = 10


def test_it_waits_and_gets():
    gate = threading.Event()

    def batches():
        gate.wait(PATIENCE)
        yield 1

    called = []
    result = AsyncResult(batches(), called.append)
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(0.01)
    gate.set()
    assert result.get(PATIENCE) == [1]
    assert result.successful()
    assert called == [[1]]


def test_an_exception_is_raised_by_get_and_handed_to_the_callback():
    def batches():
        yield 1
        raise KeyError("x")

    errors = []
    result = AsyncResult(batches(), None, errors.append)
    with pytest.raises(KeyError):
        result.get(PATIENCE)
    assert not result.successful()
    assert isinstance(errors[0], KeyError)


def test_a_callback_that_raises_is_told_and_leaves_nobody_waiting(caplog):
    def callback(batches):
        raise RuntimeError("mine")

    assert AsyncResult([1], callback).get(PATIENCE) == [1]
    assert "mine" in caplog.text


def test_a_callback_may_ask_for_the_result_and_has_returned_when_others_get_it():
    gate, seen = threading.Event(), []

    def callback(batches):
        gate.wait(PATIENCE)
        result.wait()
        seen.append(result.get())
        result.join()

    result = AsyncResult([1], callback)
    gate.set()
    assert result.get(PATIENCE) == [1]
    assert seen == [[1]]
