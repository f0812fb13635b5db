"""Nothing is left: after jobs, killed clients and killed workers everything is where it began.

Memory is what the system says a process has (RSS). glibc keeps some of what was freed, so small leaks do not
show there: the broker's own objects are counted in tests/broker/test_core.py.
"""

import os
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from imgaug import augmenters as iaa

import hazards
from augfarm.client import Client, FailedBatch
from augfarm.protocol import pipelines
from deadline import DEADLINE, Task
from farms import running_farm, wait_until
from hazards import FINE, RAISE
from trainers import Trainer, marked

MIB = 1024 * 1024
#: Calls, clients killed and workers killed; of the last, how many run at once. A process that dies early is
#: replaced more slowly each time, so that few would take long.
CALLS, CLIENTS, WORKERS, AT_ONCE = 500, 50, 200, 40
#: Bytes of one batch: every one that leaked would show.
BATCH = MIB // 2
#: What a process may have more at the end: the heap is never as compact again. 500 calls, 50 clients and 200
#: workers pass or hold some 500, 400 and 200 MiB, so that one batch in ten would show.
GROWTH = 16 * MIB
#: A worker has done some 500 batches, 250 MiB. So much for its own memory, and as much for what it shares.
WORKER_GROWTH = 8 * MIB


class Use(NamedTuple):
    """Of one process; its own memory, and what others have as well (libraries, shared memory), in bytes."""

    memory: int
    shared: int
    descriptors: int
    threads: int

    def handles(self):
        return self.descriptors, self.threads


def use_of(pid):
    """What this process has now."""
    pages = map(int, Path(f"/proc/{pid}/statm").read_text().split()[1:3])
    resident, shared = (count * os.sysconf("SC_PAGE_SIZE") for count in pages)
    return Use(
        resident - shared, shared, len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))
    )


def large(what):
    return np.full((1, 1, BATCH // 3, 3), what, np.uint8)


def endless():
    while True:
        yield large(FINE)


class Judge:
    """Compares what a farm has with what it had.

    Args:
        mark: what its processes have in their environment.
        temporary: their directory for temporary files.
    """

    def __init__(self, farm, mark, temporary):
        self.farm, self.mark, self.temporary = farm, mark, temporary
        self.shared_memory = set(os.listdir("/dev/shm"))
        self.settle()
        self.processes = self.count_processes()
        self.broker = steady(lambda: use_of(farm.broker.pid), Use.handles)
        self.workers = {pid: use_of(pid) for pid in farm.worker_pids()}

    def settle(self):
        """Let so much pass that the broker gives freed memory back (its heap.py), and all clients go.

        It does so again when nothing comes in for a second.
        """
        with Client(hazards.Hazard(), self.farm.clients) as client:
            for _ in client.imap_batches((large(FINE) for _ in range(300 * MIB // BATCH)), 32):
                pass
        wait_until(lambda: not self.farm.status()["clients"], "the broker forgets the clients")

    def finds_what_there_was(self):
        """Fail unless the farm has what it had, and no more."""
        self.settle()
        wait_until(
            self.nothing_is_at_work, "workers end what a client that has left, or a second worker, left them"
        )
        wait_until(lambda: self.count_processes() == self.processes, f"{self.processes} processes run")
        broker = steady(lambda: use_of(self.farm.broker.pid), Use.handles)
        assert broker.handles() == self.broker.handles()
        assert broker.shared <= self.broker.shared + GROWTH, "it let go of the clients' memory"
        most = self.broker.memory + GROWTH
        wait_until(
            lambda: use_of(self.farm.broker.pid).memory <= most, f"the broker has no more than {most} bytes"
        )
        for pid in self.workers.keys() & set(self.farm.worker_pids()):
            worker, before = use_of(pid), self.workers[pid]
            assert worker.handles() == before.handles()
            assert worker.memory <= before.memory + WORKER_GROWTH, (worker, before)
            assert worker.shared <= before.shared + WORKER_GROWTH, (worker, before)
        wait_until(lambda: set(os.listdir("/dev/shm")) <= self.shared_memory, "/dev/shm is as it was")
        assert not list(self.temporary.rglob("*"))

    def nothing_is_at_work(self):
        status = self.farm.status()
        held = status["queued"], status["memory"]["held"]
        return held == (0, 0) and all(worker["leases"] == 0 for worker in status["workers"])

    def count_processes(self):
        return len(marked(self.mark))


def steady(measure, key):
    """What `measure` gives once its `key` has been the same for a while: who asks takes a connection too."""
    seen = []

    def same_for_a_while():
        seen.append(measure())
        return len(seen) > 20 and len({key(each) for each in seen[-20:]}) == 1

    wait_until(same_for_a_while, "nothing changes any more")
    return seen[-1]


@pytest.fixture
def farm(tmp_path, monkeypatch):
    """A farm without workers, whose processes have a mark, and a directory for temporary files."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setenv("FARM_MARK", str(tmp_path))
    shutil.copy(hazards.__file__, tmp_path)
    with running_farm(tmp_path, 0, max_attempts=WORKERS) as farm:
        yield farm


def killed_client(farm, batches):
    """The process of a client that is killed when it has so many batches, with more under way."""
    pid = os.fork()
    if pid == 0:
        try:
            client = Client(hazards.Hazard(), farm.clients)
            for number, _ in enumerate(client.imap_batches(endless(), 16)):
                if number == batches:
                    os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    return pid


def kill_workers(farm, count):
    """Kill so many, each at work and when it has done a batch: or the first batch would never be done."""
    killed = set()

    def kill_some():
        for worker in farm.status()["workers"]:
            pid = int(worker["environment"]["pid"])
            if worker["leases"] and worker["done"] and pid not in killed and len(killed) < count:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        return len(killed) == count

    wait_until(kill_some, f"{count} workers are killed", DEADLINE)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_farm_is_where_it_began_after_jobs_and_killed_clients_and_killed_workers(farm, tmp_path):
    bare = steady(lambda: use_of(farm.broker.pid), Use.handles)
    pools = [farm.start_workers(2, "--allow-import", "hazards")]
    judge = Judge(farm, f"FARM_MARK={tmp_path}", tmp_path / "temporary")

    with Client(hazards.Hazard(), farm.clients) as client:
        for call in range(CALLS):
            given = [large(FINE), large(RAISE if call % 10 == 0 else FINE)]
            results = client.map_batches(given, on_error="return")
            assert isinstance(results[1], FailedBatch) == (call % 10 == 0)
    judge.finds_what_there_was()

    for start in range(0, CLIENTS, 5):
        pids = [killed_client(farm, number % 7) for number in range(start, min(start + 5, CLIENTS))]
        assert {os.waitpid(pid, 0)[1] for pid in pids} == {signal.SIGKILL}
    judge.finds_what_there_was()

    pools.append(farm.start_workers(AT_ONCE, "--allow-import", "hazards"))
    judge = Judge(farm, f"FARM_MARK={tmp_path}", tmp_path / "temporary")
    with Client(hazards.Hazard(), farm.clients) as client:
        results = client.imap_batches(endless(), 3 * AT_ONCE)
        reader = Task(lambda: sum(1 for _ in results))
        kill_workers(farm, WORKERS)
        results.close()
        assert reader.result() > AT_ONCE
    wait_until(lambda: len(farm.status()["workers"]) == AT_ONCE + 2, "the killed are replaced")
    judge.finds_what_there_was()

    for pool in pools:
        pool.terminate()
        assert pool.wait(DEADLINE) == 0
    wait_until(lambda: not farm.status()["workers"], "all have left")
    assert steady(lambda: use_of(farm.broker.pid), Use.handles).handles() == bare.handles()
    assert marked(f"FARM_MARK={tmp_path}") == [farm.broker.pid]


# --- the client's process ----------------------------------------------------------------------------------

#: Runs in a process of its own, where nothing else has threads and files. Memory may grow by so many bytes:
#: a client that stayed would keep 100 KiB, its ZeroMQ context and its threads alone.
MANY_CLIENTS = """
import gc, os, sys, threading
import numpy as np
from augfarm.client import Client

spec, address, count, rounds = sys.argv[1], sys.argv[2] or None, int(sys.argv[3]), int(sys.argv[4])
batch = np.zeros((1, 128, 128, 3), np.uint8)

def use_one(how):
    client = Client(spec, address, processes=None if address else 1)
    results = client.imap_batches([batch] * 4, 2)
    next(results)
    if how == 0:
        client.close()
    elif how == 1:
        client.terminate()
    del client, results

def use():
    gc.collect()
    pages = list(map(int, open("/proc/self/statm").read().split()))
    size, tasks = os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/task"))
    return (pages[1] - pages[2]) * size, pages[2] * size, len(os.listdir("/proc/self/fd")), tasks

for _ in range(rounds):
    for number in range(count):
        use_one(number % 3)
    print(*use(), flush=True)
"""
CLIENT_GROWTH = 4 * MIB


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("spec") / "identity.json"
    path.write_bytes(pipelines.encode(iaa.Identity()))
    return path


@pytest.fixture
def trainer_of():
    trainers = []

    def start(code, *arguments):
        trainers.append(Trainer(code, *arguments))
        return trainers[-1]

    yield start
    for trainer in trainers:
        trainer.clean_up()


def test_five_hundred_clients_made_and_ended_leave_nothing_in_their_process(two_workers, spec, trainer_of):
    broker = steady(lambda: use_of(two_workers.broker.pid), Use.handles)
    trainer = trainer_of(MANY_CLIENTS, spec, two_workers.clients, 100, 6)
    first, *_, last = [Use(*map(int, line.split())) for line in trainer.process.stdout]
    assert last.handles() == first.handles()
    assert last.memory <= first.memory + CLIENT_GROWTH
    assert last.shared <= first.shared + CLIENT_GROWTH
    wait_until(lambda: not trainer.remains(), "it ends and leaves nothing")
    wait_until(lambda: not two_workers.status()["clients"], "the broker forgets them")
    after = steady(lambda: use_of(two_workers.broker.pid), Use.handles)
    assert after.handles() == broker.handles()
    assert after.memory <= broker.memory + GROWTH


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nine_local_farms_made_and_ended_leave_nothing(spec, trainer_of):
    trainer = trainer_of(MANY_CLIENTS + "\nsys.stdin.readline()", spec, "", 3, 3)
    first, *_, last = [Use(*map(int, trainer.process.stdout.readline().split())) for _ in range(3)]
    assert last.handles() == first.handles()
    assert last.memory <= first.memory + CLIENT_GROWTH
    assert last.shared <= first.shared + CLIENT_GROWTH
    wait_until(lambda: trainer.remains() == [trainer.process.pid], "only the trainer is left")


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_a_trainer_killed_while_its_local_farm_starts_leaves_nothing(spec, trainer_of, processes):
    """Killed when it has so many processes with itself: a broker, a pool that imports, a worker."""
    trainer = trainer_of(MANY_CLIENTS, spec, "", 1, 1)
    wait_until(lambda: len(trainer.pids()) >= processes, f"{processes} processes run")
    trainer.process.kill()
    wait_until(lambda: not trainer.remains(), "nothing is left")
