"""Batches that raise, that kill their process, and that never end: given up by name, and the farm goes on."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from augfarm.client import AugmentationFailed, BatchPoisoned, Client, FailedBatch
from augfarm.protocol.augment import import_imgaug
from farms import PATIENCE, wait_until

import_imgaug()

import deadly  # noqa: E402  it imports imgaug

GOOD, BAD = np.zeros((2, 8, 8, 3), np.uint8), np.full((2, 8, 8, 3), 255, np.uint8)
ALLOW = ("--allow-import", "deadly")


@pytest.fixture
def deadly_farm(farm_of, tmp_path):
    """Starts a farm whose workers know `deadly`, with these options of theirs."""
    shutil.copy(Path(deadly.__file__), tmp_path)

    def start(*options, workers=2, **farm_options):
        farm = farm_of(0, **farm_options)
        farm.start_workers(workers, *ALLOW, *options)
        return farm

    return start


KILLERS = [
    ("exit", ()),
    ("crash", ()),
    ("never_end", ("--task-timeout", "0.5")),
    ("sleep", ("--task-timeout", "0.5")),
    ("take_memory_and_not_look", ("--max-rss", "512MiB")),
]


@pytest.mark.parametrize(("how", "options"), KILLERS)
def test_what_kills_its_process_is_given_up_after_three_and_nothing_else_is(
    deadly_farm, tmp_path, how, options
):
    farm = deadly_farm(*options)
    diary = tmp_path / "diary"
    batches = [GOOD, GOOD, BAD, GOOD, GOOD, GOOD]
    with Client(deadly.Deadly(how, str(diary)), farm.clients) as client:
        results = client.map_batches(batches, on_error="return", with_info=True)
        failed = [batch for batch, _ in results if isinstance(batch, FailedBatch)]
        assert [(f.index, type(f.error), f.error.attempts) for f in failed] == [(2, BatchPoisoned, 3)]
        assert len(set(diary.read_text().split())) == 3, "three processes died of it, and no more"
        assert [info.attempts for _, info in results] == [0, 0, 3, 0, 0, 0], (
            "who waited behind it is not blamed"
        )
        wait_until(lambda: len(farm.status()["workers"]) == 2, "the dead are replaced")
        assert all(np.array_equal(b, GOOD) for b in client.map_batches([GOOD] * 6))
    assert farm.status()["totals"]["poisoned"] == 1


def test_the_log_says_how_they_ended_and_where(deadly_farm):
    farm = deadly_farm("--task-timeout", "0.5", workers=1, max_attempts=1)
    for how, word in (("crash", "SIGSEGV"), ("never_end", "--task-timeout")):
        with Client(deadly.Deadly(how), farm.clients) as client:
            assert isinstance(client.map_batches([BAD], on_error="return")[0], FailedBatch)
        wait_until(lambda word=word: word in farm.logs(), f"the log says {word}")
        assert f"in {how}" in farm.logs(), "the stack of the moment"


def test_memory_that_python_misses_is_an_error_of_the_batch(deadly_farm):
    farm = deadly_farm("--max-rss", "512MiB", workers=1)
    with Client(deadly.Deadly("take_memory"), farm.clients) as client:
        good, bad, last = client.map_batches([GOOD, BAD, GOOD], on_error="return")
        assert isinstance(bad.error, AugmentationFailed)
        assert "MemoryError" in bad.error.exception_type
        assert np.array_equal(good, last)
    assert farm.status()["totals"]["retried"] == 0


def test_an_error_is_told_once_with_all_that_it_takes_to_see_it_again(deadly_farm):
    farm = deadly_farm(workers=1)
    with Client(deadly.Deadly("raise_error"), farm.clients, seed=5, seeding="batch") as client:
        results = client.imap_batches([GOOD, BAD, GOOD], 4, start=7)
        next(results)
        with pytest.raises(AugmentationFailed, match="a white pixel") as caught:
            next(results)
        error = caught.value
        assert (error.index, error.worker_id, error.exception_type) == (8, 0, "LookupError")
        assert "raise_error" in error.remote_traceback
        with pytest.raises(LookupError):
            client.replay(BAD, error.seed)


def test_the_count_outlives_the_broker(deadly_farm, tmp_path):
    """Two processes die of the batch, the broker restarts, a third dies: that is enough."""
    farm = deadly_farm(workers=1)
    diary = tmp_path / "diary"

    def deaths():
        return len(diary.read_text().split()) if diary.exists() else 0

    with Client(deadly.Deadly("exit", str(diary)), farm.clients) as client:
        pending = client.map_batches_async([BAD])
        wait_until(lambda: deaths() >= 2, "two processes died")
        farm.broker.kill()
        farm.broker.wait()
        farm.start_broker()
        with pytest.raises(BatchPoisoned) as caught:
            pending.get(PATIENCE)
    assert caught.value.attempts == 3
    # The broker was killed before or after it could say so of the second.
    assert deaths() in (3, 4)


def test_a_local_farm_has_a_time_limit_from_its_environment(monkeypatch):
    monkeypatch.setenv("AUGFARM_TASK_TIMEOUT", "0.3")
    with Client(deadly.Deadly("sleep"), processes=1) as client:
        results = client.map_batches([GOOD, BAD, GOOD], on_error="return")
        assert [type(r).__name__ for r in results] == ["ndarray", "FailedBatch", "ndarray"]
        assert isinstance(results[1].error, BatchPoisoned)
