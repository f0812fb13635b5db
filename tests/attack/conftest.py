"""A farm at work for an honest client while others attack it, and the judge of that."""

import hashlib
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import zmq
from imgaug import augmenters as iaa

from augfarm.client import Client, Seed
from augfarm.protocol import pipelines
from augfarm.protocol.augment import Recipe
from augfarm.protocol.batches import pack
from farms import Farm, wait_until

from .raw import Peer, connect, shake_hands

SEED = 7
BUFFER = 4
#: `--memory` of the broker under attack.
MEMORY = "64MiB"
#: The most that its process may ever have used, in bytes: what all windows have together, twice, since
#: results are there for a moment beside their batches; Python and libzmq; connections and their queues.
MOST_MEMORY = 192 * 2**20
#: The most lines in its log: what it may say at once (manners.py), at both levels, and in each second.
MOST_LINES = 2000
LINES_PER_SECOND = 20


def batch_of(index):
    return np.random.default_rng(index).integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)


def pipeline():
    return iaa.Sequential([iaa.Fliplr(0.5), iaa.Add((-20, 20))])


class HonestClient:
    """A client that goes on and on, and the SHA-256 of all that it got."""

    def __init__(self, address):
        self.address = address
        self.got, self.error, self.digest = 0, None, hashlib.sha256()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            with Client(pipeline(), self.address, seed=SEED, seeding="batch") as client:
                for result in client.imap_batches(self._source(), BUFFER):
                    self.digest.update(result.tobytes())
                    self.got += 1
                    self._is_over.wait(0.01)  # some 80 batches each second leave room for the attackers
        except Exception as error:
            self.error = error

    def _source(self):
        index = 0
        while not self._is_over.is_set():
            yield batch_of(index)
            index += 1

    def goes_on(self):
        """Wait until it has got so many batches more that none of them was sent before this call."""
        enough = self.got + 3 * BUFFER
        wait_until(lambda: self.error or self.got >= enough, "the honest client goes on")
        if self.error:
            raise self.error

    def ends(self):
        """What it got, and what an undisturbed run gives, both as hashes."""
        self._is_over.set()
        self._thread.join()
        if self.error:
            raise self.error
        recipe, expected = Recipe(pipelines.encode(pipeline())), hashlib.sha256()
        for index in range(self.got):
            packed = pack(batch_of(index), index)
            augmented = recipe.augment(packed.tree, Seed("batch", SEED, index, 0))
            expected.update(packed.keep.restore(augmented).tobytes())
        return self.digest.hexdigest(), expected.hexdigest()


class Battlefield:
    """A broker, two workers, and an honest client in mid-run."""

    def __init__(self, directory):
        self.farm = Farm(directory, max_attempts=50, extra=("--memory", MEMORY))
        self.farm.start_broker()
        self.farm.start_workers(2)
        self.pids = set(self.farm.worker_pids())
        self.context = zmq.Context()
        self.peers, self.connections = [], []
        self.honest = HonestClient(self.farm.clients)

    def address(self, side):
        return self.farm.clients if side == "client" else self.farm.workers

    def peer(self, side):
        self.peers.append(Peer(self.context, self.address(side), side))
        return self.peers[-1]

    def connection(self, side, *, shake=False):
        self.connections.append(connect(self.address(side)))
        if shake:
            shake_hands(self.connections[-1])
        return self.connections[-1]

    def everybody_goes(self):
        for each in [*self.peers, *self.connections]:
            each.close()
        self.peers.clear()
        self.connections.clear()

    def judge(self):
        """All that was attacked is there and works, and has not used too much of anything."""
        self.honest.goes_on()
        assert self.farm.broker.poll() is None
        status = self.farm.status()
        assert self.pids <= set(self.farm.worker_pids()), "no worker was lost"
        assert status["totals"]["poisoned"] == 0
        assert self.most_memory() < MOST_MEMORY
        log = next(self.farm.directory.glob("*augfarm.broker.log")).read_text()
        assert log.count("\n") < MOST_LINES + LINES_PER_SECOND * status["uptime"]
        assert "Traceback" not in log

    def most_memory(self):
        """The most memory that the broker has ever had, in bytes."""
        text = Path(f"/proc/{self.farm.broker.pid}/status").read_text()
        return 1024 * int(text.partition("VmHWM:")[2].split()[0])

    def stop(self):
        self.everybody_goes()
        self.context.destroy(linger=0)
        self.farm.stop()


@pytest.fixture(scope="module")
def farm_at_work(tmp_path_factory):
    if not os.path.exists("/proc/self/status"):
        pytest.skip("needs /proc to see how much memory the broker has")
    battlefield = Battlefield(tmp_path_factory.mktemp("attacked"))
    try:
        yield battlefield
        got, expected = battlefield.honest.ends()
        assert got == expected, "the honest client lost nothing, and got nothing twice"
    except BaseException:
        print(battlefield.farm.logs()[-20_000:])
        raise
    finally:
        battlefield.stop()


@pytest.fixture
def battlefield(farm_at_work):
    """For one attack; when it is over, all is as it was."""
    yield farm_at_work
    farm_at_work.everybody_goes()
    farm_at_work.judge()
