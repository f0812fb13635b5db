"""The client's shell: one thread that owns the connection and does what the session decides.

Other threads leave events in its inbox and wake it through a socket pair. It knows nothing of the Client
object, so that dropping a Client is enough to stop it.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import threading
import time
import traceback
from collections import deque
from importlib import metadata
from typing import Protocol

from augfarm.protocol import limits
from augfarm.protocol.codec import Buffer, cut
from augfarm.protocol.errors import (
    AugfarmError,
    ClosedError,
    FarmRefused,
    FarmUnavailable,
)
from augfarm.protocol.keys import PeerKeys
from augfarm.protocol.link import CommandArrived, ConnectionEnded, GarbageArrived, Link, LinkEvent
from augfarm.protocol.messages import (
    TO_CLIENT,
    Attached,
    Deliver,
    Farm,
    Goodbye,
    Hello,
    Pipeline,
    Received,
    Welcome,
)

from .answers import Answers, Pending
from .calls import Call
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
    Resume,
    Send,
    SendBatch,
    SendPipeline,
    SetAdvice,
)
from .forks import Maker
from .memory import SharedMemory
from .session import Session

__all__ = ["FIRST_ADVICE", "Keeper", "Service", "software"]

#: Where notices go: standard error, unless the trainer has set up logging.
_logger = logging.getLogger("augfarm.client")

#: output_buffer_size of calls that set none, until the broker gives advice.
FIRST_ADVICE = 4
#: How often the processes of a local farm are looked after when nothing else happens, in seconds.
KEEPER_INTERVAL_S = 0.5
#: How long a client that closes waits for its Goodbye to leave, in seconds.
CLOSE_LINGER_S = 0.2


class Keeper(Protocol):
    """Looks after the processes of a local farm."""

    def look_after(self) -> str | None:
        """Start again what died. Returns why the farm cannot work, or None."""

    def saw_workers(self) -> None:
        """Workers have joined, so the farm works."""

    def stop(self) -> None:
        """End all processes and leave nothing behind."""


def software() -> str:
    """What this side calls itself when it says HELLO."""
    return f"augfarm {metadata.version('augfarm')}"


class Service:
    """The thread that owns one client's connection.

    Args:
        address: the broker's.
        session: decides; only this thread uses it once :meth:`start` was called.
        pipelines: specs by digest.
        answers: makes outcomes of them; only this thread uses it.
        memory: what is shared with workers on this host.
        keeper: of a local farm; stopped with this service.
        keys: what the client proves itself with.
    """

    def __init__(
        self,
        address: str,
        session: Session,
        pipelines: dict[bytes, bytes],
        *,
        answers: Answers,
        memory: SharedMemory | None = None,
        keeper: Keeper | None = None,
        keys: PeerKeys | None = None,
    ) -> None:
        self._maker = Maker()
        self._session = session
        self._pipelines = pipelines
        self._answers = answers
        self.memory = SharedMemory(0) if memory is None else memory
        self._keeper = keeper
        self._greeting = Hello(limits.PROTOCOL_VERSION, secrets.token_bytes(limits.TOKEN_BYTES), software())
        self._address = address
        self._keys = keys
        self._inbox: deque[tuple[Event, Call | Pending | None]] = deque()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        #: Whether the link's thread waits, or is about to: only then somebody has to wake it.
        self._asleep = False
        #: Answers that have been read and that the broker was not told of yet.
        self._receipts: list[int] = []
        self._keeper_at = 0.0
        #: Guards the inbox against posts that come too late. Re-entrant, since the garbage collector may
        #: drop an iterator, and so post its end, while this thread is posting.
        self._gate = threading.RLock()
        self._stopping = False
        self._stopped = False
        self._calls: dict[int, Call] = {}
        self._pending: dict[int, Pending] = {}
        self._frame_bytes = limits.MAX_TCP_FRAME_BYTES
        self._refusal: AugfarmError | None = None
        #: The broker's advice for calls that set no output_buffer_size.
        self.advice = FIRST_ADVICE
        #: How many workers the farm has, as far as the broker has told.
        self.workers = 0
        #: What the farm's workers were when there last were some.
        self.environments: tuple[dict[str, str], ...] = ()
        self._thread = threading.Thread(target=self._run, name="augfarm-link", daemon=True)

    # --- from any thread -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def post(self, event: Event, subject: Call | Pending | None = None) -> None:
        """Leave an event; `subject` is the call of a CallOpened or the batch of a BatchTaken."""
        if not self._maker.is_here():
            return
        with self._gate:
            if not self._stopped:
                self._inbox.append((event, subject))
                if self._asleep:
                    self._asleep = False
                    self._wake()
            elif isinstance(subject, Call):
                subject.fail(self._refusal or ClosedError("the client is closed"))

    def refusal(self) -> AugfarmError | None:
        """Why nothing will ever come of this client's calls, or None."""
        return self._refusal

    def stop(self, timeout: float = 5.0) -> None:
        """End every call, say Goodbye, stop the thread and the local farm. Safe to call again."""
        if not self._maker.is_here():
            return
        self._stopping = True
        self._wake()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _wake(self) -> None:
        # A full buffer means that it is awake already; a closed one that it has stopped.
        with contextlib.suppress(OSError):
            self._wake_in.send(b"\0")

    # --- the link's thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        error: AugfarmError = ClosedError("the client was closed")
        link = None
        try:
            link = Link(self._address, self._greeting, TO_CLIENT, keys=self._keys)
            link.watch(self._wake_out.fileno())
            while not self._stopping:
                self._turn(link)
            link.send(Goodbye())
        except Exception:  # a defect of ours must end calls, not leave them waiting
            error = AugfarmError(f"the client's link thread failed:\n{traceback.format_exc()}")
        finally:
            self._shut_down(link, error)

    def _shut_down(self, link: Link | None, error: AugfarmError) -> None:
        with self._gate:
            self._stopped = True
            self._refusal = self._refusal or error
            calls = [*self._calls.values(), *(c for _, c in self._inbox if isinstance(c, Call))]
            self._inbox.clear()
        for call in calls:
            call.fail(error)
        self._calls.clear()
        self._pending.clear()
        if link is not None:
            link.close(CLOSE_LINGER_S)
        self.memory.close()
        if self._keeper is not None:
            self._keeper.stop()
        self._wake_in.close()
        self._wake_out.close()

    def _turn(self, link: Link) -> None:
        """Wait for something to happen and deal with all of it."""
        if ready := link.poll(self._time_to_wait(), self.memory.descriptors()):
            with contextlib.suppress(BlockingIOError):
                self._wake_out.recv(4096)
            self.memory.hear(ready, self._pending)
        self._asleep = False
        for link_event in link.receive():
            self._hear(link_event, link)
        self.memory.release()
        while self._inbox:
            event, subject = self._inbox.popleft()
            self._admit(event, subject)
            self._do(self._session.handle(event, time.monotonic()), link)
        self._tell_receipts(link)
        now = time.monotonic()
        deadline = self._session.deadline()
        if deadline is not None and now >= deadline:
            self._do(self._session.expire(now), link)
        if self._keeper is not None and now >= self._keeper_at:
            self._keeper_at = now + KEEPER_INTERVAL_S
            self._look_after_farm()

    def _time_to_wait(self) -> float | None:
        """How long nothing has to be done, in seconds. Whatever is posted from now on ends the wait."""
        now = time.monotonic()
        deadlines = [deadline for deadline in (self._session.deadline(),) if deadline is not None]
        if self._keeper is not None:
            deadlines.append(self._keeper_at)
        with self._gate:
            if self._inbox or self._stopping:
                return 0.0
            self._asleep = True
        return max(0.0, min(deadlines) - now) if deadlines else None

    def _tell_receipts(self, link: Link) -> None:
        if self._receipts:
            link.send(Received(tuple(self._receipts)))
            self._receipts.clear()

    def _hear(self, event: LinkEvent, link: Link) -> None:
        match event:
            case CommandArrived(command, body):
                if isinstance(command, Welcome):
                    self._frame_bytes = command.frame_bytes
                    if offer := self.memory.open(command.session):
                        link.send(offer)
                elif isinstance(command, Attached):
                    self.memory.attached()
                elif isinstance(command, Farm):
                    self.workers = command.workers
                    if command.workers:
                        self.environments = command.environments or self.environments
                        if self._keeper is not None:
                            self._keeper.saw_workers()
                now = time.monotonic()
                wanted = False
                for action in self._session.handle(Heard(command), now):
                    if isinstance(action, HandOver):
                        wanted = True
                        self._hand_over(action, body, now)
                    else:
                        self._do([action], link)
                if isinstance(command, Deliver) and not wanted:
                    self.memory.discard(body)
            case ConnectionEnded(reason, final):
                self.memory.end()
                self._receipts.clear()
                self._keeper_at = 0.0
                self._do(self._session.handle(ConnectionLost(reason, final), time.monotonic()), link)
            case GarbageArrived(reason):
                _logger.warning("augfarm: the broker sent what this client does not understand: %s", reason)

    def _admit(self, event: Event, subject: Call | Pending | None) -> None:
        match event:
            case CallOpened(number):
                assert isinstance(subject, Call)
                self._calls[number] = subject
                subject.follow(self.advice)
                if self._refusal is not None:
                    subject.fail(self._refusal)
            case BatchTaken(request=request, call=number):
                assert isinstance(subject, Pending)
                if number in self._calls:
                    self._pending[request] = subject
            case CallEnded(number):
                self._calls.pop(number, None)
                ended = [r for r, p in self._pending.items() if p.call.number == number]
                for request in ended:
                    del self._pending[request]
                self.memory.answered(ended)
            case _:
                pass

    def _do(self, actions: list[Action], link: Link) -> None:
        for action in actions:
            match action:
                case Send(Received(receipts)):
                    # Several at once, and before whatever else is said: a batch may need the room.
                    self._receipts += receipts
                    continue
            self._tell_receipts(link)
            match action:
                case Send(command):
                    link.send(command)
                case SendPipeline(digest):
                    link.send(Pipeline(digest), cut(self._pipelines[digest], self._frame_bytes))
                case SendBatch(command):
                    pending = self._pending[command.request]
                    pending.sent_at = time.monotonic()
                    body = pending.body
                    if command.placed:
                        assert pending.region is not None
                        body = pending.region.body
                    frames = [f for buffer in body for f in cut(buffer, self._frame_bytes)]
                    link.send(command, frames)
                case SetAdvice(batches):
                    self.advice = batches
                    for call in self._calls.values():
                        call.follow(batches)
                case Notice(text):
                    _logger.warning("augfarm: %s", text)
                case GiveUp(waiting_for, text):
                    for call in self._calls.values():
                        call.interrupt(FarmUnavailable(text, waiting_for=waiting_for))
                case Resume():
                    for call in self._calls.values():
                        call.resume()
                case Refuse(code, text):
                    self._refuse(FarmRefused(f"the broker refused this client: {text}", code=code))
                case Reconnect(reason):
                    link.reconnect(reason)
                case HandOver():
                    raise AssertionError("answers come with a body")

    def _hand_over(self, action: HandOver, body: list[Buffer], now: float) -> None:
        pending = self._pending.pop(action.request)
        outcome, parts = self._answers.take(pending, action.answer, body, now)
        self.memory.answered([action.request])
        if outcome is not None:
            pending.call.add(pending.position, outcome)
        for taken, part in parts:
            self.post(taken, part)
        for call in self._calls.values():
            call.resume()

    def _look_after_farm(self) -> None:
        if self._keeper is None or self._refusal is not None:
            return
        reason = self._keeper.look_after()
        if reason is not None:
            self._refuse(FarmUnavailable(reason, waiting_for="workers"))

    def _refuse(self, error: AugfarmError) -> None:
        self._refusal = error
        for call in self._calls.values():
            call.fail(error)
