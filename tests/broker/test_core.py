"""Connections and sessions; and the whole core under random peers, honest and forged, its laws checked."""

import hashlib
import re
from collections import deque

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from augfarm.broker import manners
from augfarm.broker.core import Core
from augfarm.broker.events import (
    CommandReceived,
    ConnectionLost,
    GarbageReceived,
    Retire,
    Send,
    StopRequested,
)
from augfarm.broker.windows import ADJUST_TIMEOUT_S
from augfarm.protocol import limits
from augfarm.protocol import messages as m

# --- the door ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "word"), [("client", "HELLO"), ("worker", "JOIN")])
def test_the_first_command_is_a_greeting(rig, side, word):
    stranger = rig.stranger(side)
    stranger.say(m.Received((1,)) if side == "client" else m.Credit(1))
    refused = stranger.last(m.Refused)
    assert refused.code == "expected-hello"
    assert word in refused.text
    stranger.say(m.Goodbye())
    assert len(stranger.inbox) == 1, "a refused connection is silent"


@pytest.mark.parametrize("side", ["client", "worker"])
def test_another_version_is_refused_by_name(rig, side):
    stranger = rig.stranger(side)
    stranger.say(m.Hello(99, b"x" * 16, "") if side == "client" else m.Join(99, b"x" * 16, "", 1, {}))
    refused = stranger.last(m.Refused)
    assert refused.code == "version"
    assert "99" in refused.text


@pytest.mark.parametrize("side", ["client", "worker"])
def test_peers_have_a_limit(rig, side, monkeypatch):
    monkeypatch.setattr(limits, f"MAX_{side.upper()}S", 2)
    join = getattr(rig, side)
    join(token=b"1" * 16)
    join()
    assert join().last(m.Refused).code == "full"
    assert not join(token=b"1" * 16).heard(m.Refused), "a session that is here may come again"


def test_a_report_needs_no_greeting(rig):
    stranger = rig.stranger("client")
    stranger.say(m.Status())
    assert stranger.last(m.Report).status["workers"] == []


def test_who_asks_too_often_gets_one_report_for_many_questions(rig):
    stranger = rig.stranger("client")
    for _ in range(100):
        stranger.say(m.Status())
    assert len(stranger.heard(m.Report)) == 1
    assert rig.core.deadline() == pytest.approx(rig.now + 0.05)
    rig.pass_time(0.05)
    assert len(stranger.heard(m.Report)) == 2
    assert rig.core.deadline() is None


def test_garbage_is_forgiven_a_few_times(rig):
    client = rig.client()
    for _ in range(9):
        rig.handle(GarbageReceived("client", client.connection, "no msgpack"))
    client.submit(0)
    assert not client.retired
    rig.handle(GarbageReceived("client", client.connection, "no msgpack"))
    assert client.last(m.Refused).code == "malformed"
    assert rig.core.status(rig.now)["totals"]["garbage"] == 10
    assert rig.core.status(rig.now)["queued"] == 0


def test_garbage_of_a_worker_with_leases_may_have_been_an_answer(rig):
    client, worker = rig.client(), rig.worker()
    rig.handle(GarbageReceived("worker", worker.connection, "?"))
    assert not worker.retired
    client.submit(0)
    rig.handle(GarbageReceived("worker", worker.connection, "?"))
    assert worker.last(m.Refused).code == "malformed"
    assert len(rig.worker().tickets) == 1


def test_everybody_hears_goodbye_when_the_broker_stops(rig):
    peers = [rig.client(), rig.worker(), rig.client()]
    peers[0].submit(0)
    rig.handle(StopRequested())
    assert all(peer.last(m.Goodbye) for peer in peers)
    assert rig.core.status(rig.now)["memory"]["held"] == 0


def test_the_farm_is_told_at_once_and_then_when_it_changes(rig):
    client = rig.client()
    assert client.heard(m.Farm) == [m.Farm(0, 0, 4, ())]
    for _ in range(10):
        rig.worker(credit=2, environment={"python": "3.11", "host": "a", "pid": "1"})
    assert [f.workers for f in client.heard(m.Farm)] == [0, 1], "changes that come together are told together"
    rig.pass_time(0.1)
    assert client.last(m.Farm) == m.Farm(10, 20, 44, ({"python": "3.11"},))
    assert rig.core.deadline() is None


def test_a_client_that_came_between_two_changes_is_told_the_last_one(rig):
    old = rig.client()
    rig.pass_time(1)
    rig.worker()
    second = rig.worker()
    between = rig.client()
    assert (old.last(m.Farm).workers, between.last(m.Farm).workers) == (1, 2)
    second.lose()
    rig.pass_time(1)
    assert between.last(m.Farm).workers == 1


def test_ends_of_unknown_connections_are_nothing(rig):
    rig.handle(ConnectionLost("client", b"nobody", True))
    rig.handle(ConnectionLost("worker", b"nobody", True))


# --- peers that keep what others need, or say too much ------------------------------------------------


def test_a_client_that_keeps_its_old_window_is_refused_and_others_get_their_share(rig):
    silent, worker = rig.client(adjust=False), rig.worker()
    silent.submit(0)
    rig.pass_time(ADJUST_TIMEOUT_S / 2)
    other = rig.client()
    assert other.last(m.Window).octets == 0
    rig.pass_time(ADJUST_TIMEOUT_S / 2 - 1)
    assert not silent.retired
    assert rig.core.deadline() <= rig.now + 1
    rig.pass_time(1)
    refused = silent.last(m.Refused)
    assert (refused.code, silent.retired) == ("window", True)
    assert "ADJUSTED" in refused.text
    rig.pass_time(1)
    assert other.last(m.Window).octets == 10_000
    worker.answer(worker.tickets[0])
    assert [c["session"] for c in rig.core.status(rig.now)["clients"]] == [1]


def test_a_client_that_obeys_late_but_in_time_stays(rig):
    client = rig.client(adjust=False)
    rig.pass_time(ADJUST_TIMEOUT_S - 1)
    client.say(m.Adjusted(client.last(m.Window).serial))
    rig.pass_time(10 * ADJUST_TIMEOUT_S)
    assert not client.retired


def test_a_farm_that_comes_and_goes_is_told_in_full(rig):
    for n in range(200):
        token = n.to_bytes(16, "big")
        worker, client = rig.worker(token), rig.client(token)
        worker.lose()
        client.say(m.Goodbye())
    assert [line.split()[0] for line in rig.logs] == ["worker", "client"] * 400
    assert not any("not logged" in line for line in rig.logs)


def flood_with_greetings(rig):
    rig.client(b"f" * 16, pipeline=False).say(m.Goodbye())


def flood_with_garbage(rig):
    rig.handle(GarbageReceived("client", rig.new_connection(), "?"))


def flood_with_batches_given_up(rig):
    client = rig.client(b"f" * 16)
    client.submit(0, attempts=65535)
    client.lose()


@pytest.mark.parametrize(
    "flood", [flood_with_greetings, flood_with_garbage, flood_with_batches_given_up], ids=lambda f: f.__name__
)
def test_a_flood_of_what_is_logged_is_bounded_and_counted(rig, flood):
    rounds = 3 * manners.LOG_BURST
    flood(rig)
    lines_of_each = len(rig.logs)
    for _ in range(rounds - 1):
        rig.now += 0.001
        flood(rig)
    most = 2 * (manners.LOG_BURST + manners.LOG_PER_SECOND * rounds * 0.001)
    assert len(rig.logs) <= most
    rig.pass_time(manners.LOG_QUIET_S)
    assert rig.core.deadline() is None or rig.core.deadline() > rig.now
    left_out = sum(int(n) for line in rig.logs for n in re.findall(r"(\d+) lines were not logged", line))
    own = sum(bool(re.fullmatch(r"\d+ lines were not logged", line)) for line in rig.logs)
    assert own
    assert len(rig.logs) - own + left_out == rounds * lines_of_each


def test_text_of_peers_forges_no_lines(rig):
    name = "x\n12:00:00 augfarm broker: all is well\r\x1b[2J\u202e\u2028"
    stranger = rig.stranger("client")
    stranger.say(m.Hello(limits.PROTOCOL_VERSION, b"t" * 16, name))
    stranger.say(m.Goodbye())
    rig.worker(environment={"host": name})
    rig.handle(GarbageReceived("worker", b"s", name + "A" * 10_000))
    assert len(rig.logs) == 4
    assert all(line.isprintable() and len(line) <= manners.LOG_LINE_LENGTH for line in rig.logs)
    assert r"(x\n12:00:00 augfarm broker: all is well\r\x1b[2J\u202e\u2028)" in rig.logs[0]


# --- random peers ------------------------------------------------------------------------------------------

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

    # what the core says

    def do(self, actions):
        for action in actions:
            if isinstance(action, Send):
                key = action.side, action.connection
                assert key not in self.retired
                if key in self.channels:
                    self.note_window(self.channels[key], action.command)
                    self.channels[key].inbox.append((action.command, action.body))
            elif isinstance(action, Retire):
                self.retired.add((action.side, action.connection))

    def note_window(self, channel, command):
        if isinstance(command, m.Window):
            channel.owing_since = self.now
        elif isinstance(command, m.Refused) and command.code == "window" and channel.honest:
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
    @rule(token=st.integers(0, 4))
    def client_comes(self, token):
        token = bytes([token]) * 16
        client = ClientModel(b"c%d" % self.requests, token)
        self.requests += 1
        self.channels["client", client.connection] = client
        self.say(client, m.Hello(limits.PROTOCOL_VERSION, token, ""))

    @precondition(lambda self: len(self.channels) < 10)
    @rule(token=st.integers(0, 4), credit=st.integers(0, 3))
    def worker_comes(self, token, credit):
        token = bytes([token]) * 16
        worker = WorkerModel(b"w%d" % self.requests, token, credit)
        self.requests += 1
        self.channels["worker", worker.connection] = worker
        self.say(worker, m.Join(limits.PROTOCOL_VERSION, token, "", credit, {}))

    @precondition(lambda self: self.channels)
    @rule(data=st.data(), closed=st.booleans())
    def connection_is_lost(self, data, closed):
        channel = data.draw(st.sampled_from(list(self.channels.values())))
        self.close(channel)
        self.do(self.core.handle(ConnectionLost(channel.side, channel.connection, closed), self.now))

    @precondition(lambda self: self.channels)
    @rule(data=st.data())
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
        submit = m.Submit(self.requests, call, self.requests, 0, "worker", DIGESTS[pipeline], attempts)
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

    @precondition(lambda self: any(c.inbox for c in self.channels.values()))
    @rule(data=st.data())
    def peer_reads(self, data):
        channel = data.draw(st.sampled_from([c for c in self.channels.values() if c.inbox]))
        self.read_one(channel)

    def read_one(self, channel):
        command, body = channel.inbox.popleft()
        if isinstance(command, m.Refused):
            assert not channel.honest or command.code in ("replaced", "window"), command
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

    @precondition(lambda self: self.channels)
    @rule(data=st.data(), number=st.integers(0, 60))
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
        if not isinstance(command, (m.Received, m.Adjusted, m.Status)):
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

    @rule(side=st.sampled_from(["client", "worker"]), data=st.data())
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
