"""Clients that end in every way but the right one: nothing is left of them, and nobody else notices."""

import gc
import itertools
import threading

import pytest

from augfarm.client import ClosedError
from chaos.faults import Background, frozen
from chaos.jobs import Job, client_for, judge
from chaos.recovery import Stopwatch
from chaos.trainer import Trainer
from farms import wait_until

#: With its pixels a batch takes 5 to 20 ms.
JOB = Job(seconds=(0.0035, 0.0185))
#: 6 MB: more than the kernel's buffers take, so that a frozen client is in the middle of one.
LARGE = Job("large", images=2, size=1000)
COUNT = 60
BUFFER = 8


@pytest.fixture(autouse=True)
def neighbour(farm):
    """Another client of the farm, at work all the while: it gets every batch, and no worker is lost."""
    over = threading.Event()
    with client_for(JOB, farm.clients) as client:
        source = itertools.takewhile(lambda _: not over.is_set(), JOB.batches())
        run = Background(list, client.imap_batches(source, 2, with_info=True))
        yield
        over.set()
        got = run.finish()
    judge(JOB, got, len(got))
    assert got
    assert [worker["id"] for worker in farm.status()["workers"]] == [0, 1]


def only_the_neighbour_is_left(farm):
    return len(farm.status()["clients"]) == 1


def test_killed(farm):
    with Trainer(farm.clients, JOB) as trainer:
        trainer.wait_for_first()
        trainer.kill()
        since = Stopwatch("client killed, forgotten")
        wait_until(lambda: only_the_neighbour_is_left(farm), "the broker forgets it")
        since.stop()


@pytest.mark.parametrize("job", [JOB, pytest.param(LARGE, marks=pytest.mark.slow)], ids=["small", "large"])
def test_frozen_past_its_heartbeat_and_thawed(farm, job):
    count = COUNT if job is JOB else 12
    with Trainer(farm.clients, job, count) as trainer:
        trainer.wait_for_first()
        with frozen(trainer.pid):
            since = Stopwatch("client frozen, forgotten")
            wait_until(lambda: only_the_neighbour_is_left(farm), "the broker forgets it")
            since.stop()
        since = Stopwatch("client frozen for 4 s, thawed, back")
        wait_until(lambda: not only_the_neighbour_is_left(farm), "it comes back")
        since.stop()
        assert trainer.has_all()


def test_forked_in_mid_iteration(farm):
    """The child is told, and ends with all its finalizers; the parent goes on."""
    with Trainer(farm.clients, JOB, COUNT, how="fork") as trainer:
        trainer.wait_for_first()
        assert trainer.has_all()


def test_closed_in_mid_iteration(farm):
    client = client_for(JOB, farm.clients)
    results = client.imap_batches(JOB.batches(), BUFFER)
    list(itertools.islice(results, 5))
    client.close()
    with pytest.raises(ClosedError):
        list(results)


def test_closed_while_another_thread_waits_for_a_batch(farm, journal):
    client = client_for(JOB, farm.clients, journal=journal, held=[0])
    waits = Background(next, client.imap_batches(JOB.batches(), BUFFER))
    wait_until(lambda: journal.began(0), "the batch is at work")
    client.terminate()
    with pytest.raises(ClosedError):
        waits.finish()
    journal.open_gate()


def test_left_in_mid_iteration(farm):
    """The iterator is dropped, or kept and never read again: the next call of the same client is complete."""
    with client_for(JOB, farm.clients) as client:
        others = loaders()
        for _ in client.imap_batches(JOB.batches(), BUFFER):
            assert len(loaders()) == len(others) + 1
            break
        wait_until(lambda: loaders() == others, "nobody loads for it any more")
        wait_until(lambda: farm.status()["clients"][-1]["calls"] == 0, "the broker has nothing of it")
        kept = client.imap_batches(JOB.batches(), BUFFER)
        next(kept)
        judge(JOB, client.map_batches(JOB.batches(COUNT), start=0, with_info=True), COUNT)
        next(kept)


def loaders():
    return {thread for thread in threading.enumerate() if thread.name.startswith("augfarm-loader")}


def test_dropped_in_mid_iteration(farm):
    def begin():
        client = client_for(JOB, farm.clients)
        results = client.imap_batches(JOB.batches(), BUFFER)
        list(itertools.islice(results, 5))
        assert len(farm.status()["clients"]) == 2
        # Only the collector can end this: the two know each other, and nobody else knows them.
        client.mine, results.mine = results, client

    begin()
    gc.collect()
    wait_until(lambda: only_the_neighbour_is_left(farm), "it says goodbye")
