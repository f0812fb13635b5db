"""One worker process: socket, clock, signals and engine around a :class:`.session.Session`. Decides nothing.

One thread. While it augments, libzmq's own thread answers heartbeats and receives the batch that waits.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from types import FrameType

from augfarm.protocol import limits, link
from augfarm.protocol.keys import PeerKeys
from augfarm.protocol.link import Link, LinkEvent
from augfarm.protocol.messages import TO_WORKER, Join

from . import events as e
from .engine import Engine
from .guards import time_limit
from .memory import SharedMemory
from .session import EXIT_DONE, Session

__all__ = ["Service", "WorkerSettings"]

log = logging.getLogger(__name__)

#: What is queued for the broker may take so long to leave when the process ends, in seconds.
LINGER_S = 0.5
#: Where no signal tells of the parent's end (not on Linux), it is looked for this often, in seconds.
ORPHAN_CHECK_S = 1.0
#: While batches follow each other, clients' memories are listened to so often, in seconds.
MEMORY_PAUSE_S = 0.02


class _StopNow(BaseException):
    """Told to stop a second time while augmenting; raised into the augmenter."""


@dataclass(frozen=True)
class WorkerSettings:
    """What one worker process needs to know.

    Attributes:
        broker: the address of the broker's port for workers.
        max_tasks: leave after so many batches; None for never.
        environment: the versions that JOIN tells; see :func:`.environment.describe`.
        keys: what it proves itself with, or None.
        task_timeout: seconds after which a batch ends this process; None for never.
        on_first_batch: called when the first batch is finished.
        on_joined: called with True when it has joined the broker, and with False when it is joined no more.
        speaks: whether this one tells the operator that it waits for the broker; one of a pool does.
    """

    broker: str
    max_tasks: int | None
    environment: dict[str, str]
    task_timeout: float | None = None
    speaks: bool = True
    keys: PeerKeys | None = None
    on_first_batch: Callable[[], object] | None = None
    on_joined: Callable[[bool], object] | None = None


class Service:
    """A worker in this process, which must have no other work; call :meth:`run` in its main thread.

    SIGTERM lets it finish the batch at work, hand the rest back and leave; a second one stops it at once.
    SIGINT is ignored: Ctrl-C goes to a whole group of processes, and the pool passes it on.

    Raises:
        ValueError: for an address that ZeroMQ cannot use.
    """

    def __init__(self, settings: WorkerSettings, engine: Engine, memory: SharedMemory | None = None) -> None:
        self._settings = settings
        self._engine = engine
        self._memory = SharedMemory(0) if memory is None else memory
        self._parent = os.getppid()
        self._session = Session(now=time.monotonic(), max_tasks=settings.max_tasks)
        self._exit_code: int | None = None
        self._stops_told = 0
        self._stops_handled = 0
        self._augmenting = False
        self._has_finished_one = False
        self._is_joined = False
        self._hear_memory_at = 0.0
        self._wakeup, self._signalled = socket.socketpair()
        self._wakeup.setblocking(False)
        self._signalled.setblocking(False)
        self._catch_signals()
        self._join = self._new_join()
        self._link = Link(settings.broker, self._join, TO_WORKER, keys=settings.keys)
        self._link.watch(self._wakeup.fileno())
        self._perform: dict[type[e.Action], Callable[..., None]] = {
            e.Send: lambda a: self._link.send(a.command, a.body),
            e.LoadPipeline: lambda a: self._engine.load(a.digest, a.body),
            e.ForgetPipeline: lambda a: self._engine.forget(a.digest),
            e.ForgetAllPipelines: lambda a: self._engine.forget_all(),
            e.AttachMemory: self._attach,
            e.ReleaseResult: lambda a: self._memory.release(a.ticket),
            e.ForgetMemory: self._forget_memory,
            e.Augment: self._augment,
            e.RenewToken: lambda a: self._greet_with(self._new_join()),
            e.Reconnect: lambda a: self._link.reconnect(a.reason),
            e.Say: lambda a: log.log(logging.getLevelName(a.level.upper()), "%s", a.text),
            e.SayWaiting: self._say_waiting,
            e.Exit: lambda a: setattr(self, "_exit_code", a.code),
        }

    def run(self) -> int:
        """Work until told to stop, or refused for good.

        Returns:
            The code for the process to exit with: one of ``EXIT_...`` in :mod:`.session`.
        """
        try:
            while self._exit_code is None:
                self._turn()
        except _StopNow:  # told between two lines of ours: nothing is left to wait for
            self._exit_code = EXIT_DONE
        self._link.close(LINGER_S)
        return self._exit_code

    def _turn(self) -> None:
        # Where a batch waits there is no wait, and what has come is received without it.
        ready = set() if self._session.waiting else self._link.poll(self._wait())
        if self._wakeup.fileno() in ready:
            self._wakeup.recv(4096)
        if ready or time.monotonic() >= self._hear_memory_at:
            self._hear_memory()
        if os.getppid() != self._parent:
            self._exit_code = EXIT_DONE
            return
        for event in self._link.receive():
            self._feed(_translate(event))
        self._hear_stops()
        self._do(self._session.expire(time.monotonic()))
        self._feed(e.InboxEmptied())

    def _wait(self) -> float | None:
        deadline = self._session.deadline()
        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
        if sys.platform != "linux":
            wait = ORPHAN_CHECK_S if wait is None else min(wait, ORPHAN_CHECK_S)
        return wait

    def _feed(self, event: e.Event) -> None:
        self._do(self._session.handle(event, time.monotonic()))

    def _do(self, actions: list[e.Action]) -> None:
        for action in actions:
            self._perform[type(action)](action)
        if self._join.credit != self._session.join_credit():
            self._greet_with(replace(self._join, credit=self._session.join_credit()))
        self._tell_joined()

    def _tell_joined(self) -> None:
        is_joined = self._session.state == "joined"
        if is_joined != self._is_joined:
            self._is_joined = is_joined
            if self._settings.on_joined is not None:
                self._settings.on_joined(is_joined)

    def _augment(self, work: e.Augment) -> None:
        outcome: e.BatchAugmented | e.BatchFailed | None = None
        try:
            self._augmenting = True
            with time_limit(self._settings.task_timeout):
                outcome = self._engine.augment(work)
        except _StopNow:
            pass  # raised where the engine has no handler; the stop is heard below
        finally:
            self._augmenting = False
        # Before the outcome, so that the answer grants no more, or is not sent at all.
        self._hear_stops()
        if outcome is not None:
            self._feed(outcome)
            if not self._has_finished_one and self._settings.on_first_batch is not None:
                self._settings.on_first_batch()
            self._has_finished_one = True

    def _attach(self, action: e.AttachMemory) -> None:
        attachment = self._memory.attach(action.session, action.name, action.secret)
        if attachment is not None:
            self._link.watch(attachment.fileno())

    def _hear_memory(self) -> None:
        self._hear_memory_at = time.monotonic() + MEMORY_PAUSE_S
        sessions, ended = self._memory.hear()
        for attachment in ended:
            self._link.unwatch(attachment.fileno())
            attachment.close()
        for session in sessions:
            self._feed(e.MemoryAttached(session))

    def _forget_memory(self, _: e.ForgetMemory) -> None:
        for attachment in self._memory.attachments():
            self._link.unwatch(attachment.fileno())
        self._memory.drop()

    def _say_waiting(self, action: e.SayWaiting) -> None:
        because = f": {action.reason}" if action.reason else ""
        level = logging.WARNING if self._settings.speaks else logging.DEBUG
        log.log(
            level, "waiting for the broker at %s for %.0f s%s", self._settings.broker, action.seconds, because
        )

    def _greet_with(self, join: Join) -> None:
        self._join = self._link.greeting = join

    def _new_join(self) -> Join:
        return Join(
            version=limits.PROTOCOL_VERSION,
            token=secrets.token_bytes(limits.TOKEN_BYTES),
            software=f"augfarm {version('augfarm')}",
            credit=self._session.join_credit(),
            environment=self._settings.environment,
        )

    # --- signals -------------------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._told_to_stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _told_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stops_told += 1
        if self._stops_told > 1 and self._augmenting:
            self._augmenting = False  # once is enough
            raise _StopNow

    def _hear_stops(self) -> None:
        while self._stops_handled < self._stops_told:
            self._stops_handled += 1
            self._feed(e.StopRequested())


def _translate(event: LinkEvent) -> e.Event:
    if isinstance(event, link.CommandArrived):
        return e.CommandArrived(event.command, event.body)
    if isinstance(event, link.ConnectionEnded):
        return e.ConnectionEnded(event.reason)
    return e.GarbageArrived(event.reason)
