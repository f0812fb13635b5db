"""The core's side of the workers: what each of their commands does, and what their end does. Pure."""

from __future__ import annotations

from collections import OrderedDict

from augfarm.protocol import limits
from augfarm.protocol import messages as m

from .events import Body, CommandReceived, Watch
from .farm import Census
from .floor import Floor, LastWord, unfit
from .jobs import Client, Departed, Job, SessionKey, Worker
from .pipelines import lend

__all__ = ["WorkerDesk"]

#: Workers that were lost are remembered in case they come back: as many as may be here.
MAX_DEPARTED = limits.MAX_WORKERS
#: The table of lengths that a body begins with comes on top of the batch itself.
MAX_BODY_BYTES = limits.MAX_BATCH_BYTES + limits.MAX_COMMAND_BYTES


class WorkerDesk:
    """All workers' sessions, by their keys.

    A method that gives a last word wants the worker's connection to end with it; whoever calls does that.
    """

    def __init__(self, floor: Floor) -> None:
        self.sessions: dict[SessionKey, Worker] = {}
        self.census = Census()
        self._floor = floor
        self._departed: OrderedDict[SessionKey, Departed] = OrderedDict()
        self._next_id = 0

    def open(self, key: SessionKey, connection: bytes, join: m.Join, now: float) -> Worker:
        """A new session, or one that was lost or replaced taken up again under its worker id."""
        departed = self._departed.pop(key, None)
        if departed is not None and departed.blamed is not None:
            self._take_back_attempt(departed.blamed)
        worker_id = self._next_id if departed is None else departed.worker_id
        self._next_id += departed is None
        worker = Worker(
            worker_id, key, connection, join.software, join.environment, now, join.credit, join.credit
        )
        self.sessions[key] = worker
        self.census.add(worker)
        floor = self._floor
        floor.actions.append(Watch(connection))
        floor.tell(worker, m.Joined(floor.software, worker_id, floor.frame_bytes))
        floor.ledger.lines.enter(worker)
        place = f"{'here' if departed is None else 'back'} from {join.environment.get('host') or 'somewhere'}"
        floor.log("INFO", f"worker {worker_id} is {place} ({join.software})")
        return worker

    def drop(self, worker: Worker, *, died: bool, now: float) -> None:
        """The worker is gone: its leases go back. If its process died, the oldest counts an attempt."""
        oldest = next(iter(worker.leases.values()), None)
        # A job at work that nobody wants takes the blame with it: the batches behind it only waited.
        blamed = oldest if died and oldest is not None and oldest.place == "leased" else None
        jobs = self._floor.ledger.dissolve(worker)
        del self.sessions[worker.key]
        self.census.remove(worker)
        self._departed[worker.key] = Departed(worker.worker_id, blamed)
        if len(self._departed) > MAX_DEPARTED:
            self._departed.popitem(last=False)
        if blamed is not None:
            self._count_attempt(blamed, worker, now)
        jobs = [job for job in jobs if job.place == "leased"]
        self._floor.totals.retried += len(jobs)
        self._floor.ledger.put_back(jobs)

    def hear(self, worker: Worker, event: CommandReceived, now: float) -> LastWord | None:
        """Do what the worker says."""
        command = event.command
        match command:
            case m.Result() | m.Failed():
                return self._answer(worker, command, event.body, event.body_bytes, now)
            case m.Credit(batches):
                if self._is_too_much(worker, batches):
                    return _TOO_MUCH
                self._floor.ledger.lines.leave(worker)
                worker.credit += batches
                self._floor.ledger.lines.enter(worker)
                return None
            case m.Attached(number):
                # The client may have gone meanwhile.
                worker.attached.update(c for c in worker.offered if c.offer and c.offer.session == number)
                return None
            case m.Goodbye():
                return m.Goodbye()
            case _:
                return unfit(command)

    def forget_memory(self, client: Client) -> None:
        """The client has gone."""
        for worker in self.sessions.values():
            worker.offered.discard(client)
            worker.attached.discard(client)

    def dispatch(self, now: float) -> None:
        """Lease what waits to whoever takes it, until nothing waits or nobody takes more."""
        floor = self._floor
        while (pair := floor.ledger.lines.match()) is not None:
            job, worker = pair
            command, digest = job.command, job.command.digest
            floor.totals.hedged += job.place == "leased"
            floor.ledger.lease(job, worker, now)
            for told, spec in lend(worker, digest, floor.library.body(digest)):
                floor.tell(worker, told, spec)
            client = job.client
            if client.offer is not None and client not in worker.offered:
                worker.offered.add(client)
                floor.tell(worker, client.offer)
            dispatch = m.Dispatch(job.ticket, command.index, command.base_seed, command.seeding, digest)
            unseen = command.placed and client not in worker.attached
            floor.tell(worker, dispatch, job.body, memory_of=client.connection if unseen else None)

    def check(self) -> None:
        """Raise AssertionError where a law is broken."""
        workers = list(self.sessions.values())
        assert not self._departed.keys() & self.sessions.keys()
        assert len({w.worker_id for w in workers}) == len(workers)
        assert all(len(w.leases) + w.credit <= limits.MAX_WORKER_CREDIT for w in workers)
        farm = self.census.farm()
        assert farm.workers == len(workers)
        assert farm.slots == sum(w.capacity for w in workers)
        assert all(w.attached <= w.offered for w in workers)

    def _answer(
        self, worker: Worker, command: m.Result | m.Failed, body: Body, octets: int, now: float
    ) -> LastWord | None:
        if command.ticket not in worker.leases:
            self._floor.totals.late += 1
            return None
        if isinstance(command, m.Failed) and command.kind == "poisoned":
            return m.Refused("unexpected", "FAILED: only the broker gives batches up")
        if self._is_too_much(worker, command.credit - 1):
            return _TOO_MUCH
        dispatched = worker.leases[command.ticket].holders[worker]
        job = self._floor.ledger.unlease(worker, command.ticket, command.credit)
        answered_before, worker.answered_at = worker.answered_at, now
        worker.done += 1
        if job.place != "leased":  # nobody wants it, or another worker was faster
            if job.command.placed:
                self._floor.tell(worker, m.Release(command.ticket))
            return None
        if isinstance(command, m.Result) and octets <= MAX_BODY_BYTES:
            # It waited here, and then at the worker until the one before it was answered.
            queued = (dispatched - job.arrived) + max(0.0, answered_before - dispatched)
            self._floor.totals.done += 1
            self._floor.ledger.deliver(job, octets, now)
            answer: m.Command = m.Deliver(
                job.command.request,
                job.receipt,
                worker.worker_id,
                job.attempts,
                queued,
                command.seconds_augmenting,
            )
        else:
            body = ()
            self._floor.totals.failed += 1
            self._floor.ledger.deliver(job, _size_of(command), now)
            answer = _fail(job, worker, command, octets)
        self._floor.tell(job.client, answer, body)
        return None

    def _is_too_much(self, worker: Worker, more: int) -> bool:
        return len(worker.leases) + worker.credit + more > limits.MAX_WORKER_CREDIT

    def _count_attempt(self, job: Job, worker: Worker, now: float) -> None:
        job.attempts += 1
        if job.attempts >= self._floor.max_attempts:
            self._floor.give_up(job, worker.worker_id, now)
        else:
            self._floor.tell(job.client, m.Attempt(job.command.request, job.attempts))

    def _take_back_attempt(self, job: Job) -> None:
        if job.place in ("queued", "leased"):
            job.attempts -= 1
            self._floor.tell(job.client, m.Attempt(job.command.request, job.attempts))


_TOO_MUCH = m.Refused("credit", f"a worker takes at most {limits.MAX_WORKER_CREDIT} batches at once")


def _size_of(command: m.Result | m.Failed) -> int:
    """The bytes of a failure's texts, roughly: a client that does not read them is charged for them."""
    if isinstance(command, m.Failed):
        return len(command.exception_text) + len(command.traceback)
    return 0


def _fail(job: Job, worker: Worker, command: m.Result | m.Failed, octets: int) -> m.Fail:
    where = (job.command.request, job.receipt, worker.worker_id, job.attempts)
    if isinstance(command, m.Result):
        text = f"the result has {octets} bytes, more than {limits.MAX_BATCH_BYTES}"
        return m.Fail(*where, "too-large", "", text, "")
    text, traceback = command.exception_text, command.traceback
    # FAIL has a few bytes more around its texts than FAILED: the longest that came would no longer fit.
    if len(text.encode()) + len(traceback.encode()) > limits.MAX_COMMAND_BYTES - 4096:
        text = text[: limits.MAX_TEXT_LENGTH // 4]
    return m.Fail(*where, command.kind, command.exception_type, text, traceback)
