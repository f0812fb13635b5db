"""A link of 20 ms delay and 1 % loss, cut and mended; and peers that vanish without a word."""

import itertools
import os
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

from chaos.augmenters import Noted
from chaos.faults import children_of
from chaos.hosts import inside, two_hosts
from chaos.jobs import Job, client_for, judge
from chaos.recovery import Stopwatch
from chaos.trainer import Trainer
from farms import Farm, wait_until

pytestmark = pytest.mark.slow

#: With its pixels a batch takes 5 to 20 ms.
JOB = Job(seconds=(0.0035, 0.0185))
COUNT = 80
BUFFER = 8
#: One more than may have been finished before the fault and not yet handed over.
NEW = BUFFER + 1


class SpreadFarm(Farm):
    """A farm on two hosts. The broker is `here`; whatever asks it, asks from there too."""

    def __init__(self, hosts, directory):
        super().__init__(directory, extra=("--insecure",), imports=(Noted.__module__,))
        self.hosts = hosts
        self.clients = f"tcp://{hosts.here.address}:5555"
        self.workers = f"tcp://{hosts.here.address}:5556"
        self.pools = {}

    def start_broker(self):
        with inside(self.hosts.here):
            super().start_broker()

    def status(self):
        with inside(self.hosts.here):
            return super().status()

    def has_workers_on(self, *wanted):
        """One worker on each of these hosts, and no other."""
        for host in (self.hosts.here, self.hosts.there):
            pool = self.pools.get(host)
            runs = pool is not None and pool.poll() is None
            if host in wanted and not runs:
                with inside(host):
                    self.pools[host] = self.start_workers(1)
            elif host not in wanted and runs:
                pool.terminate()
                pool.wait()
        wait_until(lambda: len(self.status()["workers"]) == len(wanted), "just these workers")

    def pid_of_worker_on(self, host):
        (worker,) = children_of(self.pools[host].pid)
        return worker

    def client(self, host, **options):
        with inside(host):
            return client_for(JOB, self.clients, **options)


@pytest.fixture(scope="module")
def spread_farm(tmp_path_factory):
    with two_hosts(delay_ms=20, loss=0.01) as hosts:
        farm = SpreadFarm(hosts, tmp_path_factory.mktemp("farm"))
        try:
            farm.start_broker()
            yield farm
        finally:
            hosts.mend()
            farm.stop()


@pytest.fixture
def farm(spread_farm):
    yield spread_farm
    spread_farm.hosts.mend()
    spread_farm.wait_until_idle()


@pytest.fixture
def here(farm):
    return farm.hosts.here


@pytest.fixture
def there(farm):
    return farm.hosts.there


@contextmanager
def cut(farm):
    farm.hosts.cut()
    try:
        yield
    finally:
        farm.hosts.mend()


def begin(client):
    """A run, its source not exhausted, and what it has given so far."""
    results = client.imap_batches(JOB.batches(COUNT), BUFFER, with_info=True)
    return results, list(itertools.islice(results, 20))


def goes_on(results, got, fault):
    """Wait until batches come that were not finished yet when this was called."""
    since = Stopwatch(fault)
    got += itertools.islice(results, NEW)
    since.stop()


def test_between_the_only_worker_and_the_broker(farm, here, there):
    farm.has_workers_on(there)
    with farm.client(here) as client:
        results, got = begin(client)
        with cut(farm):
            wait_until(lambda: not farm.status()["workers"], "the broker notices")
        goes_on(results, got, "link to the only worker mended")
        got += results
        judge(JOB, got, COUNT)


def test_the_broker_vanishes_and_another_comes(farm, there):
    """Client and worker have connections of which the broker's host knows nothing any more."""
    farm.has_workers_on(there)
    with farm.client(there) as client:
        results, got = begin(client)
        with cut(farm):
            farm.broker.kill()
            farm.broker.wait()
            farm.start_broker()
        goes_on(results, got, "broker restarted while the link was cut, mended")
        got += results
        judge(JOB, got, COUNT)


@pytest.mark.parametrize("seeding", ["batch", "worker"])
def test_between_a_worker_and_the_broker(farm, here, there, seeding):
    """The worker here goes on with what the one there had, and that one comes back."""
    farm.has_workers_on(here, there)
    with farm.client(here, seeding=seeding, hedge=False) as client:
        results, got = begin(client)
        with cut(farm):
            goes_on(results, got, "link to a worker cut")
            wait_until(lambda: len(farm.status()["workers"]) == 1, "the broker notices")
            got += itertools.islice(results, 10)
        since = Stopwatch("worker back after its link was mended")
        far = farm.pid_of_worker_on(there)
        wait_until(lambda: far in farm.worker_pids(), "the worker there comes back")
        since.stop()
        got += results
        judge(JOB, got, COUNT)
        assert all(info.attempts == 0 for _, info in got), "a worker that was cut off is no attempt"


@pytest.mark.parametrize("dumb", ["worker", "broker"])
def test_one_direction_of_the_link_is_dead(farm, here, there, dumb):
    """A connection that is open at both ends, and carries nothing one way."""
    farm.has_workers_on(here, there)
    host, other = (there, here) if dumb == "worker" else (here, there)
    hole = ["blackhole", f"{other.address}/32"]
    with farm.client(here, hedge=False) as client:
        results, got = begin(client)
        subprocess.run(["ip", "-netns", host.name, "route", "add", *hole], check=True)
        try:
            goes_on(results, got, f"no packet from the {dumb} arrives")
            wait_until(lambda: len(farm.status()["workers"]) == 1, "the broker notices")
        finally:
            subprocess.run(["ip", "-netns", host.name, "route", "del", *hole], check=True)
        far = farm.pid_of_worker_on(there)
        wait_until(lambda: far in farm.worker_pids(), "the worker there comes back")
        got += results
        judge(JOB, got, COUNT)


def test_a_workers_host_vanishes(farm, here, there):
    """Its processes are killed while the link is cut: no word of it comes to the broker."""
    farm.has_workers_on(here, there)
    with farm.client(here, hedge=False) as client:
        results, got = begin(client)
        farm.hosts.cut()
        os.killpg(farm.pools[there].pid, signal.SIGKILL)
        goes_on(results, got, "host of a worker vanished")
        got += results
        judge(JOB, got, COUNT)
        assert all(info.attempts == 0 for _, info in got), "nobody knows that a process died"


def test_a_clients_host_vanishes(farm, here, there):
    farm.has_workers_on(here)
    with inside(there):
        trainer = Trainer(farm.clients, JOB)
    with trainer:
        trainer.wait_for_first()
        farm.hosts.cut()
        trainer.kill()
        since = Stopwatch("host of a client vanished, forgotten")
        wait_until(lambda: not farm.status()["clients"], "the broker forgets it")
        since.stop()


@pytest.mark.parametrize("long", [True, False], ids=["until the broker notices", "for 1.5 s"])
def test_between_a_client_and_the_broker(farm, here, there, long):
    farm.has_workers_on(here)
    with farm.client(there) as client:
        results, got = begin(client)
        with cut(farm):
            if long:
                wait_until(lambda: not farm.status()["clients"], "the broker notices")
                assert farm.status()["memory"]["held"] == 0
            else:
                time.sleep(1.5)  # what is tested, not a wait: too short for anybody to notice
        goes_on(results, got, "link to a client mended, after " + ("4 s" if long else "1.5 s"))
        got += results
        judge(JOB, got, COUNT)
