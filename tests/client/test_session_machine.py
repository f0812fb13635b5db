"""The client's core against a broker that answers in any order, forgets, and changes its window."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from augfarm.client.events import (
    BatchTaken,
    CallEnded,
    CallOpened,
    ConnectionLost,
    HandOver,
    Heard,
    Send,
    SendBatch,
)
from augfarm.client.session import Session
from augfarm.protocol.messages import (
    Cancel,
    Cancelled,
    Deliver,
    Fail,
    Farm,
    Received,
    Welcome,
    Window,
)

DIGEST = b"d" * 32
WELCOME = Heard(Welcome("augfarm 0", 1, 2**18, 2**30))
FARM = Heard(Farm(2, 4, 12, ()))
NO_WORKERS = Heard(Farm(0, 0, 4, ()))


def window(batches, octets=1 << 30, serial=1):
    return Heard(Window(serial, batches, octets))


def taken(request, call=0, octets=100):
    return BatchTaken(request, call, request, DIGEST, octets)


def deliver(request):
    return Heard(Deliver(request, request + 1000, 0, 0, 0.0, 0.0))


def make(timeout=None, seeding="batch"):
    return Session(base_seed=7, seeding=seeding, address="tcp://b:1", timeout=timeout)


class Machine(RuleBasedStateMachine):
    """A session against a broker that answers in any order, forgets everything, and changes its window."""

    @initialize()
    def begin(self):
        self.session = make(timeout=100.0)
        self.now = 0.0
        self.next = 0
        self.calls: set[int] = set()
        self.open: dict[int, int] = {}  # request -> call: taken, not yet handed over
        self.at_broker: dict[int, int] = {}
        self.cancels: list[int] = []  # CANCELs that the broker has not heard yet
        self.answered: set[int] = set()  # receipts that are awaited
        self.window = (0, 0)
        self.octets: dict[int, int] = {}
        self.joined = False

    def do(self, event):
        for action in self.session.handle(event, self.now):
            match action:
                case SendBatch(command):
                    assert self.joined
                    assert command.request in self.open, "only what is wanted is sent"
                    assert command.request not in self.at_broker, "nothing is sent twice on a connection"
                    self.at_broker[command.request] = command.call
                    self.check_promise()
                case Send(command=Cancel(call)):
                    self.cancels.append(call)
                case Send(command=Received((receipt,))):
                    assert receipt in self.answered, "only what was read is said to be received"
                    self.answered.remove(receipt)
                case HandOver(request=request):
                    del self.open[request]  # a KeyError: handed over twice

    def check_promise(self):
        """What the broker enforces: beyond one slot for each call, no more than the window."""
        batches, octets = self.window
        by_call: dict[int, list[int]] = {}
        for request, call in self.at_broker.items():
            by_call.setdefault(call, []).append(request)
        # The slot may be taken by any one batch of the call; the largest is the most generous reading.
        beyond = [r for rs in by_call.values() for r in sorted(rs, key=self.octets.get)[:-1]]
        assert len(beyond) <= max(batches, 0)
        assert sum(self.octets[r] for r in beyond) <= max(octets, 0)

    @precondition(lambda self: len(self.calls) < 4)
    @rule()
    def open_call(self):
        self.next += 1
        self.calls.add(self.next)
        self.do(CallOpened(self.next))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), octets=st.integers(1, 500))
    def take(self, data, octets):
        call = data.draw(st.sampled_from(sorted(self.calls)))
        self.next += 1
        self.open[self.next], self.octets[self.next] = call, octets
        self.do(BatchTaken(self.next, call, self.next, DIGEST, octets))

    @precondition(lambda self: self.at_broker)
    @rule(data=st.data(), fails=st.booleans())
    def answer(self, data, fails):
        request = data.draw(st.sampled_from(sorted(self.at_broker)))
        wanted = request in self.open
        assert wanted or self.at_broker[request] in self.cancels
        self.answer_it(request, fails)

    def answer_it(self, request, fails=False):
        del self.at_broker[request]
        self.answered.add(request + 1000)
        answer = (
            Fail(request, request + 1000, 0, 1, "raised", "", "", "")
            if fails
            else Deliver(request, request + 1000, 0, 0, 0.0, 0.0)
        )
        self.do(Heard(answer))
        assert request not in self.open
        assert not self.answered

    @precondition(lambda self: self.cancels)
    @rule()
    def broker_hears_a_cancel(self):
        call = self.cancels.pop(0)
        self.at_broker = {r: c for r, c in self.at_broker.items() if c != call}
        self.do(Heard(Cancelled(call)))

    @rule(request=st.integers(0, 50))
    def stray_answer(self, request):
        if request not in self.at_broker:
            self.do(deliver(request))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def end_call(self, data):
        call = data.draw(st.sampled_from(sorted(self.calls)))
        self.calls.discard(call)
        self.open = {r: c for r, c in self.open.items() if c != call}
        self.do(CallEnded(call))

    @rule()
    def join(self):
        if not self.joined:
            self.joined, self.window = True, (0, 0)
            self.do(WELCOME)
            self.do(window(0, 0))

    @precondition(lambda self: self.joined)
    @rule(batches=st.integers(0, 4), octets=st.integers(0, 1000))
    def grow_window(self, batches, octets):
        # Growing only: a window that shrinks is obeyed from ADJUSTED on, which the broker's own tests cover.
        self.window = (max(batches, self.window[0]), max(octets, self.window[1]))
        self.do(window(*self.window))

    @rule()
    def lose(self):
        self.joined = False
        self.at_broker.clear()
        self.cancels.clear()
        self.do(ConnectionLost("cut"))

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds):
        self.now += seconds
        deadline = self.session.deadline()
        if deadline is not None and deadline <= self.now:
            self.session.expire(self.now)
            after = self.session.deadline()
            assert after is None or after > self.now, "a deadline that was met must move"

    @invariant()
    def laws(self):
        if hasattr(self, "session"):
            self.session.check()

    def teardown(self):
        """Once faults stop, everything that is wanted is answered."""
        if not hasattr(self, "session"):
            return
        self.join()
        while self.cancels:
            self.broker_hears_a_cancel()
        while self.open:
            assert self.at_broker, "batches wait, and none is at the broker"
            self.answer_it(min(self.at_broker))
            self.session.check()


Machine.TestCase.settings = settings(stateful_step_count=40)
TestMachine = Machine.TestCase
