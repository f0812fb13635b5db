"""What one worker process does next. Pure: no zmq, no clock, no logging, no imgaug.

A session is *away* (no JOINED yet on this connection), *joined*, *leaving* (Goodbye is said, and the
broker's is awaited, so that the last result has left) or *ended*::

    away ──JOINED──► joined ──stop, or the last of its tasks──► leaving ──GOODBYE──► ended
      ▲                │                                           │
      └─connection ends┘                                           └─connection ends, or 30 s► ended

- The channel is ordered and the broker knows what the worker holds, so PIPELINE, FORGET and DISPATCH stand in
  one queue and are obeyed in the order in which they came: a FORGET never overtakes a batch that needs its
  pipeline.
- A batch is begun only when :class:`InboxEmptied` says that all that arrived before was heard. So no batch is
  begun for a connection that has ended, or after a stop.
- With a connection the queue, the pipelines and the memories end: the broker gives the batches to others and
  sends the rest again. The batch at work is finished, since nothing can interrupt it, and its result thrown
  away.
- The broker may send as many batches as the worker granted: two, one at work and one waiting, and more where
  two would be done before others come (:mod:`.ahead`). A worker with a limit of tasks grants no more than it
  will do, so that it has nothing to give back when it leaves.
- A broker that breaks a promise (a batch without credit, a command before JOINED, bytes that are no command)
  may have lost track of a batch. The connection is thrown away: then both sides know again what is open.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from augfarm.protocol import limits
from augfarm.protocol.messages import (
    Attached,
    Dispatch,
    Failed,
    Forget,
    Goodbye,
    Joined,
    Offer,
    Pipeline,
    Refused,
    Release,
    Result,
)
from augfarm.protocol.seeds import Seed

from .ahead import MOST_AHEAD, Ahead
from .events import (
    Action,
    AttachMemory,
    Augment,
    BatchAugmented,
    BatchFailed,
    CommandArrived,
    ConnectionEnded,
    Event,
    Exit,
    ForgetAllPipelines,
    ForgetMemory,
    ForgetPipeline,
    GarbageArrived,
    InboxEmptied,
    LoadPipeline,
    MemoryAttached,
    Reconnect,
    ReleaseResult,
    RenewToken,
    Say,
    SayWaiting,
    Send,
)

__all__ = ["EXIT_DONE", "EXIT_REVOKED", "EXIT_VERSION", "EXIT_WRONG_PORT", "Session"]

#: How a worker process ends: as planned, or refused for good.
EXIT_DONE = 0
EXIT_VERSION = 3
EXIT_REVOKED = 4
EXIT_WRONG_PORT = 5
_REFUSED_FOR_GOOD = {"version": EXIT_VERSION, "revoked": EXIT_REVOKED, "wrong-port": EXIT_WRONG_PORT}

#: How long a leaving worker waits for the broker's Goodbye, in seconds: a result of 100 MB takes as long on a
#: link of 4 MB/s. A broker that is gone or frozen is noticed sooner, by the end of the connection.
GOODBYE_TIMEOUT_S = 30.0
#: A refused worker asks again after this long, in seconds: a full broker is not asked by thousands at once.
REFUSED_WAIT_S = 1.0
#: When a worker without a broker says so for the first time, and how long it is then silent, in seconds.
FIRST_NOTICE_S = 3.0
NEXT_NOTICE_S = 10.0


class Session:
    """The state of one worker process; perform what :meth:`handle` and :meth:`expire` return, in order.

    Args:
        now: seconds on any clock that never goes back; the same clock for all calls.
        max_tasks: leave after so many batches; None for never.
    """

    def __init__(self, *, now: float, max_tasks: int | None = None) -> None:
        self.state: Literal["away", "joined", "leaving", "ended"] = "away"
        self._max_tasks = max_tasks
        self._finished = 0
        self._ahead = Ahead()
        self._worker_id = 0
        self._frame_bytes = 0
        #: Batches that the broker may still send.
        self._credit = 0
        #: Pipeline, Forget and Dispatch, in the order in which they came.
        self._queue: deque[CommandArrived] = deque()
        self._at_work: Dispatch | None = None
        #: The batch at work came on a connection that has ended.
        self._at_work_is_lost = False
        self._stopping = False
        self._away_since = now
        self._away_because = ""
        self._notice_at = now + FIRST_NOTICE_S
        self._reconnect_at: float | None = None
        self._leave_by: float | None = None

    @property
    def waiting(self) -> bool:
        """Whether :class:`InboxEmptied` would begin something."""
        return self._at_work is None and bool(self._queue)

    def join_credit(self) -> int:
        """The batches that the next JOIN offers to take."""
        return min(limits.WORKER_CREDIT, self._tasks_left())

    def handle(self, event: Event, now: float) -> list[Action]:
        """What to do about this event. After :class:`Exit` nothing more is asked for."""
        if self.state == "ended":
            return []
        if isinstance(event, CommandArrived):
            return self._command(event, now)
        if isinstance(event, InboxEmptied):
            return self._begin()
        if isinstance(event, (BatchAugmented, BatchFailed)):
            return self._finish(event, now)
        if isinstance(event, ConnectionEnded):
            return self._connection_ended(event.reason, now)
        if isinstance(event, MemoryAttached):
            return [Send(Attached(event.session))] if self.state == "joined" else []
        if isinstance(event, GarbageArrived):
            return self._broken_promise(event.reason, now)
        return self._stop(now)

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to do, if nothing happens before."""
        if self.state == "away":
            return self._notice_at if self._reconnect_at is None else min(self._notice_at, self._reconnect_at)
        return self._leave_by if self.state == "leaving" else None

    def expire(self, now: float) -> list[Action]:
        """What to do because it is so late."""
        if self.state == "leaving" and self._leave_by is not None and now >= self._leave_by:
            return [Say("warning", "the broker did not say goodbye; leaving"), *self._end(EXIT_DONE)]
        actions: list[Action] = []
        if self.state == "away" and self._reconnect_at is not None and now >= self._reconnect_at:
            self._reconnect_at = None
            actions.append(Reconnect(self._away_because))
        if self.state == "away" and now >= self._notice_at:
            self._notice_at = now + NEXT_NOTICE_S
            actions.append(SayWaiting(now - self._away_since, self._away_because))
        return actions

    def check(self) -> None:
        """The laws; AssertionError where one is broken."""
        queued = self._dispatched()
        at_work = self._at_work is not None and not self._at_work_is_lost
        held = self._credit + queued + at_work
        assert 0 <= self._credit <= MOST_AHEAD
        assert held <= MOST_AHEAD, "the worker took more than it granted"
        assert self._at_work is not None or not self._at_work_is_lost
        if self._max_tasks is not None:
            open_batches = held + self._at_work_is_lost
            assert self._finished + open_batches <= self._max_tasks, "more is granted than will be done"
        if self.state != "joined":
            assert not self._queue, "batches of a connection that is not joined"
            assert self._credit == 0
            assert not at_work
        if self.state in ("leaving", "ended"):
            assert self._at_work is None

    # --- what the broker says ------------------------------------------------------------------------------

    def _command(self, event: CommandArrived, now: float) -> list[Action]:
        command = event.command
        if isinstance(command, Refused):
            return self._refused(command, now)
        if self._reconnect_at is not None:
            return []  # this connection is given up
        if self.state == "leaving":
            # What crosses our Goodbye goes back to the broker's queue by it.
            return self._end(EXIT_DONE) if isinstance(command, Goodbye) else []
        if isinstance(command, Joined):
            return self._joined(command, now)
        if isinstance(command, Goodbye):
            if self._stopping and self._at_work is None:
                return self._end(EXIT_DONE)
            return self._give_up("the broker said goodbye", now)
        if self.state == "away":
            return self._broken_promise(f"{type(command).__name__.upper()} came before JOINED", now)
        if isinstance(command, Offer):
            return [AttachMemory(command.session, command.name, command.secret)]
        if isinstance(command, Release):
            return [ReleaseResult(command.ticket)]
        if isinstance(command, Dispatch):
            if self._credit == 0:
                return self._broken_promise("a batch came for which there was no credit", now)
            self._credit -= 1
            alone = self._at_work is None and self._dispatched() == 0
            self._ahead.came(sum(map(len, event.body)), now, alone=alone)
        self._queue.append(event)
        return []

    def _joined(self, command: Joined, now: float) -> list[Action]:
        if self.state == "joined":
            return self._broken_promise("JOINED came twice", now)
        self.state = "joined"
        self._worker_id, self._frame_bytes = command.worker_id, command.frame_bytes
        self._credit = self.join_credit()
        self._ahead.connected(self._credit, now)
        return [Say("info", f"joined as worker {command.worker_id}")]

    def _refused(self, command: Refused, now: float) -> list[Action]:
        because = f"the broker refuses this worker ({command.code}): {command.text}"
        code = _REFUSED_FOR_GOOD.get(command.code)
        if code is not None:
            return [Say("error", because), *self._end(code)]
        if self.state == "leaving":
            return self._end(EXIT_DONE)
        return [Say("warning", because), RenewToken(), *self._give_up(because, now)]

    def _broken_promise(self, reason: str, now: float) -> list[Action]:
        if self.state == "leaving" or self._reconnect_at is not None:
            return []
        text = f"the broker broke the protocol: {reason}; joining again"
        return [Say("warning", text), *self._give_up(reason, now)]

    def _give_up(self, because: str, now: float) -> list[Action]:
        """Use this connection no more, and make another a little later."""
        self._become_away(because, now)
        self._reconnect_at = now + REFUSED_WAIT_S
        return [ForgetAllPipelines(), ForgetMemory()]

    def _connection_ended(self, reason: str, now: float) -> list[Action]:
        if self.state == "leaving":
            return self._end(EXIT_DONE)
        was_joined = self.state == "joined"
        self._reconnect_at = None
        self._become_away(reason, now)
        if not was_joined:
            return []
        # No alarm yet: it may be the end of a local farm. If it lasts, SayWaiting tells.
        return [Say("info", f"lost the broker: {reason}"), ForgetAllPipelines(), ForgetMemory()]

    def _become_away(self, because: str, now: float) -> None:
        if self.state == "joined":
            self._away_since, self._notice_at = now, now + FIRST_NOTICE_S
        self.state = "away"
        self._away_because = because
        self._queue.clear()
        self._credit = 0
        self._at_work_is_lost = self._at_work is not None

    # --- batches -------------------------------------------------------------------------------------------

    def _begin(self) -> list[Action]:
        actions: list[Action] = []
        while self.waiting:
            item = self._queue.popleft()
            command = item.command
            if isinstance(command, Pipeline):
                actions.append(LoadPipeline(command.digest, item.body))
            elif isinstance(command, Forget):
                actions.append(ForgetPipeline(command.digest))
            elif isinstance(command, Dispatch):
                self._at_work = command
                seed = self._seed(command)
                actions.append(Augment(command.ticket, command.digest, seed, item.body, self._frame_bytes))
        return actions

    def _seed(self, command: Dispatch) -> Seed:
        worker_id = self._worker_id if command.seeding == "worker" else 0
        return Seed(command.seeding, command.base_seed, command.index, worker_id)

    def _finish(self, event: BatchAugmented | BatchFailed, now: float) -> list[Action]:
        assert self._at_work is not None, "the engine answered a batch that nobody gave it"
        assert self._at_work.ticket == event.ticket
        lost = self._at_work_is_lost
        self._at_work, self._at_work_is_lost = None, False
        self._finished += 1
        self._ahead.finished(event.seconds if isinstance(event, BatchAugmented) else None, now)
        actions: list[Action] = [] if lost else [self._answer(event, now)]
        if self._stopping or self._finished == self._max_tasks:
            actions += self._leave(now)
        return actions

    def _answer(self, event: BatchAugmented | BatchFailed, now: float) -> Send:
        wanted = min(self._ahead.wanted(), self._tasks_left())
        credit = 0 if self._stopping else max(0, wanted - self._open_batches())
        self._credit += credit
        self._ahead.granted(credit, now)
        if isinstance(event, BatchAugmented):
            return Send(Result(event.ticket, credit, event.seconds), event.body)
        return Send(
            Failed(
                event.ticket,
                credit,
                event.kind,
                event.exception_type,
                event.exception_text,
                event.traceback,
            )
        )

    def _open_batches(self) -> int:
        """Batches besides the one at work that the broker has sent, or may send, on this connection."""
        return self._credit + self._dispatched()

    def _dispatched(self) -> int:
        """Batches that wait here."""
        return sum(isinstance(item.command, Dispatch) for item in self._queue)

    def _tasks_left(self) -> int:
        if self._max_tasks is None:
            return limits.MAX_WORKER_CREDIT
        return self._max_tasks - self._finished - (self._at_work is not None)

    # --- the end -------------------------------------------------------------------------------------------

    def _stop(self, now: float) -> list[Action]:
        if self._stopping:
            goodbye: list[Action] = [] if self.state == "leaving" else [Send(Goodbye())]
            return goodbye + self._end(EXIT_DONE)
        self._stopping = True
        return [] if self._at_work is not None else self._leave(now)

    def _leave(self, now: float) -> list[Action]:
        if self.state == "leaving":
            return []
        if self.state == "away":
            # JOIN may have reached the broker, and its first batch may be under way.
            return [Send(Goodbye()), *self._end(EXIT_DONE)]
        self.state = "leaving"
        self._queue.clear()
        self._credit = 0
        self._leave_by = now + GOODBYE_TIMEOUT_S
        return [Send(Goodbye())]

    def _end(self, code: int) -> list[Action]:
        self.state = "ended"
        self._queue.clear()
        self._credit = 0
        self._at_work, self._at_work_is_lost = None, False
        return [Exit(code)]
