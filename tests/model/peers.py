"""The peers of the joint model: the real sessions, and shells of wires round them that judge what they get.

A batch is the text "client/request|" and padding; its result says which batch, by which pipeline and seed.
"""

import hashlib
from dataclasses import dataclass, field

from augfarm.client import events as ce
from augfarm.client.ordering import Reorder
from augfarm.client.session import Session as ClientSession
from augfarm.protocol import limits
from augfarm.protocol import messages as m
from augfarm.worker import events as we
from augfarm.worker.session import Session as WorkerSession

from .attempts import identity_of
from .wires import GARBAGE

SPECS = [b"spec %d" % n for n in range(3)]
DIGEST_OF = [hashlib.sha256(spec).digest() for spec in SPECS]
DIGESTS = dict(zip(DIGEST_OF, SPECS, strict=True))
#: In the name of a batch that kills whoever augments it.
DEADLY = b"!"


class Peer:
    """A peer's process: it has one wire at a time, or knows that it has none."""

    side = ""

    def __init__(self, number):
        self.number = number
        self.token = b"%016d" % number
        self.wire = None
        #: Whether the session was told that there is no wire.
        self.knows_the_end = True
        self.is_alive = True
        self.is_frozen = False
        self.heard_garbage = False

    def connects(self, wire):
        assert self.wire is None
        self.wire, self.knows_the_end = wire, False
        wire.peer_sends(self.greeting())

    def send(self, command, body=()):
        if self.wire is not None:
            self.wire.peer_sends(command, body)

    def reads(self, now):
        """The next message, or after the last one the end. Whether there was anything."""
        if self.wire is None or not (self.wire.to_peer or self.wire.ended):
            if self.wire is None and not self.knows_the_end:
                self.hears_of_end(now)
                return True
            return False
        if not self.wire.to_peer:
            self.hears_of_end(now)
            return True
        self.wire.answered = True
        command, body = self.wire.to_peer.popleft()
        if command is GARBAGE:
            self.heard_garbage = True
            self.hears_garbage(now)
        else:
            self.hears(command, body, now)
        return True

    def throws_wire_away(self, arriving=0):
        """Close the socket; so many of its messages on their way still arrive."""
        if self.wire is not None:
            self.wire.end("closed", arriving, 0)
            self.wire = None

    def freezes(self, arriving):
        """Its heartbeats stop, so that the broker will call it gone. What it has received it has."""
        self.is_frozen = True
        if self.wire is not None:
            self.wire.end("cut", 2**20, arriving)

    def dies(self, arriving=0):
        """The process is gone."""
        self.throws_wire_away(arriving)
        self.is_alive = False


@dataclass
class Call:
    """A call of a client: its caller wants `count` batches and lets `buffer` be under way.

    Attributes:
        sizes: of its batches in bytes, in turn.
        deadly: the positions of those that kill whoever augments them.
    """

    spec: int
    count: int
    buffer: int
    sizes: list
    deadly: tuple
    number: int = -1
    taken: int = 0
    handed_over: int = 0
    results: Reorder = field(default_factory=lambda: Reorder(ordered=True))

    def has_credit(self):
        return self.taken < min(self.count, self.handed_over + self.buffer)


@dataclass
class Batch:
    """A batch that was taken and has no answer yet."""

    call: int
    position: int
    digest: bytes
    body: tuple
    #: What the last ATTEMPT said.
    attempts: int = 0


class Client(Peer):
    """A trainer's process. Judges that each batch that was taken is answered once, by its own result."""

    side = "client"

    def __init__(self, number):
        super().__init__(number)
        self.session = ClientSession(
            base_seed=number, seeding="batch", address="tcp://broker:1", timeout=30.0
        )
        self.calls = {}
        self.batches = {}
        self._numbers = 0

    def greeting(self):
        return m.Hello(limits.PROTOCOL_VERSION, self.token, "client")

    # --- the caller and the loader -------------------------------------------------------------------------

    def opens(self, call, now):
        call.number = self._number()
        self.calls[call.number] = call
        self._handle(ce.CallOpened(call.number, hedge=True), now)
        self._load(call, now)

    def hands_over(self, call, now):
        """The caller takes the next result, if it is there. Whether it is."""
        if not call.results.ready():
            return False
        position = call.results.take()
        assert position == call.handed_over, "in order, each once"
        call.handed_over += 1
        self._load(call, now)
        if call.handed_over == call.count:
            self.ends_call(call, now)
        return True

    def _load(self, call, now):
        """The loader takes what it has credit for."""
        while call.has_credit():
            request, position = self._number(), call.taken
            name = DEADLY if position in call.deadly else b""
            octets = call.sizes[position % len(call.sizes)]
            body = (b"%d/%d%s|%s" % (self.number, request, name, b"." * octets),)
            digest = DIGEST_OF[call.spec]
            self.batches[request] = Batch(call.number, position, digest, body)
            call.taken += 1
            # The index of a batch is its request here.
            self._handle(ce.BatchTaken(request, call.number, request, digest, len(body[0])), now)

    def takes_in_vain(self, call, now):
        """The loader had taken a batch while its call ended: nobody wants it."""
        self._handle(ce.BatchTaken(self._number(), call.number, 0, DIGEST_OF[call.spec], 10), now)

    def ends_call(self, call, now):
        del self.calls[call.number]
        self.batches = {r: b for r, b in self.batches.items() if b.call != call.number}
        self._handle(ce.CallEnded(call.number), now)

    def leaves(self, now):
        self.send(m.Goodbye())
        self.dies(arriving=2**20)

    def _number(self):
        self._numbers += 1
        return self._numbers

    # --- the link ------------------------------------------------------------------------------------------

    def hears(self, command, body, now):
        if isinstance(command, m.Attempt) and command.request in self.batches:
            self.batches[command.request].attempts = command.attempts
        for action in self.session.handle(ce.Heard(command), now):
            if isinstance(action, ce.HandOver):
                self._is_answered(action, body)
            else:
                self._do(action)

    def hears_of_end(self, now):
        self.wire, self.knows_the_end = None, True
        self._handle(ce.ConnectionLost("cut"), now)

    def looks_at_the_clock(self, now):
        deadline = self.session.deadline()
        if deadline is not None and deadline <= now:
            for action in self.session.expire(now):
                self._do(action)
            later = self.session.deadline()
            assert later is None or later > now, "a deadline that was met must move"

    def _handle(self, event, now):
        for action in self.session.handle(event, now):
            assert not isinstance(action, ce.HandOver), "answers come with a body"
            self._do(action)

    def _do(self, action):
        match action:
            case ce.Send(command):
                self.send(command)
            case ce.SendPipeline(digest):
                self.send(m.Pipeline(digest), (DIGESTS[digest],))
            case ce.SendBatch(command):
                batch = self.batches[command.request]
                assert command.attempts == batch.attempts, "the client carries the count"
                self.send(command, batch.body)
            case ce.Reconnect():
                self.throws_wire_away()
            case ce.Refuse(code, text):
                raise AssertionError(f"a client by the book is refused ({code}): {text}")

    def _is_answered(self, action, body):
        answer = action.answer
        batch = self.batches.pop(action.request)  # a KeyError: answered twice, or another's
        assert batch.call == action.call
        if isinstance(answer, m.Deliver):
            own = result_of(batch.body, DIGESTS[batch.digest], action.request, len(body[0]))
            assert body == own, "the answer is this batch's own"
        else:
            assert answer.kind in ("raised", "poisoned")
        self.calls[batch.call].results.add(batch.position, batch.position)

    def check(self):
        self.session.check()
        assert all(b.call in self.calls for b in self.batches.values())


class Worker(Peer):
    """A worker's process. Judges what it is asked to do."""

    side = "worker"

    def __init__(self, number, now, max_tasks):
        super().__init__(number)
        self.session = WorkerSession(now=now, max_tasks=max_tasks)
        self.pipelines = {}
        #: The batch at work, and its pipeline.
        self.work = None
        self.spec = b""
        self._tokens = 0

    def greeting(self):
        credit = self.session.join_credit()
        return m.Join(limits.PROTOCOL_VERSION, self.token, "worker", credit, {"pid": str(self.number)})

    def hears(self, command, body, now):
        self._handle(we.CommandArrived(command, body), now)

    def hears_garbage(self, now):
        self._handle(we.GarbageArrived("no msgpack"), now)

    def hears_of_end(self, now):
        self.wire, self.knows_the_end = None, True
        self._handle(we.ConnectionEnded("cut"), now)

    def begins(self, now):
        """All that had come was heard: a waiting batch may begin."""
        if self.is_alive and self.session.waiting:
            self._handle(we.InboxEmptied(), now)
            return True
        return False

    def finishes(self, now, growth=0, raises=False):
        """The batch at work is done."""
        work, self.work = self.work, None
        if raises:
            event = we.BatchFailed(work.ticket, "raised", "ValueError", "no", "")
        else:
            size = len(work.body[0]) + growth
            body = result_of(work.body, self.spec, work.seed.index, size)
            event = we.BatchAugmented(work.ticket, body, 0.1)
        self._handle(event, now)

    def leaves(self, now):
        """It is told to stop."""
        self._handle(we.StopRequested(), now)

    def looks_at_the_clock(self, now):
        for action in self.session.expire(now):
            self._do(action)
        deadline = self.session.deadline()
        assert not self.is_alive or deadline is None or deadline > now, "a deadline that was met must move"

    def _handle(self, event, now):
        for action in self.session.handle(event, now):
            self._do(action)

    def _do(self, action):
        match action:
            case we.Send(command, body):
                self.send(command, body)
            case we.LoadPipeline(digest, body):
                self.pipelines[digest] = body[0]
            case we.ForgetPipeline(digest):
                self.pipelines.pop(digest, None)
            case we.ForgetAllPipelines():
                self.pipelines.clear()
            case we.Augment(_, digest):
                assert self.work is None, "one batch at a time"
                self.work, self.spec = action, self.pipelines[digest]
            case we.RenewToken():
                self._tokens += 1
                self.token = b"%08d%08d" % (self.number, self._tokens)
            case we.Reconnect():
                self.throws_wire_away()
            case we.Say("warning", text) if "broke the protocol" in text:
                assert self.heard_garbage, text
            case we.Exit():
                self.work = None
                self.dies(arriving=2**20)

    def check(self):
        self.session.check()
        assert len(self.pipelines) <= max(limits.MAX_WORKER_PIPELINES, limits.WORKER_CREDIT)
        assert not (self.pipelines and self.knows_the_end), "the broker sends them again"


def result_of(body, spec, index, size):
    """What a pipeline makes of a batch: frames of about this size in all."""
    text = b"%s by %s at %d|" % (identity_of(body), spec, index)
    return (text.ljust(size, b"+"),)
