"""Trainer, broker and workers on hosts of their own, with keys, as docs/deployment.md sets them up."""

import itertools
import socket
import threading
import time

import pytest

from augfarm.protocol.keys import make_keys
from augfarm.protocol.limits import RECONNECT_MAX_S
from chaos.augmenters import Noted
from chaos.faults import children_of
from chaos.hosts import Host, inside, joined, namespaces
from chaos.jobs import Job, client_for, judge
from farms import KeyedFarm, wait_until

pytestmark = pytest.mark.slow

TRAINER, BROKER_FOR_TRAINER = "10.77.1.1", "10.77.1.2"
BROKER_FOR_WORKER, WORKER = "10.77.2.1", "10.77.2.2"


class FarmOfThreeHosts(KeyedFarm):
    """The broker listens for trainers on one link and for workers on the other."""

    def __init__(self, directory, names):
        trainer, broker, workers = names
        self.trainer = Host(trainer, TRAINER)
        self.broker_host = Host(broker, BROKER_FOR_TRAINER)
        self.worker_host = Host(workers, WORKER)
        keys = directory / "keys"
        make_keys(keys)
        super().__init__(directory, keys, imports=(Noted.__module__,))
        self.clients = f"tcp://{BROKER_FOR_TRAINER}:5555"
        self.workers = f"tcp://{BROKER_FOR_WORKER}:5556"

    def start_broker(self):
        with inside(self.broker_host):
            super().start_broker()

    def status(self):
        with inside(self.broker_host):
            return super().status()

    def begin_workers(self, count, *arguments, host=None):
        with inside(host or self.worker_host):
            return super().begin_workers(count, "--keys", str(self.keys / "worker"), *arguments)

    def wait_for_workers(self, count):
        wait_until(lambda: len(self.status()["workers"]) == count, f"{count} workers have joined")

    def client(self, job, **options):
        with inside(self.trainer):
            return client_for(job, self.clients, keys=self.keys / "client", **options)


@pytest.fixture
def three_hosts(tmp_path):
    """The hosts and the link between trainer and broker; a test makes the one to the workers."""
    with namespaces("trainer", "broker", "workers") as names:
        farm = FarmOfThreeHosts(tmp_path, names)
        with joined(farm.trainer, farm.broker_host, delay_ms=5, loss=0.002, rate_mbit=100):
            try:
                yield farm
            except BaseException:
                print(farm.logs())
                raise
            finally:
                farm.stop()


def to_workers(farm, **qualities):
    return joined(Host(farm.broker_host.name, BROKER_FOR_WORKER), farm.worker_host, **qualities)


def test_a_job_over_links_with_delay_loss_and_a_rate(three_hosts):
    farm, job, count = three_hosts, Job(images=4, size=128), 40
    with to_workers(farm, delay_ms=20, loss=0.01, rate_mbit=50):
        farm.start_broker()
        farm.start_workers(2)
        with farm.client(job) as client:
            got = list(client.imap_batches(job.batches(count), 8, with_info=True))
        judge(job, got, count)
        assert {info.worker_id for _, info in got} == {0, 1}
        assert {info.attempts for _, info in got} == {0}
        farm.wait_until_idle()


def test_a_worker_behind_a_slow_link_gets_fewer_batches_and_delays_nobody(three_hosts):
    """Its host is asked first, and over its link a batch takes 2.3 s there and 2.3 s back."""
    farm, job, count = three_hosts, Job(size=220), 120
    rate_mbit = 0.5
    there_and_back = 2 * 8 * 220 * 220 * 3 / (rate_mbit * 1e6)
    assert there_and_back > 4.6
    with to_workers(farm, delay_ms=20, rate_mbit=rate_mbit):
        farm.start_broker()
        far = farm.begin_workers(1)
        farm.wait_for_workers(1)
        near = farm.begin_workers(1, host=farm.broker_host)
        farm.wait_for_workers(2)
        times, got = [], []
        with farm.client(job) as client:
            results = client.imap_batches(job.batches(count), 8, with_info=True)
            for result in results:
                times.append(time.monotonic())
                got.append(result)
        judge(job, got, count)
        done = {info.worker_id: 0 for _, info in got} | {0: 0, 1: 0}
        for _, info in got:
            done[info.worker_id] += 1
        assert done[0] < done[1] / 10, "it took no more than it could carry"
        assert farm.status()["totals"]["hedged"] >= 1, "it had some of the batches that others did"
        # Every batch that it had would have held the ordered call up for as long.
        assert max(later - one for one, later in itertools.pairwise(times)) < there_and_back
        for pool in (near, far):
            assert pool.poll() is None


class Refuser:
    """Stands where the broker should, and hangs up on everybody: the times at which they came."""

    def __init__(self, host, address, port):
        with inside(host):
            self._listener = socket.create_server((address, port))
        self.times = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.times.append(time.monotonic())
            connection.close()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def test_a_worker_waits_for_its_broker_for_ever_and_rejoins(three_hosts):
    farm, job = three_hosts, Job()
    with to_workers(farm, delay_ms=5):
        refuser = Refuser(farm.broker_host, BROKER_FOR_WORKER, 5556)
        pool = farm.begin_workers(1)
        wait_until(lambda: len(refuser.times) >= 9, "it asks again and again")
        refuser.close()
        waits = [later - one for one, later in itertools.pairwise(refuser.times)]
        assert waits[0] < waits[-1]
        assert min(waits[-3:]) > RECONNECT_MAX_S - 0.1, "it does not ask all the time"
        assert sorted(waits)[len(waits) // 2] < 2 * RECONNECT_MAX_S, "nor leaves off asking"
        farm.start_broker()
        farm.wait_for_workers(1)
        (process,) = children_of(pool.pid)
        for _ in range(2):
            farm.broker.kill()
            farm.broker.wait()
            said = farm.logs().count("waiting for the broker")
            wait_until(lambda said=said: farm.logs().count("waiting for the broker") > said, "it says so")
            farm.start_broker()
            farm.wait_for_workers(1)
        with farm.client(job) as client:
            judge(job, list(client.imap_batches(job.batches(5), with_info=True)), 5)
        assert children_of(pool.pid) == [process], "no process ended for want of a broker"
