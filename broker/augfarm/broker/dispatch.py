"""Who is next: the clients that wait, in turn, and the workers with credit, the least loaded first. Pure.

A leased job may be *hedged*: it waits, before all others, for a second worker that takes it.

Laws: a client is in line exactly while it has queued jobs; a worker is in line exactly while it has credit,
among those with as many leases. Each step costs the same whatever the number of clients, workers and jobs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from augfarm.protocol import limits

from .jobs import Client, Job, Worker

__all__ = ["Lines"]


class Lines:
    """The line of clients with queued jobs and the lines of workers with credit."""

    def __init__(self) -> None:
        self._clients: OrderedDict[Client, None] = OrderedDict()
        #: Workers with credit, by how many leases they have; who came first is first.
        self._workers: list[OrderedDict[Worker, None]] = [
            OrderedDict() for _ in range(limits.MAX_WORKER_CREDIT + 1)
        ]
        #: Bit n is set where some worker with n leases has credit: the lowest bit is the next worker's.
        self._occupied = 0
        self._hedges: OrderedDict[Job, None] = OrderedDict()
        self.queued = 0

    # --- clients -------------------------------------------------------------------------------------------

    def add(self, job: Job) -> None:
        """Queue a job that has just come."""
        job.place = "queued"
        job.client.fresh[job.ticket] = job
        self.queued += 1
        self._clients.setdefault(job.client)

    def put_back(self, jobs: Iterable[Job]) -> None:
        """Queue jobs that were leased at the heads of their clients' queues, oldest first."""
        retried: dict[Client, list[Job]] = {}
        for job in jobs:
            job.place = "queued"
            retried.setdefault(job.client, []).append(job)
            self.queued += 1
        for client, mine in retried.items():
            both = [*client.retried.values(), *mine]
            client.retried = OrderedDict((job.ticket, job) for job in sorted(both, key=lambda j: j.ticket))
            self._clients.setdefault(client)

    def remove(self, job: Job) -> None:
        """Take a queued job out, wherever it is."""
        client = job.client
        del (client.retried if job.ticket in client.retried else client.fresh)[job.ticket]
        self.queued -= 1
        if not client.retried and not client.fresh:
            del self._clients[client]

    # --- hedges --------------------------------------------------------------------------------------------

    def hedge(self, job: Job) -> None:
        """A leased job waits for a second worker."""
        self._hedges[job] = None

    def unhedge(self, job: Job) -> None:
        """It does not, or not any more."""
        self._hedges.pop(job, None)

    def awaits_hedge(self, job: Job) -> bool:
        """Whether it waits for a second worker."""
        return job in self._hedges

    def _match_hedge(self) -> tuple[Job, Worker] | None:
        for job in self._hedges:
            for line in self._workers:
                worker = next((each for each in line if each not in job.holders), None)
                if worker is not None:
                    del self._hedges[job]
                    self.leave(worker)
                    return job, worker
        return None

    # --- workers -------------------------------------------------------------------------------------------

    def enter(self, worker: Worker) -> None:
        """The worker's credit or leases have changed; put it in the line where it belongs now, if in any."""
        if worker.credit:
            count = len(worker.leases)
            self._workers[count][worker] = None
            self._occupied |= 1 << count

    def leave(self, worker: Worker) -> None:
        """The worker's credit or leases are about to change, or it goes."""
        if worker.credit:
            count = len(worker.leases)
            del self._workers[count][worker]
            if not self._workers[count]:
                self._occupied &= ~(1 << count)

    # --- both ----------------------------------------------------------------------------------------------

    def match(self) -> tuple[Job, Worker] | None:
        """The next job and the worker for it, both out of their lines; None where either line is empty."""
        if self._hedges and self._occupied and (pair := self._match_hedge()):
            return pair
        if not self._clients or not self._occupied:
            return None
        client, _ = self._clients.popitem(last=False)
        _, job = (client.retried or client.fresh).popitem(last=False)
        self.queued -= 1
        if client.retried or client.fresh:
            self._clients[client] = None
        count = (self._occupied & -self._occupied).bit_length() - 1
        worker = next(iter(self._workers[count]))
        self.leave(worker)
        return job, worker

    def check(self, clients: Iterable[Client], workers: Iterable[Worker]) -> None:
        """Raise AssertionError where a law is broken. `clients`, `workers`: all that there are."""
        clients, workers = list(clients), list(workers)
        assert set(self._clients) == {c for c in clients if c.retried or c.fresh}
        assert self.queued == sum(len(c.retried) + len(c.fresh) for c in clients)
        assert all(list(line) == sorted(line) for c in clients for line in (c.retried, c.fresh))
        for count, line in enumerate(self._workers):
            assert set(line) == {w for w in workers if w.credit and len(w.leases) == count}
            assert bool(line) == bool(self._occupied >> count & 1)
        assert not (self._clients and self._occupied), "no batch waits beside a worker with credit"
        for job in self._hedges:
            assert job.place == "leased"
            assert len(job.holders) == 1
            assert not any(w.credit for w in workers if w not in job.holders), "nor does a hedged one"
