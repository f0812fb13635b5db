"""What loader, link and caller share, without a farm."""

import gc
import threading

import pytest

from augfarm.client.calls import BatchIterator, Call, Numbering, load
from augfarm.client.outcomes import FailedBatch, Outcome
from augfarm.protocol.errors import AugmentationFailed, ClosedError, FarmRefused, FarmUnavailable

PATIENCE = 10


def call_of(buffer=3, *, ordered=True, advice=2):
    return Call(0, ordered=ordered, buffer=buffer, advice=advice)


def iterator_over(call, **options):
    ended = threading.Event()
    arguments = {"on_error": "raise", "with_info": False, "progress": None} | options
    return BatchIterator(object(), call, lambda: None, ended.set, **arguments), ended


class Echo:
    """A farm of none: every batch comes back as it was, at once."""

    def __init__(self, call):
        self.call, self.posted = call, []

    def __call__(self, batch, position):
        self.posted.append(batch)
        self.call.add(position, Outcome(position, batch))


def in_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def test_numbers_are_taken_once_by_any_number_of_threads():
    numbering, taken = Numbering(5), []
    threads = [in_thread(lambda: taken.extend(numbering.take() for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(taken) == list(range(5, 2005))


def test_the_loader_stops_at_the_credit_and_goes_on_when_a_batch_is_handed_over():
    call = call_of(3)
    echo = Echo(call)
    loader = in_thread(load, iter(range(100)), call, echo)
    results, _ = iterator_over(call)
    assert [next(results) for _ in range(60)] == list(range(60))
    assert len(echo.posted) <= 63
    assert list(results) == list(range(60, 100))
    loader.join(PATIENCE)
    assert not loader.is_alive()


def test_a_loader_without_a_reader_stops_at_exactly_the_credit():
    call = call_of(3)
    echo = Echo(call)
    blocked = threading.Event()

    def source():
        yield from range(3)
        blocked.set()
        yield 3

    loader = in_thread(load, source(), call, echo)
    call.close()  # as if the caller left: the loader must end though nobody reads
    loader.join(PATIENCE)
    assert not loader.is_alive()
    assert not blocked.is_set()


def test_advice_moves_only_calls_that_follow_it():
    following, fixed = call_of(None, advice=1), call_of(1)
    for call in (following, fixed):
        call.took()
        call.follow(5)
    assert following.acquire()
    waiting = in_thread(fixed.acquire)
    assert waiting.is_alive()
    fixed.close()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()


def test_the_sources_exception_comes_after_all_batches_before_it():
    call = call_of(9)
    error = OSError("gone")

    def source():
        yield from "ab"
        raise error

    load(source(), call, Echo(call))
    results, ended = iterator_over(call)
    assert [next(results), next(results)] == ["a", "b"]
    with pytest.raises(OSError, match="gone") as caught:
        next(results)
    assert caught.value is error
    assert ended.is_set()
    assert list(results) == []


def test_a_defect_while_posting_ends_the_call_instead_of_hanging_it():
    call = call_of(9)

    def post(batch, position):
        raise MemoryError("no room")

    load([1, 2], call, post)
    results, _ = iterator_over(call)
    with pytest.raises(MemoryError):
        next(results)


def test_failures_by_on_error():
    error = AugmentationFailed("no", index=1)
    for on_error, expected in (("skip", [0, 2]), ("return", [0, FailedBatch(1, error, "b"), 2])):
        call = call_of(9)
        for position in range(3):
            call.took()
            call.add(position, Outcome(1, "b", error) if position == 1 else Outcome(position, position))
        call.source_over()
        results, _ = iterator_over(call, on_error=on_error)
        assert list(results) == expected


def test_a_refused_pipeline_is_raised_whatever_on_error_says():
    call = call_of(9)
    call.took()
    call.add(0, Outcome(0, None, FarmRefused("no", code="pipeline")))
    results, _ = iterator_over(call, on_error="skip")
    with pytest.raises(FarmRefused):
        next(results)


def test_unavailable_is_raised_once_and_the_call_goes_on():
    call = call_of(9)
    call.took()
    results, ended = iterator_over(call)
    call.interrupt(FarmUnavailable("slow"))
    with pytest.raises(FarmUnavailable):
        next(results)
    assert not ended.is_set()
    call.add(0, Outcome(0, "late"))
    assert next(results) == "late"


def test_an_interruption_that_nobody_saw_is_gone_when_the_farm_works_again():
    call = call_of(9)
    call.took(), call.took()
    call.interrupt(FarmUnavailable("slow"))
    call.resume()
    call.add(0, Outcome(0, "a"))
    results, _ = iterator_over(call)
    assert next(results) == "a"
    call.interrupt(FarmUnavailable("slow"))
    call.add(1, Outcome(1, "b"))
    assert next(results) == "b"
    call.source_over()
    assert list(results) == []


def test_what_is_ready_comes_before_the_end():
    call = call_of(9)
    call.took(), call.took()
    call.add(0, Outcome(0, "ready"))
    call.fail(ClosedError("closed"))
    results, _ = iterator_over(call)
    assert next(results) == "ready"
    with pytest.raises(ClosedError):
        next(results)


def test_an_iterator_that_is_dropped_ends_its_call():
    call = call_of(1)
    results, ended = iterator_over(call)
    loader = in_thread(load, iter(int, 1), call, Echo(call))
    assert next(results) == 0
    del results
    gc.collect()
    assert ended.wait(PATIENCE)
    loader.join(PATIENCE)
    assert not loader.is_alive()


def test_a_closed_iterator_is_exhausted_and_ends_once():
    call = call_of(1)
    ends = []
    results = BatchIterator(
        object(), call, lambda: None, lambda: ends.append(1), on_error="raise", with_info=False, progress=None
    )
    with results:
        pass
    results.close()
    assert list(results) == []
    assert ends == [1]


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), KeyboardInterrupt()])
def test_a_call_that_cannot_start_says_so_once_and_is_exhausted(error):
    def start():
        raise error

    call, ended = call_of(), threading.Event()
    iterator = BatchIterator(
        object(), call, start, ended.set, on_error="raise", with_info=False, progress=None
    )
    with pytest.raises(type(error)):
        next(iterator)
    assert ended.is_set()
    rest = []
    reader = in_thread(lambda: rest.append(list(iterator)))
    reader.join(PATIENCE)
    assert rest == [[]], "nobody loads, so nothing may be waited for"


def test_infos_come_in_pairs():
    call = call_of(1)
    call.took()
    call.add(0, Outcome(7, "b", worker_id=2, attempts=1, seconds_augmenting=0.5))
    results, _ = iterator_over(call, with_info=True)
    batch, info = next(results)
    assert (batch, info.index, info.worker_id, info.attempts, info.seconds_augmenting) == ("b", 7, 2, 1, 0.5)
