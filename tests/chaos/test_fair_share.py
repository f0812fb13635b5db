"""Several clients at once, one of which does not read: the others get their share, and memory is bounded."""

import threading
from collections import Counter

import pytest

from chaos.faults import resident_bytes
from chaos.jobs import Job, client_for, judge

MIB = 2**20
MEMORY = 12 * MIB
#: 0.84 MB a batch.
JOB = Job("large", size=530, seconds=(0.005, 0.02))
COUNT = 40
#: The numbers of each client's batches begin this much higher.
STEP = 1000
#: What the broker takes besides batches when it is busy: buffers of the kernel's do not count, its own do.
ALLOWANCE = 32 * MIB


class Watch(threading.Thread):
    """The most that a broker says it holds, and the most that it has in memory."""

    def __init__(self, farm):
        super().__init__(daemon=True)
        self.farm, self.over = farm, threading.Event()
        self.at_first = resident_bytes(farm.broker.pid)
        self.held = self.resident = 0

    def run(self):
        while not self.over.wait(0.05):
            self.held = max(self.held, self.farm.status()["memory"]["held"])
            self.resident = max(self.resident, resident_bytes(self.farm.broker.pid))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


@pytest.mark.parametrize("clients", [pytest.param(2, marks=pytest.mark.slow), 5])
def test_who_does_not_read_harms_nobody(chaos_farm, journal, clients):
    farm = chaos_farm(2, extra=("--memory", str(MEMORY)))
    buffers = [64 if number % 2 else 8 for number in range(clients)]
    opened = [client_for(JOB, farm.clients, journal=journal, hedge=False) for _ in buffers]
    calls = [
        client.imap_batches(JOB.batches(COUNT, first=STEP * n), buffer, start=STEP * n, with_info=True)
        for n, (client, buffer) in enumerate(zip(opened, buffers, strict=True))
    ]
    streams = [[] for _ in calls]

    def read(number):
        streams[number] += calls[number]

    with Watch(farm) as watch:
        next(calls[-1])  # and no more
        readers = [threading.Thread(target=read, args=(n,), daemon=True) for n in range(clients - 1)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    for number, got in enumerate(streams[:-1]):
        judge(JOB, got, COUNT, first=STEP * number)
    for client in opened:
        client.terminate()
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
