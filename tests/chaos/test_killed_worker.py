"""kill -9 of workers in mid-run: every batch once, in order, the same bytes."""

import os
import signal

import numpy as np
import pytest
from imgaug import augmenters as iaa

from augfarm.client import BatchPoisoned, Client
from farms import fingerprint, quokka_batches, ten_augmenters, tutorial, wait_until

COUNT = 40


def test_one_of_two_workers_killed(farm_of):
    batches = quokka_batches(COUNT, images=2, size=48)
    farm = farm_of(2, max_attempts=50)
    with Client(tutorial(), farm.clients, seed=1, seeding="batch") as client:
        undisturbed = [fingerprint(b) for b in client.map_batches(batches)]
        got = []
        killed = set()
        for batch, info in client.imap_batches(batches, 8, start=0, with_info=True):
            got.append(fingerprint(batch))
            if info.index in (5, 15, 25):
                victim = farm.worker_pids()[0]
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)
        assert got == undisturbed
        assert len(killed) == 3
        wait_until(lambda: len(farm.status()["workers"]) == 2, "the killed are replaced")
        assert not killed & set(farm.worker_pids())


def test_all_workers_killed_and_later_others_come(farm_of):
    batches = quokka_batches(COUNT, images=1, size=48)
    farm = farm_of(2)
    pool = farm.processes[-1]
    with Client(ten_augmenters(), farm.clients, seed=1, seeding="batch") as client:
        undisturbed = [fingerprint(b) for b in client.map_batches(batches)]
        results = client.imap_batches(batches, 8, start=0)
        got = [fingerprint(next(results)) for _ in range(5)]
        os.killpg(pool.pid, signal.SIGKILL)
        wait_until(lambda: not farm.status()["workers"], "the broker notices")
        farm.start_workers(1)
        got += [fingerprint(b) for b in results]
        assert got == undisturbed


def test_a_frozen_worker_is_given_up_and_its_late_answer_dropped(farm_of):
    batches = quokka_batches(COUNT, images=1, size=48)
    farm = farm_of(2)
    with Client(tutorial(), farm.clients, seed=1, seeding="batch") as client:
        undisturbed = [fingerprint(b) for b in client.map_batches(batches)]
        results = client.imap_batches(batches, 8, start=0, with_info=True)
        got = [next(results) for _ in range(3)]
        frozen = farm.worker_pids()[0]
        os.kill(frozen, signal.SIGSTOP)
        got += list(results)
        os.kill(frozen, signal.SIGCONT)
        assert [fingerprint(b) for b, _ in got] == undisturbed
        assert all(info.attempts == 0 for _, info in got), "a frozen worker is no attempt"
        wait_until(lambda: len(farm.status()["workers"]) == 2, "the thawed worker joins again")
        assert [fingerprint(b) for b in client.imap_batches(batches, 8, start=0)] == undisturbed


def test_a_restarted_broker(farm_of):
    batches = quokka_batches(COUNT, images=1, size=48)
    farm = farm_of(2)
    with Client(tutorial(), farm.clients, seed=1, seeding="batch") as client:
        undisturbed = [fingerprint(b) for b in client.map_batches(batches)]
        results = client.imap_batches(batches, 8, start=0)
        got = [fingerprint(next(results)) for _ in range(5)]
        farm.broker.kill()
        farm.broker.wait()
        farm.start_broker()
        got += [fingerprint(b) for b in results]
        assert got == undisturbed


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_batch_that_kills_its_workers_is_given_up_and_the_farm_goes_on(farm_of, tmp_path, code):
    (tmp_path / "deadly.py").write_text(
        "import os\nfrom imgaug import augmenters as iaa\n\n\n"
        "class Deadly(iaa.Identity):\n"
        "    def _augment_batch_(self, batch, random_state, parents, hooks):\n"
        "        if batch.images[0].max() == 255:\n"
        f"            os._exit({code})\n"
        "        return batch\n"
    )
    farm = farm_of(0)
    import sys

    sys.path.insert(0, str(tmp_path))
    sys.modules.pop("deadly", None)
    try:
        import deadly
    finally:
        sys.path.remove(str(tmp_path))
    farm.start_workers(2, "--allow-import", "deadly")
    good, bad = np.zeros((1, 8, 8, 3), np.uint8), np.full((1, 8, 8, 3), 255, np.uint8)
    with Client(deadly.Deadly(), farm.clients) as client:
        results = client.map_batches([good, bad, good, good, good], on_error="return")
        assert [type(r).__name__ for r in results] == ["ndarray", "FailedBatch", *["ndarray"] * 3]
        error = results[1].error
        assert isinstance(error, BatchPoisoned)
        assert error.index == 1
        assert error.attempts == 3


def test_a_client_killed_leaves_nothing_in_the_broker(farm_of):
    farm = farm_of(1)
    pid = os.fork()
    if pid == 0:
        client = Client(iaa.Identity(), farm.clients)
        results = client.imap_batches((np.zeros((1, 8, 8, 3), np.uint8) for _ in iter(int, 1)), 64)
        next(results)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_until(lambda: not farm.status()["clients"], "the broker forgets the client")
    assert farm.status()["memory"]["held"] == 0
