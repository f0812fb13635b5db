"""Which processes of a worker pool run, and when another is started. Pure: no fork, no clock, no logging.

A pool has a fixed number of *slots*. Each is *due* (a process starts in it at a known time), *starting* (the
shell was told to start one), *running*, or *closed*. A process that ended is replaced

- at once, if it ended as planned (exit code 0), had finished a batch or lived for STEADY_S, or was the first
  in a row to end early;
- else after a wait that doubles from FIRST_WAIT_S to LONGEST_WAIT_S: a process that cannot live is not forked
  in a busy loop.

A pool none of whose processes ever began to work gives up when MOST_STILLBORN in a row have ended so in each
slot: the next would end as well. Once one has begun, it always goes on trying.

A stop closes the slots: SIGTERM, then SIGKILL to those that still run after the drain timeout. A second stop
sends SIGTERM again, which a worker obeys at once, a third SIGKILL. When nothing runs, the pool exits.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .session import EXIT_DONE, EXIT_REVOKED, EXIT_VERSION, EXIT_WRONG_PORT

__all__ = [
    "TIME_LIMIT_SIGNAL",
    "Action",
    "Event",
    "ExitPool",
    "ParentEnded",
    "ProcessEnded",
    "ProcessStarted",
    "Roster",
    "Say",
    "SignalProcess",
    "StartFailed",
    "StartProcess",
    "StopRequested",
    "how_it_ended",
]

#: A process that lived this long, in seconds, was able to live.
STEADY_S = 5.0
#: Waits before a process is replaced that ended early, in seconds.
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 10.0

#: Processes in a row, in each slot, that end before they begin to work: a second's trying.
MOST_STILLBORN = 4
#: What the pool exits with then: as for settings that cannot work, whoever starts it need not try again.
EXIT_STILLBORN = 2
#: What kills a process whose batch exceeds --task-timeout; see guards.py.
TIME_LIMIT_SIGNAL = signal.SIGALRM

#: Exit codes that the next process would end with as well, and what to say.
_FOR_GOOD = {
    EXIT_VERSION: "the broker speaks another version of the protocol; install the same augfarm on both sides",
    EXIT_REVOKED: "the broker has revoked the key of this worker",
    EXIT_WRONG_PORT: "--broker is the broker's address for clients; give its address for workers",
}


# --- events ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProcessStarted:
    """The process asked for by :class:`StartProcess` runs."""

    slot: int
    pid: int


@dataclass(frozen=True)
class StartFailed:
    """The process asked for by :class:`StartProcess` could not be made."""

    slot: int
    reason: str


@dataclass(frozen=True)
class ProcessEnded:
    """A process ended: `code` is its exit code, or the negative number of the signal that killed it.

    Only with `confirmed` did the worker's own code end it, and the code means what session.py says. An
    augmenter may end its process with any code. Without `began` it ended before it was a worker at all; with
    `finished` it had finished a batch.
    """

    pid: int
    code: int
    confirmed: bool = True
    began: bool = True
    finished: bool = False


@dataclass(frozen=True)
class StopRequested:
    """The pool was told to stop."""


@dataclass(frozen=True)
class ParentEnded:
    """The process that the pool works for is gone."""


Event: TypeAlias = ProcessStarted | StartFailed | ProcessEnded | StopRequested | ParentEnded


# --- actions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StartProcess:
    """Fork a process; answer with :class:`ProcessStarted` or :class:`StartFailed`."""

    slot: int


@dataclass(frozen=True)
class SignalProcess:
    """Send this signal to a process of ours."""

    pid: int
    signal: signal.Signals


@dataclass(frozen=True)
class Say:
    """Tell the operator."""

    level: Literal["info", "warning", "error"]
    text: str


@dataclass(frozen=True)
class ExitPool:
    """End the pool with this code."""

    code: int


Action: TypeAlias = StartProcess | SignalProcess | Say | ExitPool


# --- the roster --------------------------------------------------------------------------------------------


@dataclass
class _Slot:
    state: Literal["due", "starting", "running", "closed"] = "due"
    #: When to start (due), or when it was started (running).
    at: float = 0.0
    pid: int = 0
    #: Processes in a row that ended early.
    early_ends: int = 0


@dataclass
class Roster:
    """The processes of one pool; perform what :meth:`handle` and :meth:`expire` return, in order.

    Attributes:
        processes: how many run at once, at least one.
        drain_timeout: seconds from SIGTERM to SIGKILL.
        now: the time; slots are due at once, so call :meth:`expire` next.
    """

    processes: int
    drain_timeout: float
    now: float
    _slots: list[_Slot] = field(init=False)
    _stops: int = field(init=False, default=0)
    _kill_at: float | None = field(init=False, default=None)
    _exit_code: int = field(init=False, default=EXIT_DONE)
    _any_began: bool = field(init=False, default=False)
    _exited: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._slots = [_Slot(at=self.now) for _ in range(self.processes)]

    def handle(self, event: Event, now: float) -> list[Action]:
        """What to do about this event. After :class:`ExitPool` nothing more is asked for."""
        if self._exited:
            return []
        if isinstance(event, ProcessStarted):
            return self._started(event, now)
        if isinstance(event, StartFailed):
            return self._start_failed(event, now)
        if isinstance(event, ProcessEnded):
            return self._ended(event, now)
        if isinstance(event, StopRequested):
            return self._stop(now)
        # The processes may hold the GIL, be stopped, or in the middle of a batch that nobody waits for.
        self._exited = True
        return [*self._signal_all(signal.SIGKILL), ExitPool(EXIT_DONE)]

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to do, if nothing happens before."""
        if self._exited:
            return None
        times = [slot.at for slot in self._slots if slot.state == "due"]
        if self._kill_at is not None:
            times.append(self._kill_at)
        return min(times, default=None)

    def expire(self, now: float) -> list[Action]:
        """What to do because it is so late."""
        if self._exited:
            return []
        actions: list[Action] = []
        for number, slot in enumerate(self._slots):
            if slot.state == "due" and slot.at <= now:
                slot.state = "starting"
                actions.append(StartProcess(number))
        if self._kill_at is not None and self._kill_at <= now:
            self._kill_at = None
            seconds = f"{self.drain_timeout:g} s"
            actions.append(Say("warning", f"{self._running()} still at work after {seconds}: killing"))
            actions += self._signal_all(signal.SIGKILL)
        return actions

    def check(self) -> None:
        """The laws; AssertionError where one is broken."""
        assert len(self._slots) == self.processes
        pids = [slot.pid for slot in self._slots if slot.state == "running"]
        assert len(set(pids)) == len(pids), "one process runs in two slots"
        assert all((slot.pid != 0) == (slot.state == "running") for slot in self._slots)
        if self._stops:
            assert not any(slot.state == "due" for slot in self._slots), "a stopped pool starts nothing"
        else:
            assert not any(slot.state == "closed" for slot in self._slots)
            assert self._kill_at is None

    # --- processes -----------------------------------------------------------------------------------------

    def _started(self, event: ProcessStarted, now: float) -> list[Action]:
        slot = self._slots[event.slot]
        assert slot.state == "starting"
        slot.state, slot.pid, slot.at = "running", event.pid, now
        # The first start of each is news only if it fails; the worker says itself when it has joined.
        return [SignalProcess(event.pid, signal.SIGTERM)] if self._stops else []

    def _start_failed(self, event: StartFailed, now: float) -> list[Action]:
        slot = self._slots[event.slot]
        assert slot.state == "starting"
        if self._stops:
            slot.state = "closed"
            return self._exit_if_done()
        slot.early_ends += 1
        wait = min(FIRST_WAIT_S * 2 ** (slot.early_ends - 1), LONGEST_WAIT_S)
        slot.state, slot.at = "due", now + wait
        return [Say("warning", f"cannot start a worker process: {event.reason}; trying again in {wait:g} s")]

    def _ended(self, event: ProcessEnded, now: float) -> list[Action]:
        slot = next((s for s in self._slots if s.state == "running" and s.pid == event.pid), None)
        if slot is None:
            return []
        slot.pid = 0
        self._any_began = self._any_began or event.began
        planned = event.confirmed and event.code == EXIT_DONE
        how = f"worker process {event.pid} {how_it_ended(event.code, planned=planned)}"
        if self._stops:
            slot.state = "closed"
            said: list[Action] = [] if planned else [Say("warning", how)]
            return said + self._exit_if_done()
        if event.confirmed and event.code in _FOR_GOOD:
            slot.state = "closed"
            self._exit_code = event.code
            return [Say("error", _FOR_GOOD[event.code]), *self._stop(now)]
        able = planned or event.finished or now - slot.at >= STEADY_S
        wait = self._wait(slot, able=able)
        slot.state, slot.at = "due", now + wait
        if self._never_works():
            self._exit_code = EXIT_STILLBORN
            text = f"{how}, as all before it, and none began to work; giving up. Why stands above"
            return [Say("error", text), *self._stop(now)]
        then = f"; starting another in {wait:g} s" if wait else "; starting another"
        return [Say("info" if planned else "warning", how + then)]

    def _wait(self, slot: _Slot, *, able: bool) -> float:
        if able:
            slot.early_ends = 0
            return 0.0
        slot.early_ends += 1
        if slot.early_ends == 1:
            return 0.0
        return float(min(FIRST_WAIT_S * 2.0 ** min(slot.early_ends - 2, 32), LONGEST_WAIT_S))

    def _never_works(self) -> bool:
        tried = all(slot.state == "due" and slot.early_ends >= MOST_STILLBORN for slot in self._slots)
        return tried and not self._any_began

    # --- the end -------------------------------------------------------------------------------------------

    def _stop(self, now: float) -> list[Action]:
        self._stops += 1
        if self._stops == 1:
            self._kill_at = now + self.drain_timeout
        for slot in self._slots:
            if slot.state == "due":
                slot.state = "closed"
        signals = self._signal_all(signal.SIGTERM if self._stops <= 2 else signal.SIGKILL)
        return [*signals, *self._exit_if_done()]

    def _exit_if_done(self) -> list[Action]:
        self._exited = all(slot.state == "closed" for slot in self._slots)
        return [ExitPool(self._exit_code)] if self._exited else []

    def _signal_all(self, number: signal.Signals) -> list[Action]:
        return [SignalProcess(slot.pid, number) for slot in self._slots if slot.state == "running"]

    def _running(self) -> str:
        count = sum(slot.state == "running" for slot in self._slots)
        return "1 worker process is" if count == 1 else f"{count} worker processes are"


def how_it_ended(code: int, *, planned: bool = False) -> str:
    """An exit code in words: ``-9`` is "was killed by SIGKILL"."""
    if code >= 0:
        return "ended as planned" if planned else f"ended with exit code {code}"
    if -code == TIME_LIMIT_SIGNAL:
        return "was at one batch for longer than --task-timeout and was killed"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
