"""kill -9 of workers in mid-run: every batch once, in order, the same bytes."""

import itertools
import os
import signal
import sys
from contextlib import ExitStack

import numpy as np
import pytest

from augfarm.client import BatchPoisoned, Client
from chaos.augmenters import Noted
from chaos.faults import Background, PoissonKiller
from chaos.jobs import Job, client_for, judge
from chaos.recovery import Stopwatch
from farms import PATIENCE, running_farm, wait_until

#: With its pixels a batch takes 5 to 20 ms.
JOB = Job(seconds=(0.0035, 0.0185))
COUNT = 40
HELD = 7
KILLS = 4


@pytest.fixture(scope="module")
def four_farms(tmp_path_factory):
    """By the number of their workers."""

    def open_farm(workers):
        directory = tmp_path_factory.mktemp(f"farm-{workers}")
        return running_farm(directory, workers, imports=(Noted.__module__,), max_attempts=50)

    with ExitStack() as opened:
        begun = {n: Background(opened.enter_context, open_farm(n)) for n in (1, 2, 3, 4)}
        yield {n: farm.finish(2 * PATIENCE) for n, farm in begun.items()}


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 10))])
def test_killed_at_random_moments(four_farms, seed):
    """Farms of one, two, three and four workers at once, each with a killer of its own and two clients."""

    def run(workers, farm):
        with (
            client_for(JOB, farm.clients) as by_batch,
            client_for(JOB, farm.clients, seeding="worker") as by_worker,
            PoissonKiller(farm, seed=10 * seed + workers) as killer,
        ):
            sources = [itertools.takewhile(lambda _: len(killer.killed) < KILLS, JOB.batches()) for _ in "12"]
            calls = [
                client.imap_batches(source, 8, with_info=True)
                for client, source in zip((by_batch, by_worker), sources, strict=True)
            ]
            pairs = list(itertools.zip_longest(*calls))
        for got in zip(*pairs, strict=True):
            stream = [each for each in got if each is not None]
            judge(JOB, stream, len(stream))
        wait_until(lambda: len(farm.status()["workers"]) == workers, "the killed are replaced")

    for each in [Background(run, *each) for each in four_farms.items()]:
        each.finish(2 * PATIENCE)


@pytest.mark.parametrize("where", ["local farm", "tcp"])
def test_the_only_worker_killed_in_the_middle_of_a_batch(four_farms, journal, where):
    address = four_farms[1].clients if where == "tcp" else None
    options = {} if address else {"processes": 1}
    with client_for(JOB, address, journal=journal, held=[HELD], **options) as client:
        results = client.imap_batches(JOB.batches(COUNT), 8, with_info=True)
        got = list(itertools.islice(results, HELD))
        victim = wait_until(lambda: journal.began(HELD), "the batch is at work")[0].pid
        journal.open_gate()
        os.kill(victim, signal.SIGKILL)
        since = Stopwatch(f"the only worker killed ({where})")
        got.append(next(results))
        since.stop()
        assert got[-1][1].attempts == 1
        got += results
        judge(JOB, got, COUNT)


def test_all_workers_killed_and_later_others_come(four_farms):
    farm = four_farms[2]
    pool = farm.processes[-1]
    with client_for(JOB, farm.clients) as client:
        results = client.imap_batches(JOB.batches(COUNT), 8, with_info=True)
        got = list(itertools.islice(results, 5))
        os.killpg(pool.pid, signal.SIGKILL)
        wait_until(lambda: not farm.status()["workers"], "the broker notices")
        farm.start_workers(2)
        since = Stopwatch("new workers joined, where there were none")
        got.append(next(results))
        since.stop()
        got += results
        judge(JOB, got, COUNT)


@pytest.mark.slow
def test_a_batch_that_kills_its_workers_is_given_up_and_the_farm_goes_on(farm_of, tmp_path):
    """Whatever the code that it ends them with: a worker's own codes are no word of the worker's."""
    (tmp_path / "deadly_codes.py").write_text(
        "import os\nfrom imgaug import augmenters as iaa\n\n\n"
        "class Deadly(iaa.Identity):\n"
        "    def __init__(self, code):\n"
        "        super().__init__()\n"
        "        self.code = code\n\n"
        "    def _augment_batch_(self, batch, random_state, parents, hooks):\n"
        "        if batch.images[0].max() == 255:\n"
        "            os._exit(self.code)\n"
        "        return batch\n"
    )
    sys.path.insert(0, str(tmp_path))
    sys.modules.pop("deadly_codes", None)
    try:
        import deadly_codes
    finally:
        sys.path.remove(str(tmp_path))
    farm = farm_of(0)
    farm.start_workers(2, "--allow-import", "deadly_codes")
    good, bad = np.zeros((1, 8, 8, 3), np.uint8), np.full((1, 8, 8, 3), 255, np.uint8)
    for code in (0, 1, 3):
        with Client(deadly_codes.Deadly(code), farm.clients) as client:
            results = client.map_batches([good, bad, good, good, good], on_error="return")
            assert [type(r).__name__ for r in results] == ["ndarray", "FailedBatch", *["ndarray"] * 3]
            error = results[1].error
            assert isinstance(error, BatchPoisoned)
            assert error.index == 1
            assert error.attempts == 3
