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
- inside a call, and among the calls that may send, the oldest goes first; a part of a batch that failed is as
  old as that batch;
- on a new connection, nothing before the first WINDOW: ADJUSTED has a time limit and would wait behind it.

A call that hands batches over in order waits for its oldest request. Where later ones were answered and this
one is late (:mod:`.lateness`), the broker is asked to give it to a second worker as well (HEDGE), once on
each connection; the first answer counts. What has killed a process is not hedged: the broker would not do it.

Time is an argument. `expire(now)` asks for hedges, and says what the user should hear when nothing happens
(:mod:`.patience`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from augfarm.protocol import limits
from augfarm.protocol.messages import (
    Adjusted,
    Attached,
    Attempt,
    Cancel,
    Cancelled,
    Command,
    Deliver,
    Fail,
    Farm,
    Goodbye,
    Hedge,
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
    HandOver,
    Heard,
    Notice,
    Reconnect,
    Refuse,
    Resume,
    Send,
    SendBatch,
    SendPipeline,
    SetAdvice,
)
from .lateness import Lateness
from .patience import Patience, differences

__all__ = ["Session"]

#: Refusals that another connection may escape: a full broker, a greeting that came too late, and an ADJUSTED
#: that did, since this process got no turn or a slow link had a whole window to carry first.
_PASSING_REFUSALS = ("full", "expected-hello", "late")


@dataclass
class _Request:
    taken: BatchTaken
    attempts: int = 0
    sent: bool = False
    sent_at: float = 0.0
    hedged: bool = False
    #: Whether it is in its call's slot rather than in the window.
    in_slot: bool = False
    #: What it was charged for, in octets.
    charged: int = 0


@dataclass
class _Call:
    #: Request numbers, oldest first; see Session._age.
    unsent: OrderedDict[int, None] = field(default_factory=OrderedDict)
    #: In the order in which they were sent.
    sent: OrderedDict[int, None] = field(default_factory=OrderedDict)
    slot: int | None = None
    hedge: bool = False
    #: The highest number that was answered.
    answered: int = -1


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
        self._patience = Patience(address, timeout)
        self._lateness = Lateness()
        self._calls: dict[int, _Call] = {}
        self._requests: dict[int, _Request] = {}
        #: Calls that have ended and whose CANCELLED is awaited, and their requests that were sent.
        self._ended: dict[int, _Call] = {}
        self._cancelled: dict[int, _Request] = {}
        self._joined = False
        #: Whether the broker takes batches that lie in shared memory.
        self._attached = False
        self._farm: Farm | None = None
        self._window: Window | None = None
        self._used_batches = 0
        self._used_octets = 0
        self._pipelines: set[bytes] = set()
        #: Why there is no connection, as the link last said.
        self._reason = ""
        self._warned_of_differences = False

    # --- the one door --------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Action]:
        """What to do about this event. `now` is in seconds and never goes back."""
        actions: list[Action] = []
        match event:
            case CallOpened(call, hedge):
                self._calls[call] = _Call(hedge=hedge)
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
        actions += self._send_what_may(now)
        self._patience.look(
            self._missing(), self._reason, calls=len(self._calls), requests=len(self._requests), now=now
        )
        return actions

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to say, or None."""
        times = (self._patience.deadline(), self._hedge_at())
        return min((time for time in times if time is not None), default=None)

    def expire(self, now: float) -> list[Action]:
        """What to do because time has passed."""
        return [*self._hedge_what_is_late(now), *self._patience.expire(now)]

    def check(self) -> None:
        """Raise AssertionError where a law is broken."""
        everything = {**self._requests, **self._cancelled}
        windowed = [r for r in everything.values() if r.sent and not r.in_slot]
        assert self._used_batches == len(windowed)
        assert self._used_octets == sum(r.charged for r in windowed)
        for number, call in self._calls.items():
            mine = {n for n, r in self._requests.items() if r.taken.call == number}
            assert mine == call.unsent.keys() | call.sent.keys(), "a request is in exactly one place"
            assert not call.unsent.keys() & call.sent.keys()
            assert list(call.unsent) == sorted(call.unsent, key=self._age), "oldest first"
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
            self._patience.progressed(now)
        self._requests[taken.request] = _Request(taken)
        call.unsent[taken.request] = None
        if taken.instead_of is not None:  # younger ones may wait already
            self._sort(call, call.unsent)

    def _age(self, number: int) -> tuple[int, int]:
        """What requests are sorted by, the oldest first."""
        instead_of = self._requests[number].taken.instead_of
        return (number if instead_of is None else instead_of, number)

    def _sort(self, call: _Call, requests: Iterable[int]) -> None:
        call.unsent = OrderedDict.fromkeys(sorted(requests, key=self._age))

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
        call.sent.pop(answer.request, None)
        call.answered = max(call.answered, answer.request)
        if call.slot == answer.request:
            call.slot = None
        sent_at = request.sent_at
        self._uncharge(request)
        received: list[Action] = [Send(Received((answer.receipt,)))]
        if not wanted:
            return received
        self._patience.progressed(now)
        self._lateness.answered(now - sent_at)
        return [*received, HandOver(answer.request, request.taken.call, answer)]

    def _uncharge(self, request: _Request) -> None:
        if request.sent and not request.in_slot:
            self._used_batches -= 1
            self._used_octets -= request.charged
        request.sent = request.in_slot = request.hedged = False

    def _send_what_may(self, now: float) -> list[Action]:
        actions: list[Action] = []
        while self._joined and self._window is not None:
            # Only the oldest of each call can go, so this looks at as many requests as there are calls.
            heads = [next(iter(call.unsent)) for call in self._calls.values() if call.unsent]
            heads.sort(key=self._age)
            number = next((n for n in heads if self._may_send(self._requests[n])), None)
            if number is None:
                break
            actions += self._send(number, self._requests[number], now)
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
        return self._used_batches < batches and self._used_octets + self._octets(request) <= octets

    def _is_placed(self, request: _Request) -> bool:
        return self._attached and request.taken.placed is not None

    def _octets(self, request: _Request) -> int:
        """What it takes of the window: memory that is shared is not the broker's."""
        placed = request.taken.placed
        return placed if self._attached and placed is not None else request.taken.octets

    def _send(self, number: int, request: _Request, now: float) -> list[Action]:
        taken = request.taken
        call = self._calls[taken.call]
        del call.unsent[number]
        call.sent[number] = None
        request.sent, request.sent_at, request.charged = True, now, self._octets(request)
        if call.slot is None:
            call.slot, request.in_slot = number, True
        else:
            self._used_batches += 1
            self._used_octets += request.charged
        actions: list[Action] = []
        if taken.digest not in self._pipelines:
            self._pipelines.add(taken.digest)
            actions.append(SendPipeline(taken.digest))
        submit = Submit(
            number,
            taken.call,
            taken.index,
            self._base_seed,
            self._seeding,
            taken.digest,
            request.attempts,
            self._is_placed(request),
        )
        return [*actions, SendBatch(submit)]

    # --- hedging -------------------------------------------------------------------------------------------

    def _awaited(self, call: _Call) -> _Request | None:
        """The request that holds up what was answered after it, if there is one that may be hedged."""
        oldest = next(iter(call.sent), None)
        if not call.hedge or oldest is None or oldest > call.answered:
            return None
        request = self._requests[oldest]
        return None if request.hedged or request.attempts else request

    def _hedge_at(self) -> float | None:
        """When the first batch that is waited for will be late, or None."""
        if self._lateness.allowed is None:
            return None
        times = [r.sent_at for call in self._calls.values() if (r := self._awaited(call)) is not None]
        return min(times) + self._lateness.allowed if times else None

    def _hedge_what_is_late(self, now: float) -> list[Action]:
        actions: list[Action] = []
        allowed = self._lateness.allowed
        for call in self._calls.values():
            request = self._awaited(call)
            if request is not None and allowed is not None and now >= request.sent_at + allowed:
                request.hedged = True
                actions.append(Send(Hedge(request.taken.request)))
        return actions

    # --- the broker ----------------------------------------------------------------------------------------

    def _hear(self, command: Command, now: float) -> list[Action]:
        match command:
            case Welcome():
                self._joined = True
                self._patience.found("broker", now)
                return [Resume()]
            case Window():
                self._window = command
                return [Send(Adjusted(command.serial))]
            case Farm():
                return self._see_farm(command, now)
            case Attached():
                self._attached = True
                return []
            case Deliver() | Fail():
                return self._answer(command, now)
            case Attempt(request, attempts):
                # For a request of nobody's it is the broker asking whether this connection lives.
                if request in self._requests:
                    self._patience.progressed(now)
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
        actions: list[Action] = [SetAdvice(farm.advice)]
        if farm.workers and not (self._farm and self._farm.workers):
            self._patience.found("workers", now)
            actions.append(Resume())
        self._farm = farm
        differing = differences(farm.environments)
        if differing and self._seeding == "batch" and not self._warned_of_differences:
            self._warned_of_differences = True
            actions.append(
                Notice(f"the farm's workers differ, so one batch may come out differently: {differing}")
            )
        return actions

    def _lose(self, reason: str) -> None:
        self._joined, self._farm, self._window, self._reason = False, None, None, reason
        self._attached = False
        self._pipelines.clear()
        for number in list(self._ended):
            self._forget(number)
        for request in self._requests.values():
            self._uncharge(request)
        for call in self._calls.values():
            self._sort(call, [*call.unsent, *call.sent])
            call.sent.clear()
            call.slot = None

    def _missing(self) -> Literal["", "broker", "workers"]:
        if not self._joined:
            return "broker"
        if self._farm is not None and not self._farm.workers:
            return "workers"
        return ""
