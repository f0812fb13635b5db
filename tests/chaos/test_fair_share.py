"""Several clients at once, one of which does not read: the others get their share, and memory is bounded."""

import threading
from collections import Counter
from contextlib import ExitStack

import pytest

from chaos.faults import Background, resident_bytes
from chaos.jobs import Job, client_for, judge
from farms import PATIENCE

#: The numbers of each client's batches begin this much higher.
STEP = 1000
COUNT = 50

#: With its pixels a batch takes 5 to 20 ms.
SMALL = Job(seconds=(0.0035, 0.0185))
#: 0.84 MB a batch; all that these clients would send is many times the broker's budget.
LARGE = Job("large", size=530, seconds=(0.0, 0.01))
MIB = 2**20
MEMORY = 12 * MIB
#: What the broker takes besides batches when it is busy.
ALLOWANCE = 32 * MIB


def run(farm, job, clients, **options):
    """All clients begin, the last reads one batch and no more, the others read to their ends.

    Every other client has a larger buffer, which must not get it more than its share.
    """
    with ExitStack() as opened:
        calls = []
        for number in range(clients):
            client = opened.enter_context(client_for(job, farm.clients, hedge=False, **options))
            batches = job.batches(COUNT, first=STEP * number)
            buffer = 64 if number % 2 else 8
            calls.append(client.imap_batches(batches, buffer, start=STEP * number, with_info=True))
        next(calls[-1])
        readers = [Background(list, call) for call in calls[:-1]]
        streams = [reader.finish(2 * PATIENCE) for reader in readers]
    for number, got in enumerate(streams):
        judge(job, got, COUNT, first=STEP * number)


@pytest.mark.parametrize("clients", [2, 5])
def test_all_that_read_get_their_share(farm, journal, clients):
    run(farm, SMALL, clients, journal=journal)
    order = [note.number // STEP for note in journal.began()]
    readers = range(clients - 1)
    last_begins = max(order.index(reader) for reader in readers)
    first_ends = min(len(order) - 1 - order[::-1].index(reader) for reader in readers)
    # While all of them had something to do.
    shares = Counter(order[last_begins:first_ends])
    assert min(shares[reader] for reader in readers) > COUNT // 3
    assert min(shares[reader] for reader in readers) > 0.6 * max(shares.values()), shares


class Watch:
    """The most that a broker says it holds, and the most that it has in memory."""

    def __init__(self, farm):
        self.farm, self.over = farm, threading.Event()
        self.at_first = resident_bytes(farm.broker.pid)
        self.held = self.resident = 0

    def look(self):
        while not self.over.wait(0.05):
            self.held = max(self.held, self.farm.status()["memory"]["held"])
            self.resident = max(self.resident, resident_bytes(self.farm.broker.pid))

    def __enter__(self):
        self.looks = Background(self.look)
        return self

    def __exit__(self, *_):
        self.over.set()
        self.looks.finish()


@pytest.mark.slow
@pytest.mark.parametrize("clients", [2, 5])
def test_the_brokers_memory_is_bounded(chaos_farm, clients):
    farm = chaos_farm(2, extra=("--memory", str(MEMORY)))
    with Watch(farm) as watch:
        run(farm, LARGE, clients)
    batch = LARGE.batch(0).images_unaug.nbytes
    # Beside the budget a batch for each call, and what is at work in two workers that hold two each.
    assert watch.held <= MEMORY + (clients + 4) * 1.1 * batch
    assert watch.resident <= watch.at_first + MEMORY + (clients + 4) * batch + ALLOWANCE
