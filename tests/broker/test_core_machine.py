"""The whole core under random peers, honest and forged, its laws checked after every step."""

import hashlib
from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from augfarm.broker.core import Core
from augfarm.broker.events import (
    CommandReceived,
    ConnectionLost,
    GarbageReceived,
    MemoryAttached,
    OpenMemory,
    Retire,
    Send,
)
from augfarm.broker.windows import ADJUST_TIMEOUT_S
from augfarm.protocol import limits
from augfarm.protocol import messages as m

SPECS = [b"spec %d" % n for n in range(3)]
DIGESTS = [hashlib.sha256(spec).digest() for spec in SPECS]
MEMORY = 1000
MAX_OPEN = 4
MAX_ATTEMPTS = 2


class Channel:
    """A connection: what was sent to it and not yet read."""

    def __init__(self, side, connection, token):
        self.side, self.connection, self.token = side, connection, token
        self.inbox = deque()
        self.honest = True


class ClientModel(Channel):
    """A client by the book: it submits into slots and window, obeys windows, and receives results."""

    def __init__(self, connection, token):
        super().__init__("client", connection, token)
        self.window = (0, 0)
        self.owing_since = None  # when it was told a window that it has not yet obeyed
        self.sent = {}  # request -> (call, octets, in_slot)
        self.cancelled = {}  # likewise, until CANCELLED
        self.calls = [0, 1, 2]  # a call that was cancelled is never used again
        self.received = set()
        self.pipelines = set()
        self.has_offered = self.is_attached = False

    def charged(self):
        everything = [*self.sent.values(), *self.cancelled.values()]
        mine = [octets for _, octets, in_slot in everything if not in_slot]
        return len(mine), sum(mine)

    def may_submit(self, call, octets):
        """Whether, and whether into the call's slot."""
        if not any(c == call and in_slot for c, _, in_slot in self.sent.values()):
            return True, True
        batches, used = self.charged()
        return batches < self.window[0] and used + octets <= self.window[1], False


class WorkerModel(Channel):
    def __init__(self, connection, token, credit):
        super().__init__("worker", connection, token)
        self.credit = credit
        self.held = []
        self.pipelines = set()
        self.told = {}  # whose memory the broker has offered to it, by the offer's number
        self.offers = []  # numbers of offers that it has read and not answered
        self.attached = set()  # whose memory it has said it sees


class Farm(RuleBasedStateMachine):
    """Every peer reads its inbox when Hypothesis says so: all that can be on its way at once, is."""

    @initialize(attempts=st.integers(1, 3))
    def start(self, attempts):
        self.max_attempts = attempts
        self.core = Core(
            frame_bytes=100, max_attempts=attempts, memory_bytes=MEMORY, max_open_batches=MAX_OPEN
        )
        self.now = 0.0
        self.channels = {}
        self.retired = set()
        self.requests = 0
        self.tickets = set()
        self.sessions = {}  # the number of a session by its connection
        self.placed = {}  # requests whose pixels lie in memory, and whose
        self.opening = []  # connections whose memory the broker's shell tries to see
        self.client_comes(0, True)
        self.read_all()
        for token in (1, 2):
            self.worker_comes(token, 2)

    # what the core says

    def do(self, actions):
        for action in actions:
            if isinstance(action, Send):
                key = action.side, action.connection
                assert key not in self.retired
                if isinstance(action.command, m.Welcome):
                    self.sessions[action.connection] = action.command.session
                if key in self.channels:
                    self.note_window(self.channels[key], action.command)
                    self.note_memory(self.channels[key], action)
                    self.channels[key].inbox.append((action.command, action.body))
            elif isinstance(action, Retire):
                self.retired.add((action.side, action.connection))
            elif isinstance(action, OpenMemory):
                self.opening.append(action.connection)

    def note_memory(self, channel, action):
        """Whoever sees the memory in which a batch lies gets it so, and all others as frames."""
        match action.command:
            case m.Offer(number, name):
                assert number not in channel.told
                channel.told[number] = name.rstrip(b"\0")
            case m.Dispatch():
                owner = self.placed.get(action.command.index)
                sees = owner is None or owner in channel.attached
                assert action.memory_of == (None if sees else owner)
                assert owner is None or owner in channel.told.values(), "the offer comes before"
            case m.Release(ticket):
                assert ticket not in {d.ticket for d in channel.held}, "only what was answered is released"

    def note_window(self, channel, command):
        if isinstance(command, m.Window):
            channel.owing_since = self.now
        elif isinstance(command, m.Refused) and command.code == "late" and channel.honest:
            assert self.is_late(channel)

    def is_late(self, client):
        return client.owing_since is not None and self.now >= client.owing_since + ADJUST_TIMEOUT_S

    def say(self, channel, command, body=b""):
        parts = (body,) if body else ()
        event = CommandReceived(channel.side, channel.connection, command, parts, len(body))
        self.do(self.core.handle(event, self.now))

    def of(self, kind):
        return [c for c in self.channels.values() if isinstance(c, kind)]

    def close(self, channel):
        del self.channels[channel.side, channel.connection]

    # peers come and go

    @precondition(lambda self: len(self.channels) < 10)
    @rule(token=st.integers(0, 4), shares=st.booleans())
    def client_comes(self, token, shares):
        token = bytes([token]) * 16
        client = ClientModel(b"c%d" % self.requests, token)
        self.requests += 1
        self.channels["client", client.connection] = client
        self.say(client, m.Hello(limits.PROTOCOL_VERSION, token, ""))
        if shares:
            self.offer_memory(client)
            self.do(self.core.handle(MemoryAttached(self.opening.pop()), self.now))

    @precondition(lambda self: len(self.channels) < 10)
    @rule(token=st.integers(0, 4), credit=st.integers(0, 3))
    def worker_comes(self, token, credit):
        token = bytes([token]) * 16
        worker = WorkerModel(b"w%d" % self.requests, token, credit)
        self.requests += 1
        self.channels["worker", worker.connection] = worker
        self.say(worker, m.Join(limits.PROTOCOL_VERSION, token, "", credit, {}))

    @precondition(lambda self: self.channels)
    @rule(data=st.data(), what=st.sampled_from(["lost", "lost", "goodbye", "forged", "garbage"]))
    def something_fails(self, data, what):
        """All faults are in one rule, so that most steps are work."""
        match what:
            case "lost":
                self.connection_is_lost(data, data.draw(st.booleans()))
            case "goodbye":
                self.peer_says_goodbye(data)
            case "forged":
                self.peer_forges(data, data.draw(st.integers(0, 60)))
            case "garbage":
                self.garbage_arrives(data.draw(st.sampled_from(["client", "worker"])), data)

    def connection_is_lost(self, data, closed):
        channel = data.draw(st.sampled_from(list(self.channels.values())))
        self.close(channel)
        self.do(self.core.handle(ConnectionLost(channel.side, channel.connection, closed), self.now))

    def peer_says_goodbye(self, data):
        channel = data.draw(st.sampled_from(list(self.channels.values())))
        self.say(channel, m.Goodbye())
        if not any(isinstance(c, m.Refused) for c, _ in channel.inbox):
            assert isinstance(channel.inbox[-1][0], m.Goodbye)
        self.close(channel)

    # clients work

    @precondition(lambda self: self.of(ClientModel))
    @rule(data=st.data(), call=st.integers(0, 2), octets=st.integers(1, 1200), pipeline=st.integers(0, 2))
    def client_submits(self, data, call, octets, pipeline):
        client = data.draw(st.sampled_from(self.of(ClientModel)))
        call = client.calls[call]
        may, in_slot = client.may_submit(call, octets)
        if not may:
            return
        if pipeline not in client.pipelines:
            client.pipelines.add(pipeline)
            self.say(client, m.Pipeline(DIGESTS[pipeline]), SPECS[pipeline])
        attempts = data.draw(st.sampled_from([0, 0, 0, 1, self.max_attempts]))
        client.sent[self.requests] = (call, octets, in_slot)
        placed = client.is_attached and data.draw(st.sampled_from([True, True, False]))
        if placed:
            self.placed[self.requests] = client.connection
        number = self.requests
        submit = m.Submit(number, call, number, 0, "worker", DIGESTS[pipeline], attempts, placed)
        self.requests += 1
        self.say(client, submit, b"x" * octets)

    @precondition(lambda self: any(c.sent for c in self.of(ClientModel)))
    @rule(data=st.data())
    def client_cancels(self, data):
        client = data.draw(st.sampled_from([c for c in self.of(ClientModel) if c.sent]))
        call = data.draw(st.sampled_from(sorted({call for call, _, _ in client.sent.values()})))
        # Charged until CANCELLED: answers may be on their way.
        client.cancelled |= {r: sent for r, sent in client.sent.items() if sent[0] == call}
        client.sent = {r: sent for r, sent in client.sent.items() if sent[0] != call}
        client.calls[client.calls.index(call)] = max(client.calls) + 1
        self.say(client, m.Cancel(call))

    @precondition(lambda self: not all(c.has_offered for c in self.of(ClientModel)))
    @rule(data=st.data())
    def client_offers_memory(self, data):
        client = data.draw(st.sampled_from([c for c in self.of(ClientModel) if not c.has_offered]))
        self.offer_memory(client)

    def offer_memory(self, client):
        client.has_offered = True
        self.say(client, m.Offer(7, client.connection.ljust(16, b"\0"), bytes(16)))

    @precondition(lambda self: self.opening)
    @rule(data=st.data())
    def broker_sees_memory(self, data):
        """Or what is left of it: the client may have gone."""
        connection = data.draw(st.sampled_from(self.opening))
        self.opening.remove(connection)
        self.do(self.core.handle(MemoryAttached(connection), self.now))

    @precondition(lambda self: any(w.offers for w in self.of(WorkerModel)))
    @rule(data=st.data())
    def worker_sees_memory(self, data):
        worker = data.draw(st.sampled_from([w for w in self.of(WorkerModel) if w.offers]))
        number = worker.offers.pop(0)
        # The client may have gone, or come back on another connection and with another memory.
        worker.attached.add(worker.told[number])
        self.say(worker, m.Attached(number))

    @precondition(lambda self: any(c.sent for c in self.of(ClientModel)))
    @rule(data=st.data())
    def client_hedges(self, data):
        client = data.draw(st.sampled_from([c for c in self.of(ClientModel) if c.sent]))
        self.say(client, m.Hedge(data.draw(st.sampled_from(sorted(client.sent)))))

    @precondition(lambda self: any(c.inbox for c in self.channels.values()))
    @rule(data=st.data())
    def peer_reads(self, data):
        channel = data.draw(st.sampled_from([c for c in self.channels.values() if c.inbox]))
        self.read_one(channel)

    @rule()
    def all_is_read(self):
        self.read_all()

    def read_all(self):
        while busy := [c for c in self.channels.values() if c.inbox]:
            self.read_one(busy[0])

    def read_one(self, channel):
        command, body = channel.inbox.popleft()
        if isinstance(command, m.Refused):
            assert not channel.honest or command.code in ("replaced", "late"), command
            self.close(channel)
        elif isinstance(channel, ClientModel):
            self.client_reads(channel, command, body)
        else:
            self.worker_reads(channel, command, body)

    def client_reads(self, client, command, body):
        match command:
            case m.Window(serial, batches, octets):
                client.window = (batches, octets)
                client.owing_since = None
                self.say(client, m.Adjusted(serial))
            case m.Attached(session):
                assert session == self.sessions[client.connection]
                client.is_attached = True
            case m.Cancelled(call):
                client.cancelled = {r: sent for r, sent in client.cancelled.items() if sent[0] != call}
            case m.Deliver(request) | m.Fail(request):
                assert request not in client.received, "a request is answered once"
                client.received.add(request)
                if isinstance(command, m.Deliver):
                    assert command.attempts < self.max_attempts
                    assert body == (b"result of %d" % request,), "the answer is this request's own"
                assert client.sent.pop(request, None) or client.cancelled.pop(request, None)
                self.say(client, m.Received((command.receipt,)))
            case m.Attempt(_, attempts):
                assert attempts < self.max_attempts

    # workers work

    def worker_reads(self, worker, command, body):
        match command:
            case m.Pipeline(digest):
                assert hashlib.sha256(body[0]).digest() == digest
                worker.pipelines.add(digest)
            case m.Forget(digest):
                assert digest not in {d.digest for d in worker.held}
                worker.pipelines.remove(digest)
            case m.Offer(number):
                worker.offers.append(number)
            case m.Dispatch(ticket):
                assert ticket not in {d.ticket for d in worker.held}
                assert command.digest in worker.pipelines
                assert body
                worker.credit -= 1
                assert worker.credit >= 0 or not worker.honest
                worker.held.append(command)

    @precondition(lambda self: any(w.held for w in self.of(WorkerModel)))
    @rule(data=st.data(), failed=st.booleans(), credit=st.integers(0, 2))
    def worker_answers(self, data, failed, credit):
        worker = data.draw(st.sampled_from([w for w in self.of(WorkerModel) if w.held]))
        self.answer(worker, failed, credit)

    def answer(self, worker, failed=False, credit=1):
        dispatch = worker.held.pop(0)
        worker.credit += credit
        if failed:
            self.say(worker, m.Failed(dispatch.ticket, credit, "raised", "E", "", ""))
        else:
            # The index of a batch is its request here.
            self.say(worker, m.Result(dispatch.ticket, credit, 0.1), b"result of %d" % dispatch.index)

    @precondition(lambda self: self.of(WorkerModel))
    @rule(data=st.data(), credit=st.integers(1, 3))
    def worker_grants(self, data, credit):
        worker = data.draw(st.sampled_from(self.of(WorkerModel)))
        if worker.credit + len(worker.held) < 20:
            worker.credit += credit
            self.say(worker, m.Credit(credit))

    # what nobody should send

    def peer_forges(self, data, number):
        channel = data.draw(st.sampled_from(list(self.channels.values())))
        channel.honest = False
        if isinstance(channel, ClientModel):
            forged = [
                m.Received((number,)),
                m.Adjusted(number),
                m.Submit(number, 0, 0, 0, "batch", DIGESTS[0], 0),
                m.Hello(limits.PROTOCOL_VERSION, bytes(16), ""),
                m.Cancel(number),
                m.Hedge(number),
                m.Status(),
            ]
        else:
            forged = [
                m.Failed(number, 1, "poisoned", "", "", ""),
                m.Credit(limits.MAX_WORKER_CREDIT),
                m.Join(limits.PROTOCOL_VERSION, bytes(16), "", 1, {}),
            ]
        command = data.draw(st.sampled_from(forged))
        self.say(channel, command, b"forged" if isinstance(command, m.Submit) else b"")
        if not isinstance(command, (m.Received, m.Adjusted, m.Hedge, m.Status)):
            # The model no longer knows what the broker has of it: the forger leaves.
            self.close(channel)
            self.do(self.core.handle(ConnectionLost(channel.side, channel.connection, False), self.now))

    @precondition(lambda self: self.of(WorkerModel))
    @rule(data=st.data(), ticket=st.integers(0, 60))
    def a_late_answer_arrives(self, data, ticket):
        worker = data.draw(st.sampled_from(self.of(WorkerModel)))
        unread = {c.ticket for c, _ in worker.inbox if isinstance(c, m.Dispatch)}
        if ticket not in unread | {d.ticket for d in worker.held}:
            self.say(worker, m.Result(ticket, 1, 0.0), b"late")

    def garbage_arrives(self, side, data):
        connections = [c.connection for c in self.of(ClientModel)] if side == "client" else []
        connection = data.draw(st.sampled_from([b"stranger", *connections]))
        if ("client", connection) in self.channels:
            self.channels["client", connection].honest = False
        self.do(self.core.handle(GarbageReceived(side, connection, "?"), self.now))

    @rule(seconds=st.sampled_from([0.01, 0.1, 1.5, ADJUST_TIMEOUT_S]))
    def time_passes(self, seconds):
        self.now += seconds
        deadline = self.core.deadline()
        if deadline is not None and deadline <= self.now:
            self.do(self.core.expire(self.now))
            deadline = self.core.deadline()
            assert deadline is None or deadline > self.now
        for client in self.of(ClientModel):
            refused = ("client", client.connection) in self.retired
            assert refused or not client.honest or not self.is_late(client)

    @invariant()
    def laws_hold(self):
        if hasattr(self, "core"):
            self.core.check()

    def teardown(self):
        """With one patient worker everything ends in an answer; when all have left, nothing is left."""
        if not hasattr(self, "core"):
            return
        for worker in self.of(WorkerModel):
            self.close(worker)
            self.do(self.core.handle(ConnectionLost("worker", worker.connection, False), self.now))
        last = WorkerModel(b"last", b"l" * 16, 1)
        self.channels["worker", b"last"] = last
        self.say(last, m.Join(limits.PROTOCOL_VERSION, b"l" * 16, "", 1, {}))
        while True:
            busy = [c for c in self.channels.values() if c.inbox]
            if busy:
                self.read_one(busy[0])
            elif last.held:
                self.answer(last)
            elif (deadline := self.core.deadline()) is not None:
                self.now = max(self.now, deadline)
                self.do(self.core.expire(self.now))
            else:
                break
            self.core.check()
        for client in self.of(ClientModel):
            assert not client.sent or not client.honest, "every request is answered"
        shares = [c.window for c in self.of(ClientModel) if c.honest]
        assert all(window == (MAX_OPEN, MEMORY // len(self.of(ClientModel))) for window in shares)
        for channel in list(self.channels.values()):
            self.say(channel, m.Goodbye())
        self.core.check()
        status = self.core.status(self.now)
        assert (status["clients"], status["workers"], status["queued"]) == ([], [], 0)
        assert status["memory"]["held"] == 0


TestFarm = Farm.TestCase
