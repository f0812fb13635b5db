"""Several clients at once, one of which does not read: the others get their share, and memory is bounded."""

import threading
from collections import Counter
from contextlib import ExitStack

import pytest

from chaos.faults import Background, resident_bytes
from chaos.jobs import Job, client_for, judge
from farms import PATIENCE

MIB = 2**20
MEMORY = 12 * MIB
#: 0.84 MB a batch.
JOB = Job("large", size=530, seconds=(0.005, 0.02))
COUNT = 40
#: The numbers of each client's batches begin this much higher.
STEP = 1000
#: What the broker takes besides batches when it is busy: buffers of the kernel's do not count, its own do.
ALLOWANCE = 32 * MIB


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


@pytest.mark.parametrize("clients", [pytest.param(2, marks=pytest.mark.slow), 5])
def test_who_does_not_read_harms_nobody(chaos_farm, journal, clients):
    farm = chaos_farm(2, extra=("--memory", str(MEMORY)))
    buffers = [64 if number % 2 else 8 for number in range(clients)]
    with ExitStack() as opened, Watch(farm) as watch:
        calls = []
        for number, buffer in enumerate(buffers):
            client = opened.enter_context(client_for(JOB, farm.clients, journal=journal, hedge=False))
            batches = JOB.batches(COUNT, first=STEP * number)
            calls.append(client.imap_batches(batches, buffer, start=STEP * number, with_info=True))
        next(calls[-1])  # and no more
        readers = [Background(list, call) for call in calls[:-1]]
        streams = [reader.finish(2 * PATIENCE) for reader in readers]
    for number, got in enumerate(streams):
        judge(JOB, got, COUNT, first=STEP * number)
    batch = JOB.batch(0).images_unaug.nbytes
    # Beside the budget a batch for each call, and what is at work in two workers that hold two each.
    assert watch.held <= MEMORY + (clients + 4) * 1.1 * batch
    assert watch.resident <= watch.at_first + MEMORY + (clients + 4) * batch + ALLOWANCE
    if clients > 2:
        fair(journal, range(clients - 1))


def fair(journal, readers):
    """While all had something to do their batches were begun equally often, whatever their buffers."""
    order = [note.number // STEP for note in journal.began() if note.number // STEP in readers]
    last_begins = max(order.index(reader) for reader in readers)
    first_ends = min(len(order) - 1 - order[::-1].index(reader) for reader in readers)
    shares = Counter(order[last_begins:first_ends])
    assert sum(shares.values()) > COUNT, "they were at work at the same time"
    assert min(shares[reader] for reader in readers) > 0.6 * max(shares.values()), shares
