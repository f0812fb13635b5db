"""A worker that is frozen (SIGSTOP): its batches go to others, and what it says when thawed harms nothing."""

import itertools
from contextlib import ExitStack

import pytest

from augfarm.client.report import ask
from chaos.faults import frozen, sends
from chaos.jobs import Job, client_for, judge
from chaos.recovery import Stopwatch
from farms import PATIENCE, wait_until

JOB = Job(seconds=(0.0, 0.01))
COUNT = 40
HELD = 7

#: 18 MB: more than the kernel's buffers take, so that a frozen process is in the middle of it.
LARGE = Job("large", images=6, size=1000)
LARGE_COUNT = 4


@pytest.mark.parametrize("hedge", [True, False])
def test_frozen_while_augmenting_and_thawed_after_its_batch_was_redone(farm, journal, hedge):
    with client_for(JOB, farm.clients, journal=journal, held=[HELD], hedge=hedge) as client:
        results = client.imap_batches(JOB.batches(COUNT), 8, with_info=True)
        got = list(itertools.islice(results, HELD))
        victim = wait_until(lambda: journal.began(HELD), "the batch is at work")[0].pid
        with frozen(victim):
            since = Stopwatch(f"worker frozen while augmenting, {'with' if hedge else 'without'} hedging")
            journal.open_gate()
            got.append(next(results))
            since.stop()
            assert got[-1][1].attempts == 0, "a frozen worker is no attempt"
            assert victim not in {note.pid for note in journal.ended(HELD)}
            got += itertools.islice(results, 5)
        wait_until(lambda: len(journal.ended(HELD)) == 2, "the thawed worker ends its batch as well")
        got += results
        judge(JOB, got, COUNT)
        wait_until(lambda: victim in farm.worker_pids(), "the thawed worker joins again")
        # It works again, and nothing of what it said late is in the stream.
        judge(JOB, list(client.imap_batches(JOB.batches(COUNT), 8, start=0, with_info=True)), COUNT)


@pytest.fixture
def by_sockets(monkeypatch):
    """Pixels go through sockets, also between processes of one host."""
    monkeypatch.setenv("AUGFARM_SHARED_MEMORY", "0")


@pytest.mark.slow
@pytest.mark.parametrize("seeding", ["batch", "worker"])
def test_frozen_while_sending_a_large_result(by_sockets, farm, journal, seeding):
    options = {"seeding": seeding, "hedge": False}
    with client_for(LARGE, farm.clients, journal=journal, held=[2], **options) as client, ExitStack() as thaw:
        results = client.imap_batches(LARGE.batches(LARGE_COUNT), 2, with_info=True)
        got = list(itertools.islice(results, 2))
        victim = wait_until(lambda: journal.began(2), "the batch is at work")[0].pid
        with frozen(farm.broker.pid):  # it does not read, so the result cannot get through
            journal.open_gate()
            wait_until(lambda: sends(victim), "the result is being sent")
            thaw.enter_context(frozen(victim))
        since = Stopwatch("worker frozen while sending a result")
        got.append(next(results))
        since.stop()
        thaw.close()
        got += results
        judge(LARGE, got, LARGE_COUNT)
        assert len(journal.began(2)) == 2
        wait_until(lambda: victim in farm.worker_pids(), "the thawed worker joins again")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["local farm", "tcp"])
def test_frozen_while_a_large_batch_is_sent_to_it(by_sockets, farm, where):
    """Heartbeats say nothing there: they wait behind the batch that is not taken."""
    address = farm.clients if where == "tcp" else None
    options = {} if address else {"processes": 2}
    with client_for(LARGE, address, hedge=False, **options) as client:
        workers = wait_until(lambda: two_workers(client.address), "two workers")
        client.map_batches(LARGE.batches(2))
        with frozen(int(workers[0]["environment"]["pid"])):
            since = Stopwatch(f"worker frozen while a batch is sent to it ({where})")
            got = client.map_batches(LARGE.batches(LARGE_COUNT), start=0, with_info=True)
            since.stop()
        judge(LARGE, got, LARGE_COUNT)


def two_workers(address):
    workers = ask(address, PATIENCE)["workers"]
    return workers if len(workers) == 2 else None
