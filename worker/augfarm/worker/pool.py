"""A pool of worker processes: forks them, watches them, ends them. :class:`.roster.Roster` says which.

The pool imports imgaug once, has one thread and opens no ZeroMQ context: each process that it forks makes its
own. They end with the pool even where that is killed: on Linux the kernel sends them SIGKILL (sound because
the thread that forks is the pool's main thread), elsewhere they look for their parent.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import select
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from augfarm.protocol.keys import PeerKeys

from . import roster as r
from .engine import Engine
from .environment import describe
from .guards import limit_memory, trace_crashes
from .health import Health
from .memory import SharedMemory
from .roster import Roster
from .service import Service, WorkerSettings

__all__ = ["PoolSettings", "WorkerPool"]

log = logging.getLogger(__name__)

#: From SIGTERM to SIGKILL, in seconds: several batches of the tutorial's pipeline, which takes 0.4 s.
DEFAULT_DRAIN_TIMEOUT_S = 30.0
#: <linux/prctl.h>
PR_SET_PDEATHSIG = 1
#: What a process exits with that fails before it is a worker, or by a fault of ours.
EXIT_CRASHED = 1

#: What a process says on its pipe: that it begins to work, that it has finished its first batch, and that its
#: own code ends it, not what it ran.
_BEGAN, _FINISHED, _CONFIRMED = b"+", b"*", b"!"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


@dataclass(frozen=True)
class PoolSettings:
    """What a pool of workers needs to know.

    Attributes:
        broker: the address of the broker's port for workers.
        processes: how many run at once.
        max_tasks: a process is replaced after so many batches; None for never.
        allow_import: modules besides imgaug's that pipelines may name.
        drain_timeout: seconds from SIGTERM to SIGKILL.
        task_timeout: seconds after which a batch ends its process; None for never.
        memory_bytes: what a process may have of memory of its own; None for all there is.
        parent_fd: the read end of a pipe; at its end of file the processes are killed and the pool leaves.
        keys: what its processes prove themselves with, or None.
        shared_bytes: how large the memory of a process for results to clients on this host may become.
        scratch: a directory to remove when the parent has ended.
        health: where it says which processes have joined, or None.
    """

    broker: str
    processes: int
    max_tasks: int | None = None
    allow_import: tuple[str, ...] = ()
    drain_timeout: float = DEFAULT_DRAIN_TIMEOUT_S
    task_timeout: float | None = None
    memory_bytes: int | None = None
    parent_fd: int | None = None
    scratch: str | None = None
    keys: PeerKeys | None = None
    shared_bytes: int = 0
    health: Health | None = None


class WorkerPool:
    """Worker processes that this process forks; call :meth:`run` in its main and only thread."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._roster = Roster(settings.processes, settings.drain_timeout, time.monotonic())
        #: The processes that run, and for each the end of a pipe on which it says that it begins to work, and
        #: at its end that this was its own doing.
        self._pids: dict[int, int] = {}
        self._stops_told = 0
        self._stops_handled = 0
        self._exit_code: int | None = None
        self._parent_ended = False
        self._wakeup, self._signalled = socket.socketpair()
        self._wakeup.setblocking(False)
        self._signalled.setblocking(False)
        self._perform: dict[type[r.Action], Callable[..., None]] = {
            r.StartProcess: self._start,
            r.SignalProcess: self._signal,
            r.Say: lambda a: log.log(logging.getLevelName(a.level.upper()), "%s", a.text),
            r.ExitPool: lambda a: setattr(self, "_exit_code", a.code),
        }

    def run(self) -> int:
        """Keep the processes running until told to stop, by a signal or by the parent's end.

        Returns:
            The code for the pool to exit with.
        """
        self._catch_signals()
        # What is imported now stays shared between the processes: no collection writes to it.
        gc.collect()
        gc.freeze()
        try:
            while self._exit_code is None:
                self._turn()
        finally:
            self._kill_rest()
            if self._settings.health is not None:
                self._settings.health.close()
            # Not where only this pool ends: the broker beside it still listens there, and a new pool comes.
            if self._settings.scratch is not None and self._parent_ended:
                shutil.rmtree(self._settings.scratch, ignore_errors=True)
        return self._exit_code

    def _turn(self) -> None:
        self._do(self._roster.expire(time.monotonic()))
        if self._exit_code is not None:
            return
        parent = self._settings.parent_fd
        watched = [self._wakeup.fileno(), *([] if parent is None else [parent])]
        deadline = self._roster.deadline()
        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(watched, [], [], wait)
        if self._wakeup.fileno() in ready:
            self._wakeup.recv(4096)
        if parent in ready and not os.read(parent, 4096):
            self._parent_ended = True
            self._feed(r.ParentEnded())
            return
        self._reap()
        while self._stops_handled < self._stops_told:
            self._stops_handled += 1
            self._feed(r.StopRequested())

    def _feed(self, event: r.Event) -> None:
        self._do(self._roster.handle(event, time.monotonic()))

    def _do(self, actions: list[r.Action]) -> None:
        for action in actions:
            self._perform[type(action)](action)

    # --- processes -----------------------------------------------------------------------------------------

    def _start(self, action: r.StartProcess) -> None:
        _flush()  # or what is buffered would be written by both
        pool = os.getpid()
        confirmed, confirms = os.pipe()
        os.set_blocking(confirmed, False)
        # A signal between fork and the worker's own handlers would be lost on ours.
        with _signals_blocked():
            try:
                pid = os.fork()
            except OSError as error:
                os.close(confirmed)
                os.close(confirms)
                self._feed(r.StartFailed(action.slot, str(error)))
                return
            if pid == 0:
                self._become_worker(action.slot, pool, confirms)
        os.close(confirms)
        self._pids[pid] = confirmed
        self._feed(r.ProcessStarted(action.slot, pid))

    def _become_worker(self, slot: int, pool: int, confirms: int) -> NoReturn:
        """What a forked process does; it never returns into the pool's code."""
        code = EXIT_CRASHED
        try:
            _end_with_parent(pool)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if self._settings.parent_fd is not None:
                os.close(self._settings.parent_fd)
            trace_crashes()
            if self._settings.memory_bytes is not None:
                limit_memory(self._settings.memory_bytes)
            # imgaug is seeded for every batch. numpy's own generator is not, and would be the same in all.
            np.random.seed()
            settings = WorkerSettings(
                self._settings.broker,
                self._settings.max_tasks,
                describe(),
                task_timeout=self._settings.task_timeout,
                speaks=slot == 0,
                keys=self._settings.keys,
                on_first_batch=lambda: os.write(confirms, _FINISHED),
                on_joined=self._tell_health,
            )
            memory = SharedMemory(self._settings.shared_bytes)
            engine = Engine(allow_import=self._settings.allow_import, memory=memory)
            service = Service(settings, engine, memory)
            self._wakeup.close()
            self._signalled.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.write(confirms, _BEGAN)
            code = service.run()
            os.write(confirms, _CONFIRMED)
        except BaseException:
            traceback.print_exc()
        finally:
            try:
                _flush()
            finally:
                os._exit(code)

    def _tell_health(self, is_joined: bool) -> None:
        """Called in a forked process."""
        health = self._settings.health
        if health is not None:
            (health.joined if is_joined else health.left)(os.getpid())

    def _signal(self, action: r.SignalProcess) -> None:
        if action.pid in self._pids:  # not reaped yet, so the number is still its own
            os.kill(action.pid, action.signal)

    def _reap(self) -> None:
        for pid in list(self._pids):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                code, words = os.waitstatus_to_exitcode(status), _last_words(self._pids.pop(pid))
                said = (_CONFIRMED in words, _BEGAN in words, _FINISHED in words)
                if self._settings.health is not None:
                    self._settings.health.left(pid)
                self._feed(r.ProcessEnded(pid, code, *said))

    def _kill_rest(self) -> None:
        """Kills whatever runs, and waits until it is gone."""
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)
        for pid in self._pids:
            os.waitpid(pid, 0)
        for descriptor in self._pids.values():
            os.close(descriptor)
        self._pids.clear()

    # --- signals -------------------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._told_to_stop)
        signal.signal(signal.SIGINT, self._told_to_stop)
        # Without a handler the wake-up descriptor is not written to.
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _told_to_stop(self, *_: object) -> None:
        self._stops_told += 1


def _last_words(descriptor: int) -> bytes:
    """What the process said on its pipe, which is closed."""
    try:
        return os.read(descriptor, 16)
    except BlockingIOError:  # nothing, and a child of the process still holds the other end
        return b""
    finally:
        os.close(descriptor)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # its reader is gone, or it is closed, or None
            stream.flush()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that forked it ends; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it was asked for
        os._exit(EXIT_CRASHED)
