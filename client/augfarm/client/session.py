"""The client's core: what may be sent, what was answered, what the user should know. Pure.

A *request* is a batch on its way: *unsent*, or *sent* and not answered. The client keeps both until the first
answer, which is handed over; any other answer is unknown and dropped. When the connection ends, every sent
request is unsent again, and goes out first on the next one. So each batch is answered exactly once, whatever
happens to broker and workers. What was sent of a call that ended is *cancelled*: it keeps its place in the
window until the broker's CANCELLED, since its answer may be on its way and must be said RECEIVED.

What may be sent (docs/protocol.md, "Broker to client: window"):

- each call may have one request at the broker in its *slot*, whatever its size;
- all others count against the broker's window, in batches and bytes;
- no more than MAX_CALLS calls have requests at the broker;
- inside a call, and among the calls that may send, the oldest goes first;
- on a new connection, nothing before the first WINDOW: ADJUSTED has a time limit and would wait behind it.

Time is an argument. `expire(now)` says what the user should hear when nothing happens: a notice 3 s after
work began to wait for a broker or for workers, then one every 10 s, and with a `timeout` a GiveUp.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from augfarm.protocol import limits
from augfarm.protocol.messages import (
    Adjusted,
    Attempt,
    Cancel,
    Cancelled,
    Command,
    Deliver,
    Fail,
    Farm,
    Goodbye,
    Received,
    Refused,
    Submit,
    Welcome,
    Window,
)
from augfarm.protocol.seeds import Seeding

from .events import (
    Action,
    BatchTaken,
    CallEnded,
    CallOpened,
    ConnectionLost,
    Event,
    GiveUp,
    HandOver,
    Heard,
    Notice,
    Reconnect,
    Refuse,
    Send,
    SendBatch,
    SendPipeline,
    SetAdvice,
)

__all__ = ["FIRST_NOTICE_S", "NEXT_NOTICE_S", "Session"]

#: Seconds until the user hears that nothing can be done yet, and between two such notices.
FIRST_NOTICE_S = 3.0
NEXT_NOTICE_S = 10.0

#: Refusals that another connection may escape: a full broker, a greeting that came too late, and an ADJUSTED
#: that did, since this process got no turn or a slow link had a whole window to carry first.
_PASSING_REFUSALS = ("full", "expected-hello", "late")


@dataclass
class _Request:
    taken: BatchTaken
    attempts: int = 0
    sent: bool = False
    #: Whether it is in its call's slot rather than in the window.
    in_slot: bool = False


@dataclass
class _Call:
    #: Request numbers, oldest first.
    unsent: OrderedDict[int, None] = field(default_factory=OrderedDict)
    sent: set[int] = field(default_factory=set)
    slot: int | None = None


class Session:
    """One client's dealings with its broker.

    Args:
        base_seed, seeding: what every batch is submitted with.
        address: how notices name the broker.
        timeout: seconds without progress, while batches wait, until a GiveUp; None: never.
    """

    def __init__(
        self, *, base_seed: int, seeding: Seeding, address: str, timeout: float | None = None
    ) -> None:
        self._base_seed = base_seed
        self._seeding = seeding
        self._address = address
        self._timeout = timeout
        self._calls: dict[int, _Call] = {}
        self._requests: dict[int, _Request] = {}
        #: Calls that have ended and whose CANCELLED is awaited, and their requests that were sent.
        self._ended: dict[int, _Call] = {}
        self._cancelled: dict[int, _Request] = {}
        self._joined = False
        self._farm: Farm | None = None
        self._window: Window | None = None
        self._used_batches = 0
        self._used_octets = 0
        self._pipelines: set[bytes] = set()
        #: Why there is no connection, as the link last said.
        self._reason = ""
        self._progress_at = 0.0
        self._notice_at: float | None = None
        self._warned_of_differences = False

    # --- the one door --------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Action]:
        """What to do about this event. `now` is in seconds and never goes back."""
        actions: list[Action] = []
        match event:
            case CallOpened(call):
                self._calls[call] = _Call()
            case BatchTaken():
                self._take(event, now)
            case CallEnded(call):
                actions += self._end(call)
            case ConnectionLost(reason, final):
                self._lose(reason)
                if final:
                    actions.append(Refuse("key", reason))
            case Heard(command):
                actions += self._hear(command, now)
        actions += self._send_what_may()
        self._plan_notice(now)
        return actions

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to say, or None."""
        times = [t for t in (self._notice_at, self._give_up_at()) if t is not None]
        return min(times) if times else None

    def expire(self, now: float) -> list[Action]:
        """What to do because time has passed."""
        actions: list[Action] = []
        if self._notice_at is not None and now >= self._notice_at:
            self._notice_at = now + NEXT_NOTICE_S
            actions.append(Notice(self._missing_text()))
        give_up_at = self._give_up_at()
        if give_up_at is not None and now >= give_up_at:
            self._progress_at = now
            waiting_for = self._missing() or "results"
            text = f"no progress for {self._timeout:g} s: {self._missing_text()}"
            actions.append(GiveUp(waiting_for, text))
        return actions

    def check(self) -> None:
        """Raise AssertionError where a law is broken."""
        everything = {**self._requests, **self._cancelled}
        windowed = [r for r in everything.values() if r.sent and not r.in_slot]
        assert self._used_batches == len(windowed)
        assert self._used_octets == sum(r.taken.octets for r in windowed)
        for number, call in self._calls.items():
            mine = {n for n, r in self._requests.items() if r.taken.call == number}
            assert mine == set(call.unsent) | call.sent, "a request is in exactly one place"
            assert not set(call.unsent) & call.sent
            assert list(call.unsent) == sorted(call.unsent), "oldest first"
            assert call.slot is None or self._requests[call.slot].in_slot
            if self._joined and self._window and call.unsent and call.slot is None:
                full = not call.sent and self._calls_at_broker() == limits.MAX_CALLS
                assert full, "no batch waits beside a free slot"
        assert self._calls_at_broker() <= limits.MAX_CALLS
        assert set(self._cancelled) == {n for call in self._ended.values() for n in call.sent}
        assert not self._cancelled.keys() & self._requests.keys()
        assert self._joined or not self._ended
        assert all(r.taken.call in self._calls for r in self._requests.values())
        assert self._joined or not any(r.sent for r in self._requests.values())

    # --- batches -------------------------------------------------------------------------------------------

    def _take(self, taken: BatchTaken, now: float) -> None:
        call = self._calls.get(taken.call)
        if call is None:  # the call ended while its loader was at work
            return
        if not self._requests:
            self._progress_at = now
        self._requests[taken.request] = _Request(taken)
        call.unsent[taken.request] = None

    def _end(self, number: int) -> list[Action]:
        call = self._calls.pop(number, None)
        if call is None:
            return []
        for request in call.unsent:
            del self._requests[request]
        call.unsent.clear()
        if not call.sent:
            return []
        self._ended[number] = call
        self._cancelled.update({request: self._requests.pop(request) for request in call.sent})
        return [Send(Cancel(number))]

    def _forget(self, number: int) -> None:
        """No answer to this call's requests comes any more."""
        call = self._ended.pop(number, None)
        for request in call.sent if call else ():
            self._uncharge(self._cancelled.pop(request))

    def _answer(self, answer: Deliver | Fail, now: float) -> list[Action]:
        wanted = answer.request in self._requests
        requests, calls = (self._requests, self._calls) if wanted else (self._cancelled, self._ended)
        request = requests.get(answer.request)
        if request is None or not request.sent:
            return []
        del requests[answer.request]
        call = calls[request.taken.call]
        call.sent.discard(answer.request)
        if call.slot == answer.request:
            call.slot = None
        self._uncharge(request)
        received: list[Action] = [Send(Received((answer.receipt,)))]
        if not wanted:
            return received
        self._progress_at = now
        return [*received, HandOver(answer.request, request.taken.call, answer)]

    def _uncharge(self, request: _Request) -> None:
        if request.sent and not request.in_slot:
            self._used_batches -= 1
            self._used_octets -= request.taken.octets
        request.sent = request.in_slot = False

    def _send_what_may(self) -> list[Action]:
        actions: list[Action] = []
        while self._joined and self._window is not None:
            # Only the oldest of each call can go, so this looks at as many requests as there are calls.
            heads = [next(iter(call.unsent)) for call in self._calls.values() if call.unsent]
            number = next((n for n in sorted(heads) if self._may_send(self._requests[n])), None)
            if number is None:
                break
            actions += self._send(number, self._requests[number])
        return actions

    def _calls_at_broker(self) -> int:
        return len(self._ended) + sum(bool(call.sent) for call in self._calls.values())

    def _may_send(self, request: _Request) -> bool:
        call = self._calls[request.taken.call]
        if not call.sent and self._calls_at_broker() >= limits.MAX_CALLS:
            return False
        if call.slot is None:
            return True
        assert self._window is not None
        batches, octets = self._window.batches, self._window.octets
        return self._used_batches < batches and self._used_octets + request.taken.octets <= octets

    def _send(self, number: int, request: _Request) -> list[Action]:
        taken = request.taken
        call = self._calls[taken.call]
        del call.unsent[number]
        call.sent.add(number)
        request.sent = True
        if call.slot is None:
            call.slot, request.in_slot = number, True
        else:
            self._used_batches += 1
            self._used_octets += taken.octets
        actions: list[Action] = []
        if taken.digest not in self._pipelines:
            self._pipelines.add(taken.digest)
            actions.append(SendPipeline(taken.digest))
        submit = Submit(
            number, taken.call, taken.index, self._base_seed, self._seeding, taken.digest, request.attempts
        )
        return [*actions, SendBatch(submit)]

    # --- the broker ----------------------------------------------------------------------------------------

    def _hear(self, command: Command, now: float) -> list[Action]:
        match command:
            case Welcome():
                self._joined, self._progress_at, self._notice_at = True, now, None
                return []
            case Window():
                self._window = command
                return [Send(Adjusted(command.serial))]
            case Farm():
                return self._see_farm(command, now)
            case Deliver() | Fail():
                return self._answer(command, now)
            case Attempt(request, attempts):
                # For a request of nobody's it is the broker asking whether this connection lives.
                if request in self._requests:
                    self._progress_at = now
                    self._requests[request].attempts = attempts
                return []
            case Cancelled(number):
                self._forget(number)
                return []
            case Refused(code, text):
                self._lose(text)
                if code in _PASSING_REFUSALS:
                    return [Reconnect(f"the broker refused: {text}")]
                return [Refuse(code, text)]
            case Goodbye():
                self._lose("the broker stopped")
                return [Reconnect("the broker stopped")]
            case _:  # Report, which this session never asks for
                return []

    def _see_farm(self, farm: Farm, now: float) -> list[Action]:
        if farm.workers and not (self._farm and self._farm.workers):
            self._progress_at, self._notice_at = now, None
        self._farm = farm
        actions: list[Action] = [SetAdvice(farm.advice)]
        differences = _differences(farm.environments)
        if differences and self._seeding == "batch" and not self._warned_of_differences:
            self._warned_of_differences = True
            actions.append(
                Notice(f"the farm's workers differ, so one batch may come out differently: {differences}")
            )
        return actions

    def _lose(self, reason: str) -> None:
        self._joined, self._farm, self._window, self._reason = False, None, None, reason
        self._pipelines.clear()
        for number in list(self._ended):
            self._forget(number)
        for request in self._requests.values():
            self._uncharge(request)
        for call in self._calls.values():
            call.unsent = OrderedDict.fromkeys(sorted([*call.unsent, *call.sent]))
            call.sent.clear()
            call.slot = None

    # --- waiting -------------------------------------------------------------------------------------------

    def _missing(self) -> str:
        if not self._joined:
            return "broker"
        if self._farm is not None and not self._farm.workers:
            return "workers"
        return ""

    def _missing_text(self) -> str:
        match self._missing():
            case "broker":
                reason = f" ({self._reason})" if self._reason else ""
                return f"no broker at {self._address} yet{reason}; still trying"
            case "workers":
                return f"the broker at {self._address} has no workers yet; still waiting"
            case _:
                return f"{len(self._requests)} batches wait for results from {self._address}"

    def _plan_notice(self, now: float) -> None:
        if not self._calls or not self._missing():
            self._notice_at = None
        elif self._notice_at is None:
            self._notice_at = now + FIRST_NOTICE_S

    def _give_up_at(self) -> float | None:
        if self._timeout is None or not self._requests:
            return None
        return self._progress_at + self._timeout


def _differences(environments: tuple[dict[str, str], ...]) -> str:
    """What decides about pixels and is not the same everywhere, for example "numpy 1.26.4 and 2.2.0"."""
    texts = []
    for name in ("imgaug", "numpy", "opencv"):
        values = sorted({e[name] for e in environments if name in e})
        if len(values) > 1:
            texts.append(f"{name} {' and '.join(values)}")
    return ", ".join(texts)
