"""Workers that come and go as planned, while a run is on: no batch is done twice because of it."""

import itertools
import signal
import threading
from collections import Counter

import pytest

from chaos.faults import Background
from chaos.jobs import Job, client_for, judge
from farms import wait_until

JOB = Job(seconds=(0.015, 0.045))


@pytest.fixture
def run(chaos_farm, journal):
    """A farm of one worker, and a client at work on it, each of whose batches is done once."""
    farm = chaos_farm(1)
    over = threading.Event()
    # A second try of a late batch is another matter.
    with client_for(JOB, farm.clients, journal=journal, hedge=False) as client:
        source = itertools.takewhile(lambda _: not over.is_set(), JOB.batches())
        run = Background(list, client.imap_batches(source, 32, with_info=True))
        yield farm
        over.set()
        got = run.finish()
        judge(JOB, got, len(got))
    times = Counter(note.number for note in journal.began())
    assert times == Counter(range(len(got))), "each batch was begun once"
    assert len(journal.ended()) == len(got)


def workers_of(farm):
    return len(farm.status()["workers"])


def works(journal, count):
    """Wait until so many processes have done batches that were not done before."""
    before = len(journal.ended())
    wait_until(
        lambda: len({note.pid for note in journal.ended()[before:]}) >= count, f"{count} workers at work"
    )


def test_from_one_worker_to_eight_and_back(run, journal):
    farm = run
    works(journal, 1)
    pools = [farm.begin_workers(count) for count in (1, 2, 4)]
    wait_until(lambda: workers_of(farm) == 8, "eight workers")
    works(journal, 8)
    left = 8
    for pool, count in zip(pools, (1, 2, 4), strict=True):
        pool.send_signal(signal.SIGTERM)
        left -= count
        wait_until(lambda left=left: workers_of(farm) == left, f"{left} workers")
        assert pool.wait() == 0
    works(journal, 1)
    assert farm.status()["totals"]["failed"] == 0


@pytest.mark.slow
def test_processes_that_are_replaced_after_a_few_batches(run, journal):
    farm = run
    farm.start_workers(2, "--maxtasksperchild", "3")
    wait_until(lambda: len({note.pid for note in journal.ended()}) >= 8, "eight processes did batches")
