"""The broker killed (kill -9) and started again on the same port; and peers that were there before it."""

import itertools
import os
import signal

import pytest

from chaos.augmenters import Noted
from chaos.jobs import Job, client_for, judge
from chaos.recovery import Stopwatch
from farms import Farm, wait_until

JOB = Job("rich", seconds=(0.0, 0.015))
COUNT = 60
BUFFER = 8
#: One more than may have been finished before the fault and not yet handed over.
NEW = BUFFER + 1


def kill(farm):
    farm.broker.kill()
    farm.broker.wait()


def test_killed_between_the_clients_hello_and_its_first_batch(farm):
    with client_for(JOB, farm.clients) as client:
        wait_until(lambda: farm.status()["clients"], "the client is known")
        kill(farm)
        farm.start_broker()
        judge(JOB, client.map_batches(JOB.batches(COUNT), with_info=True), COUNT)


@pytest.mark.parametrize("seeding", ["batch", pytest.param("worker", marks=pytest.mark.slow)])
def test_killed_in_mid_run_again_and_again(farm, seeding):
    with client_for(JOB, farm.clients, seeding=seeding) as client:
        results = client.imap_batches(JOB.batches(COUNT), BUFFER, with_info=True)
        got = list(itertools.islice(results, 5))
        for _ in range(4):
            kill(farm)
            farm.start_broker()
            since = Stopwatch("broker back at once after kill -9")
            got += itertools.islice(results, NEW)
            since.stop()
        got += results
        judge(JOB, got, COUNT)
        assert all(info.attempts == 0 for _, info in got), "a restart is no attempt"


@pytest.mark.slow
def test_killed_for_long_while_a_batch_is_at_work(farm, journal, caplog):
    """A batch ends while there is no broker; its result is nobody's, and it is done again."""
    with client_for(JOB, farm.clients, journal=journal, held=[8], hedge=False) as client:
        results = client.imap_batches(JOB.batches(COUNT), BUFFER, with_info=True)
        got = list(itertools.islice(results, 8))
        wait_until(lambda: journal.began(8), "it is at work")
        kill(farm)
        journal.open_gate()
        wait_until(lambda: journal.ended(8), "it has ended")
        wait_until(lambda: "no broker" in caplog.text, "the client says what it waits for")
        farm.start_broker()
        since = Stopwatch("broker back seconds after kill -9")
        got += itertools.islice(results, NEW)
        since.stop()
        got += results
        judge(JOB, got, COUNT)


@pytest.mark.slow
def test_broker_and_workers_started_after_the_client(tmp_path):
    farm = Farm(tmp_path, imports=(Noted.__module__,))
    try:
        with client_for(JOB, farm.clients) as client:
            results = client.imap_batches(JOB.batches(COUNT), BUFFER, with_info=True)
            farm.begin_workers(2)
            farm.start_broker()
            judge(JOB, list(results), COUNT)
    finally:
        farm.stop()


@pytest.mark.slow
def test_of_a_local_farm():
    """Its client starts broker and pool again."""
    with client_for(JOB, processes=2) as client:
        results = client.imap_batches(JOB.batches(COUNT), BUFFER, with_info=True)
        got = list(itertools.islice(results, 5))
        for who in ("broker", "worker"):
            before = client._farm.pids()[who]
            os.kill(before, signal.SIGKILL)
            since = Stopwatch(f"{who if who == 'broker' else 'pool of workers'} of a local farm killed")
            got += itertools.islice(results, NEW)
            since.stop()
            assert client._farm.pids()[who] != before
        got += results
        judge(JOB, got, COUNT)
