"""Where every batch is. Pure.

The rules, all of which :meth:`Ledger.check` checks:

- a ticket is minted once and never again;
- a job is in exactly one place: *queued* at its client, *leased* to one worker (two, where it is hedged),
  *delivered* and not yet received, or an *orphan*: held by a worker for nobody, since its client has gone,
  has cancelled it, or has received the answer of another worker;
- a job that may have to be dispatched keeps its body; no other does;
- a call has at most one job in its slot, and a job that comes while the slot is taken goes to the window.

::

    submit ──► queued ──lease──► leased ──deliver──► delivered ──release──► gone
                 ▲ │                │ │                  ▲
                 │ │    put_back    │ │ release          │ deliver (poisoned)
                 │ └────────────────┼─┼──────────────────┘
                 └──────────────────┘ └──► orphan ──unlease──► gone
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

from augfarm.protocol.messages import Submit

from .dispatch import Lines
from .events import Body
from .jobs import Call, Client, Job, Worker
from .pipelines import settle
from .windows import Windows

__all__ = ["Ledger"]


class Ledger:
    """All jobs and their moves from place to place.

    Args:
        windows: the clients' windows, which the jobs are charged to.
        secret: makes receipts that nobody can guess: a client can say RECEIVED only for what it has read.
    """

    def __init__(self, windows: Windows[Client], secret: bytes = b"") -> None:
        self._secret = secret
        self.lines = Lines()
        self._windows = windows
        self._jobs: dict[int, Job] = {}
        self._next_ticket = 0
        #: The size of all bodies here, and of all results that were sent and not received, in bytes.
        self.held = 0

    def submit(self, client: Client, command: Submit, body: Body, octets: int, now: float) -> Job | None:
        """A new job, queued; None where it is beyond the client's window."""
        call = client.calls.get(command.call)
        in_slot = call is None or call.slot is None
        if not in_slot and not self._windows.fits(client, octets):
            return None
        if call is None:
            call = client.calls[command.call] = Call()
        job = Job(
            self._next_ticket, client, command, body, octets, octets, in_slot, command.attempts, arrived=now
        )
        self._next_ticket += 1
        if in_slot:
            call.slot = job
        else:
            self._windows.charge(client, octets)
        call.jobs[job.ticket] = job
        client.requests[command.request] = job
        self._jobs[job.ticket] = job
        self.held += octets
        self.lines.add(job)
        return job

    def lease(self, job: Job, worker: Worker, now: float) -> None:
        """The job, out of its line, goes to the worker, which is out of its own."""
        assert worker.credit > 0
        worker.credit -= 1
        worker.leases[job.ticket] = job
        if job.place != "leased":  # else it is hedged
            job.place = "leased"
            job.client.leased += 1
        job.holders[worker] = now
        self.lines.enter(worker)

    def hedge(self, job: Job) -> bool:
        """Have a second worker try a leased job. False where that is not possible now.

        A call has one hedged job at a time: a client cannot get twice its share by hedging all it has.
        """
        call = job.client.calls[job.command.call]
        other = call.hedged
        others_turn = other is not None and other.place == "leased" and self._is_hedged(other)
        if others_turn or job.place != "leased" or self._is_hedged(job):
            return False
        call.hedged = job
        self.lines.hedge(job)
        return True

    def unlease(self, worker: Worker, ticket: int, credit: int) -> Job:
        """The worker has answered. Where the job's place is "leased", deliver it next; else nobody waits."""
        self.lines.leave(worker)
        job = worker.leases.pop(ticket)
        worker.credit += credit
        self.lines.enter(worker)
        settle(worker, job.command.digest)
        self._let_go(job, worker)
        return job

    def dissolve(self, worker: Worker) -> list[Job]:
        """The worker is gone. Returns the leased jobs that nobody holds now, oldest first: put them back."""
        self.lines.leave(worker)
        worker.credit = 0
        jobs = list(worker.leases.values())
        worker.leases.clear()
        worker.uses.clear()
        for job in jobs:
            self._let_go(job, worker)
        return [job for job in jobs if job.place == "leased" and not job.holders]

    def put_back(self, jobs: Sequence[Job]) -> None:
        """Queue leased jobs again that nobody holds."""
        for job in jobs:
            assert job.place == "leased"
            self._leave_place(job)
        self.lines.put_back(jobs)

    def deliver(self, job: Job, octets: int, now: float) -> None:
        """The job, queued or leased, has an answer of this size; the client will say RECEIVED."""
        self._leave_place(job)
        job.place, job.body, job.receipt = "delivered", (), self._receipt_for(job.ticket)
        job.client.answers[job.receipt] = job
        self.held += octets - job.held
        job.held = octets
        self._windows.grow(job.client, octets - job.octets, now)

    def release(self, job: Job) -> None:
        """The client wants nothing more of this job."""
        client, command = job.client, job.command
        self._leave_place(job)
        job.place = "orphan"
        if not job.holders:
            self._vanish(job)
        client.answers.pop(job.receipt, None)
        job.body = ()
        self.held -= job.held
        self._windows.release(client, job.octets, job.held - job.octets, in_slot=job.in_slot)
        del client.requests[command.request]
        call = client.calls[command.call]
        del call.jobs[job.ticket]
        if call.slot is job:
            call.slot = None
        if not call.jobs:
            del client.calls[command.call]

    def _receipt_for(self, ticket: int) -> int:
        octets = hashlib.blake2b(ticket.to_bytes(8, "big"), key=self._secret, digest_size=8).digest()
        return int.from_bytes(octets, "big") >> 1

    def _is_hedged(self, job: Job) -> bool:
        return len(job.holders) > 1 or self.lines.awaits_hedge(job)

    def _leave_place(self, job: Job) -> None:
        """The job is about to be in another place than queued or leased."""
        if job.place == "queued":
            self.lines.remove(job)
        elif job.place == "leased":
            self.lines.unhedge(job)
            job.client.leased -= 1

    def _let_go(self, job: Job, worker: Worker) -> None:
        del job.holders[worker]
        if job.place == "orphan" and not job.holders:
            self._vanish(job)

    def _vanish(self, job: Job) -> None:
        job.place = "gone"
        del self._jobs[job.ticket]

    def check(self, clients: Iterable[Client], workers: Iterable[Worker]) -> None:
        """Raise AssertionError where a law is broken. `clients`, `workers`: all that there are."""
        clients, workers = list(clients), list(workers)
        self.lines.check(clients, workers)
        places: Counter[int] = Counter()
        for client in clients:
            for line in (client.retried, client.fresh):
                assert all(job.place == "queued" and job.client is client for job in line.values())
                places.update(line.keys())
            mine = list(client.requests.values())
            places.update(job.ticket for job in mine if job.place == "delivered")
            assert client.answers == {job.receipt: job for job in mine if job.place == "delivered"}
            assert client.leased == sum(job.place == "leased" for job in mine)
            assert {j.ticket for j in mine} == {t for call in client.calls.values() for t in call.jobs}
            windowed = [job.octets for job in mine if not job.in_slot]
            grown = sum(job.held - job.octets for job in mine)
            assert self._windows.used(client) == (len(windowed), sum(windowed), grown)
            for call in client.calls.values():
                assert call.jobs, "a call is open while it has jobs here"
                assert [j for j in call.jobs.values() if j.in_slot] == ([call.slot] if call.slot else [])
        held: dict[int, set[Worker]] = {}
        for worker in workers:
            assert worker.credit >= 0
            for ticket in worker.leases:
                held.setdefault(ticket, set()).add(worker)
            assert worker.uses == Counter(job.command.digest for job in worker.leases.values())
            assert worker.uses.keys() <= worker.pipelines.keys(), "a lease's pipeline is never forgotten"
        places.update(t for t in held if self._jobs[t].place in ("leased", "orphan"))
        assert all(count == 1 for count in places.values()), "a job is in exactly one place"
        assert set(places) == set(self._jobs)
        assert all(job.ticket == ticket < self._next_ticket for ticket, job in self._jobs.items())
        for job in self._jobs.values():
            assert set(job.holders) == held.get(job.ticket, set())
            assert len(job.holders) <= 2, "a job is hedged once"
            assert job.place != "queued" or not job.holders
            assert bool(job.body) <= (job.place in ("queued", "leased"))
        alive = [job for job in self._jobs.values() if job.place != "orphan"]
        assert self.held == sum(job.held for job in alive)
        assert all(job.client.requests.get(job.command.request) is job for job in alive)
