"""The batch that all others wait for is tried by a second worker when it is late."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from augfarm.client import Client
from augfarm.protocol.augment import import_imgaug
from farms import alive, wait_until

import_imgaug()

import deadly  # noqa: E402  it imports imgaug

COUNT = 60


def batches():
    return [np.full((1, 8, 8, 3), number, np.uint8) for number in range(COUNT)]


@pytest.fixture
def farm(farm_of, tmp_path):
    shutil.copy(Path(deadly.__file__), tmp_path)
    farm = farm_of(0)
    farm.start_workers(2, "--allow-import", "deadly")
    return farm


def stuck_once(tmp_path):
    """An augmenter of which one process, the first to see batch 20, gets stuck until the file is removed."""
    blocker = tmp_path / "blocked"
    blocker.touch()
    return deadly.StuckOnce(20, str(blocker)), blocker


def test_a_stuck_worker_holds_nobody_up(farm, tmp_path):
    augmenter, blocker = stuck_once(tmp_path)
    with Client(augmenter, farm.clients, seeding="batch") as client:
        results = list(client.imap_batches(batches(), 8))
        assert [int(batch[0, 0, 0, 0]) for batch in results] == list(range(COUNT))
        assert blocker.exists(), "the worker was still stuck when the last batch came"
        status = farm.status()
        assert status["totals"]["hedged"] >= 1
        assert status["totals"]["retried"] == 0
        blocker.unlink()
        wait_until(
            lambda: all(w["leases"] == 0 for w in farm.status()["workers"]), "its late answer is dropped"
        )
        assert len(client.map_batches(batches())) == COUNT
        assert farm.status()["totals"]["done"] == 2 * COUNT, "each batch counts once"


def test_a_frozen_worker_is_not_waited_for(farm):
    with Client(deadly.Deadly("exit"), farm.clients, seeding="batch") as client:
        numbers = iter(client.imap_batches((b[:, :, :, :] for b in batches()), 8))
        got = [next(numbers) for _ in range(20)]
        frozen = farm.worker_pids()[0]
        os.kill(frozen, signal.SIGSTOP)
        got += list(numbers)
        assert [int(batch[0, 0, 0, 0]) for batch in got] == list(range(COUNT))
        assert alive(frozen)
        os.kill(frozen, signal.SIGCONT)


@pytest.mark.parametrize("how", ["hedge=False", "unordered"])
def test_without_it_the_batch_stays_where_it_is(farm, tmp_path, how):
    augmenter, blocker = stuck_once(tmp_path)
    with Client(augmenter, farm.clients, hedge=how != "hedge=False") as client:
        call = client.imap_batches if how == "hedge=False" else client.imap_batches_unordered
        results = call(batches(), 8)
        first = [next(results) for _ in range(20)]
        wait_until(lambda: min(w["leases"] for w in farm.status()["workers"]) == 0, "the other is idle")
        wait_until(lambda: max(w["leases"] for w in farm.status()["workers"]) > 0, "and one is stuck")
        assert farm.status()["totals"]["hedged"] == 0
        blocker.unlink()
        assert len(first) + len(list(results)) == COUNT
