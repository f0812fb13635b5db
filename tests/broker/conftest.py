"""A core with fake peers round it: what they were sent is in their inboxes, and every step is checked."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from augfarm.broker.core import Core
from augfarm.broker.events import (
    CommandReceived,
    ConnectionLost,
    Log,
    MemoryAttached,
    OpenMemory,
    Retire,
    Send,
)
from augfarm.protocol import limits
from augfarm.protocol import messages as m

SPEC = b"a pipeline"
DIGEST = hashlib.sha256(SPEC).digest()


class Peer:
    """One connection to the core."""

    def __init__(self, rig, side, token):
        self.rig, self.side, self.token = rig, side, token
        self.connection = rig.new_connection()
        self.inbox = []  # (command, body)
        self.memory_of = None  # of the last message
        self.user_id = ""  # all that it says is under one key
        rig.peers[side, self.connection] = self

    def say(self, command, *body, user_id=None):
        if user_id is not None:
            self.user_id = user_id
        octets = sum(len(frame) for frame in body)
        event = CommandReceived(self.side, self.connection, command, body, octets, self.user_id)
        self.rig.handle(event)

    def lose(self, *, closed_by_peer=True):
        self.rig.handle(ConnectionLost(self.side, self.connection, closed_by_peer))

    def heard(self, kind):
        """All commands of this kind in the inbox."""
        return [command for command, _ in self.inbox if isinstance(command, kind)]

    def last(self, kind):
        return self.heard(kind)[-1]

    def body_of_last(self, kind):
        return [body for command, body in self.inbox if isinstance(command, kind)][-1]

    @property
    def retired(self):
        return (self.side, self.connection) in self.rig.retired


class Client(Peer):
    def submit(self, request, octets=100, *, call=0, attempts=0, digest=DIGEST, index=None, placed=False):
        index = request if index is None else index
        self.say(m.Submit(request, call, index, 1, "batch", digest, attempts, placed), b"x" * octets)

    def offer(self, *, attach=True):
        """Offer memory, which the broker sees if it is on this host."""
        self.say(m.Offer(0, b"n" * 16, b"s" * 16))
        assert self.rig.opened[-1] == OpenMemory(self.connection, b"n" * 16, b"s" * 16)
        if attach:
            self.rig.handle(MemoryAttached(self.connection))

    def receive(self, request):
        """Say that the answer to this request was read."""
        answers = self.heard((m.Deliver, m.Fail))
        self.say(m.Received(tuple(a.receipt for a in answers if a.request == request)))


class Worker(Peer):
    @property
    def tickets(self):
        return [command.ticket for command in self.heard(m.Dispatch)]

    def answer(self, ticket, octets=100, *, credit=1, seconds=0.5):
        self.say(m.Result(ticket, credit, seconds), b"y" * octets)

    def fail(self, ticket, kind="raised", *, credit=1):
        self.say(m.Failed(ticket, credit, kind, "ValueError", "no", "Traceback"))


class Rig:
    """A core, its time, and what it has said."""

    DIGEST = DIGEST
    SPEC = SPEC

    def __init__(self):
        self.start()

    def start(self, **options):
        """Begin again with another core."""
        options = {"frame_bytes": 1000, "memory_bytes": 10_000, "software": "broker"} | options
        self.now = 100.0
        self.core = Core(**options, now=self.now)
        self.peers, self.retired, self.logs = {}, set(), []
        self.opened = []
        self.unread = 0  # what the last that was retired may not have read
        self._connections = itertools.count()
        return self

    def new_connection(self):
        return b"%d" % next(self._connections)

    def handle(self, event):
        self._do(self.core.handle(event, self.now))

    def pass_time(self, seconds):
        self.now += seconds
        self._do(self.core.expire(self.now))

    def _do(self, actions):
        self.core.check()
        for action in actions:
            match action:
                case Send(side, connection, command, body, memory_of):
                    self.peers[side, connection].memory_of = memory_of
                    assert (side, connection) not in self.retired, "nothing is sent after the last word"
                    m.decode(m.encode(command), m.TO_CLIENT if side == "client" else m.TO_WORKER)
                    self.peers[side, connection].inbox.append((command, body))
                case OpenMemory():
                    self.opened.append(action)
                case Retire(side, connection, unread):
                    self.retired.add((side, connection))
                    self.unread = unread
                case Log(_, text):
                    self.logs.append(text)

    def client(self, token=None, *, user_id="", pipeline=True, adjust=True):
        client = Client(self, "client", token or bytes(15) + bytes([len(self.peers)]))
        client.say(m.Hello(limits.PROTOCOL_VERSION, client.token, "client"), user_id=user_id)
        if client.heard(m.Welcome):
            if adjust:
                client.say(m.Adjusted(client.last(m.Window).serial))
            if pipeline:
                client.say(m.Pipeline(DIGEST), SPEC)
        return client

    def worker(self, token=None, *, credit=2, environment=None, user_id=""):
        worker = Worker(self, "worker", token or bytes(15) + bytes([len(self.peers)]))
        environment = {"python": "3.11", "pid": "1"} if environment is None else environment
        join = m.Join(limits.PROTOCOL_VERSION, worker.token, "worker", credit, environment)
        worker.say(join, user_id=user_id)
        return worker

    def stranger(self, side):
        return (Client if side == "client" else Worker)(self, side, b"")


@pytest.fixture
def rig():
    return Rig()
