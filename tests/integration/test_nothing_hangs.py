"""Where imgaug's Pool hangs, or starts processes for ever, ours gives results or an error.

One test or more for each line of that table, each with a deadline, on `Pool` and on `Client`, on a farm of
their own and on one that runs elsewhere. Ctrl-C is in test_interrupts.py.
"""

import itertools
import os
import shutil
import threading

import imgaug.multicore
import pytest

import hazards
from augfarm.client import (
    AugmentationFailed,
    BatchPoisoned,
    Client,
    ClosedError,
    Pool,
    use_for_imgaug,
)
from deadline import Task, in_time
from farms import alive, running_farm, wait_until
from hazards import FINE, OS_EXIT, PAUSE, RAISE, SYS_EXIT, batch

#: Processes of a farm that workers are killed on: one that dies again and again is replaced more slowly.
MANY = 4


class Way:
    """How a trainer comes to its farm: by `Pool` or `Client`, local (no farm given) or remote."""

    def __init__(self, kind, farm, note):
        self.kind, self.farm, self.note = kind, farm, note
        self.local = None
        self.before = set(), 0

    def open(self, processes=2):
        augmenter = hazards.Hazard(str(self.note))
        address = self.farm.clients if self.farm else None
        self.before = self.sessions(), self.held()
        if self.kind is Client:
            client = opened = Client(augmenter, address, processes=None if address else processes)
        elif address:
            with use_for_imgaug(address):
                opened = imgaug.multicore.Pool(augmenter)
            client = opened._running()
        else:
            opened = Pool(augmenter, processes)
            client = opened._running()
        self.local = client._farm
        return opened

    def has_left_nothing(self):
        """Nothing of what :meth:`open` opened last is left, now that it is closed."""
        if not self.farm:
            return not any(map(alive, self.local.pids().values())) and not os.path.exists(self.local._scratch)
        sessions, held = self.before
        wait_until(lambda: self.sessions() <= sessions, "the broker forgets the client")
        return self.held() == held

    def sessions(self):
        return {client["session"] for client in self.farm.status()["clients"]} if self.farm else set()

    def held(self):
        return self.farm.status()["memory"]["held"] if self.farm else 0


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    directory = tmp_path_factory.mktemp("remote")
    shutil.copy(hazards.__file__, directory)  # where its workers find it
    with running_farm(directory, 0) as farm:
        farm.start_workers(MANY, "--allow-import", "hazards")
        yield farm


@pytest.fixture(
    scope="module",
    params=[(Pool, "local"), (Client, "local"), (Pool, "remote"), (Client, "remote")],
    ids=lambda way: f"{way[0].__name__}-{way[1]}",
)
def way(request, tmp_path_factory):
    kind, place = request.param
    farm = request.getfixturevalue("remote") if place == "remote" else None
    return Way(kind, farm, tmp_path_factory.mktemp("notes") / "note")


@pytest.fixture(scope="module")
def running(way):
    """One Pool or Client that tests share: what they do to it must not keep the next from working."""
    with way.open(MANY) as pool:
        yield pool


def imap(pool, given, **options):
    return pool.imap_batches(given, **options)


def unordered(pool, given, **options):
    return pool.imap_batches_unordered(given, **options)


def mapped(pool, given):
    return pool.map_batches(given)


every_method = pytest.mark.parametrize("method", [imap, unordered, mapped])
both_imaps = pytest.mark.parametrize("method", [imap, unordered])


def endless():
    while True:
        yield batch(FINE)


class Counted:
    """An endless source that says how many were taken from it."""

    def __init__(self, *first):
        self.first, self.taken = first, 0

    def __iter__(self):
        for what in itertools.chain(self.first, itertools.repeat(FINE)):
            self.taken += 1
            yield batch(what)

    def fills(self, buffer):
        """Wait until no more is taken: its thread waits for credit."""
        wait_until(lambda: self.taken > buffer, f"{buffer + 1} batches are taken")


# --- a worker dies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("death", "error"),
    [(OS_EXIT, BatchPoisoned), (SYS_EXIT, AugmentationFailed)],
    ids=["os._exit", "sys.exit"],
)
@every_method
def test_a_batch_that_ends_its_worker_is_an_error_and_the_farm_goes_on(running, method, death, error):
    got = []

    def run():
        for result in method(running, map(batch, [FINE, FINE, death, FINE])):
            got.append(result)

    with pytest.raises(error):
        in_time(run)
    if method is imap:
        assert len(got) == 2, "all before it come first"
    assert len(in_time(lambda: running.map_batches([batch(FINE)] * 8))) == 8


@every_method
def test_a_worker_that_is_killed_at_work_costs_nothing(way, running, method):
    way.note.unlink(missing_ok=True)
    task = Task(lambda: list(method(running, map(batch, [FINE, PAUSE, FINE, FINE]))))
    os.kill(int(wait_until(lambda: way.note.exists() and way.note.read_text(), "it is at work")), 9)
    got = [int(result[0, 0, 0, 0]) for result in task.result()]
    assert sorted(got) == [FINE, FINE, FINE, PAUSE]
    if method is not unordered:
        assert got == [FINE, PAUSE, FINE, FINE]


# --- buffers, and calls beside each other ------------------------------------------------------------------


@both_imaps
def test_a_buffer_smaller_than_the_chunks_gives_all(way, running, method):
    options = {"chunksize": 8} if way.kind is Pool else {}
    given = (batch(FINE) for _ in range(20))
    results = method(running, given, output_buffer_size=1, **options)
    assert len(in_time(lambda: list(results))) == 20


@both_imaps
def test_a_second_call_while_one_with_a_buffer_is_open(running, method):
    source = Counted()

    def run():
        results = method(running, iter(source), output_buffer_size=4)
        next(results)
        source.fills(4)
        assert len(running.map_batches([batch(FINE)] * 10)) == 10
        assert len(list(imap(running, iter([batch(FINE)] * 10), output_buffer_size=2))) == 10
        next(results)
        results.close()

    in_time(run)


# --- the source fails --------------------------------------------------------------------------------------


@every_method
def test_a_source_that_raises_gives_all_before_it_and_then_its_own_exception(running, method):
    error, got = KeyError("the disk is gone"), []

    def source():
        yield from [batch(FINE)] * 5
        raise error

    def run():
        for result in method(running, source()):
            got.append(result)

    with pytest.raises(KeyError) as caught:
        in_time(run)
    assert caught.value is error
    assert caught.value.__cause__ is None
    if method is not mapped:
        assert len(got) == 5


# --- the loop is left --------------------------------------------------------------------------------------


class Left(Exception):
    """A trainer's own reason to stop."""


def to_break(results):
    for _ in results:
        break


def to_raise(results):
    for _ in results:
        raise Left


def to_read_on(results):
    with pytest.raises(AugmentationFailed, match="as asked"):
        list(results)


def by_with(pool):
    """The end of its block closes it."""


def by_terminate(pool):
    pool.terminate()


@pytest.mark.parametrize(
    ("leave", "first", "ending"),
    [
        (to_break, [FINE], by_with),
        (to_break, [FINE], by_terminate),
        (to_read_on, [*[FINE] * 8, RAISE], by_with),
        (to_raise, [FINE], by_with),
    ],
    ids=["break", "break and terminate", "an augmenter raises", "an exception"],
)
def test_a_loop_that_is_left_ends_and_leaves_nothing(way, leave, first, ending):
    """With a buffer that is full and without one, while endless sources have more to give."""

    def run():
        with way.open() as pool:
            opened = []
            for method, buffer in ((imap, 4), (unordered, 4), (imap, None)):
                source = Counted(*first)
                opened.append(method(pool, iter(source), output_buffer_size=buffer))
                next(opened[-1])
                source.fills(buffer or 1)
            for results in opened:
                leave(results)
            ending(pool)

    try:
        in_time(run)
    except Left:
        assert leave is to_raise
    assert way.has_left_nothing()
    wait_until(lambda: not loaders(), "no thread goes on loading")


def loaders():
    return [thread for thread in threading.enumerate() if thread.name.startswith("augfarm-loader")]


@pytest.mark.parametrize("kind", [Pool, Client])
def test_a_trainer_that_waits_for_workers_may_be_ended_by_another_thread(farm_of, kind):
    way, source = Way(kind, farm_of(0), ""), Counted()
    with way.open() as pool:
        task = Task(lambda: next(imap(pool, iter(source), output_buffer_size=4)))
        wait_until(lambda: source.taken == 4, "it waits")
        pool.terminate()
        with pytest.raises(ClosedError):
            task.result()
    assert way.has_left_nothing()
