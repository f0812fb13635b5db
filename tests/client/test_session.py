"""The client's core: exactly-once, windows, reconnection, notices. No sockets, no clock."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from augfarm.client.events import (
    BatchTaken,
    CallEnded,
    CallOpened,
    ConnectionLost,
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
from augfarm.client.session import FIRST_NOTICE_S, NEXT_NOTICE_S, Session
from augfarm.protocol.limits import MAX_CALLS
from augfarm.protocol.messages import (
    Adjusted,
    Attempt,
    Cancel,
    Cancelled,
    Deliver,
    Fail,
    Farm,
    Goodbye,
    Received,
    Refused,
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


class Driver:
    """Feeds a session, checks its laws after every step, and remembers the actions."""

    def __init__(self, session):
        self.session, self.now, self.actions = session, 0.0, []

    def do(self, *events):
        self.actions = []
        for event in events:
            self.actions += self.session.handle(event, self.now)
            self.session.check()
        return self.actions

    def sent(self):
        return [a.command.request for a in self.actions if isinstance(a, SendBatch)]


@pytest.fixture
def driver():
    return Driver(make())


def test_nothing_is_sent_before_welcome(driver):
    assert driver.do(CallOpened(0), taken(0)) == []
    driver.do(WELCOME)
    assert driver.sent() == [0]


def test_the_pipeline_goes_before_the_first_batch_and_once(driver):
    actions = driver.do(WELCOME, window(5), CallOpened(0), taken(0), taken(1))
    kinds = [type(a) for a in actions if not isinstance(a, Send)]
    assert kinds == [SendPipeline, SendBatch, SendBatch]


def test_a_submit_carries_seed_index_and_pipeline(driver):
    driver.do(WELCOME, CallOpened(3), BatchTaken(9, 3, 41, DIGEST, 10))
    (submit,) = [a.command for a in driver.actions if isinstance(a, SendBatch)]
    assert (submit.request, submit.call, submit.index) == (9, 3, 41)
    assert (submit.base_seed, submit.seeding, submit.digest, submit.attempts) == (7, "batch", DIGEST, 0)


def test_a_call_has_a_slot_even_with_no_window(driver):
    driver.do(WELCOME, window(0, 0), CallOpened(0), taken(0, octets=10**9), taken(1))
    assert driver.sent() == [0]
    driver.do(deliver(0))
    assert driver.sent() == [1]


def test_the_window_counts_batches_and_bytes(driver):
    driver.do(WELCOME, window(2, 250), CallOpened(0), *(taken(n) for n in range(5)))
    assert driver.sent() == [0, 1, 2]  # one in the slot, two in the window
    driver.do(window(9, 250, serial=2))
    assert driver.sent() == []  # 200 of 250 bytes are used
    driver.do(window(9, 300, serial=3))
    assert driver.sent() == [3]


def test_a_window_is_acknowledged(driver):
    assert Send(Adjusted(4)) in driver.do(WELCOME, window(1, serial=4))


def test_an_answer_is_handed_over_once_and_acknowledged(driver):
    driver.do(WELCOME, CallOpened(0), taken(0))
    actions = driver.do(deliver(0))
    assert actions == [Send(Received((1000,))), HandOver(0, 0, deliver(0).command)]
    assert driver.do(deliver(0)) == []


def test_a_lost_connection_sends_everything_unanswered_again_oldest_first(driver):
    driver.do(WELCOME, window(9), CallOpened(0), *(taken(n) for n in range(4)), deliver(1))
    driver.do(ConnectionLost("cut"), WELCOME, window(9))
    assert driver.sent() == [0, 2, 3]
    assert sum(isinstance(a, SendPipeline) for a in driver.actions) == 1


def test_attempts_are_carried_over_a_restart(driver):
    driver.do(WELCOME, CallOpened(0), taken(0), Heard(Attempt(0, 2)), ConnectionLost("gone"), WELCOME)
    assert [a.command.attempts for a in driver.actions if isinstance(a, SendBatch)] == [0, 2]


def test_a_call_that_ends_is_cancelled_at_the_broker(driver):
    driver.do(WELCOME, window(9), CallOpened(0), CallOpened(1), taken(0), taken(1, call=1))
    assert Send(Cancel(0)) in driver.do(CallEnded(0))
    # The answer was on its way: it is nobody's, and is said to have come.
    assert driver.do(deliver(0)) == [Send(Received((1000,)))]
    assert any(isinstance(a, HandOver) for a in driver.do(deliver(1)))


def test_what_was_cancelled_keeps_its_place_until_the_broker_has_forgotten_it(driver):
    driver.do(WELCOME, window(1), CallOpened(0), *(taken(n) for n in range(3)))
    driver.do(CallEnded(0), CallOpened(1), taken(3, call=1), taken(4, call=1))
    assert driver.sent() == [3]  # in its slot; the window is still full
    driver.do(Heard(Cancelled(0)))
    assert driver.sent() == [4]


def test_no_more_calls_than_the_broker_takes_have_batches_there(driver):
    driver.do(WELCOME, *(CallOpened(n) for n in range(70)), *(taken(n, call=n) for n in range(70)))
    assert driver.sent() == list(range(MAX_CALLS))
    driver.do(CallEnded(0))
    assert driver.sent() == []
    driver.do(Heard(Cancelled(0)), deliver(1))
    assert driver.sent() == [MAX_CALLS, MAX_CALLS + 1]


def test_a_complete_call_needs_no_cancel(driver):
    driver.do(WELCOME, CallOpened(0), taken(0), deliver(0))
    assert driver.do(CallEnded(0)) == []


def test_a_batch_of_a_call_that_ended_is_dropped(driver):
    driver.do(WELCOME, CallOpened(0), CallEnded(0))
    assert driver.do(taken(0)) == []


@pytest.mark.parametrize("code", ["version", "window", "unexpected", "credit", "revoked", "malformed"])
def test_a_refusal_that_would_be_said_again_is_final(driver, code):
    assert driver.do(Heard(Refused(code, "no"))) == [Refuse(code, "no")]


@pytest.mark.parametrize("command", [Refused("full", "no"), Goodbye()])
def test_what_may_pass_is_tried_again(driver, command):
    driver.do(WELCOME, CallOpened(0), taken(0))
    assert [type(a) for a in driver.do(Heard(command))] == [Reconnect]
    driver.do(WELCOME)
    assert driver.sent() == [0]


def test_advice_is_passed_on(driver):
    assert SetAdvice(12) in driver.do(WELCOME, FARM)


def test_differing_workers_are_told_once_where_it_matters():
    environments = ({"numpy": "1.26.4"}, {"numpy": "2.2.0"})
    farm = Heard(Farm(2, 4, 12, environments))
    driver = Driver(make())
    (notice,) = [a for a in driver.do(WELCOME, farm) if isinstance(a, Notice)]
    assert "numpy 1.26.4 and 2.2.0" in notice.text
    assert not any(isinstance(a, Notice) for a in driver.do(farm))
    assert not any(isinstance(a, Notice) for a in Driver(make(seeding="worker")).do(WELCOME, farm))


def test_notices_come_after_3_s_and_then_every_10_s(driver):
    assert driver.session.deadline() is None  # nobody waits for anything
    driver.do(ConnectionLost("nothing answers there"), CallOpened(0))
    assert driver.session.deadline() == FIRST_NOTICE_S == 3.0
    assert driver.session.expire(2.9) == []
    (notice,) = driver.session.expire(3.0)
    assert "tcp://b:1" in notice.text
    assert "nothing answers there" in notice.text
    assert driver.session.deadline() == 3.0 + NEXT_NOTICE_S == 13.0
    driver.now = 4.0
    driver.do(WELCOME, NO_WORKERS)
    (notice,) = driver.session.expire(driver.session.deadline())
    assert "no workers" in notice.text
    driver.do(FARM)
    assert driver.session.deadline() is None


def test_timeout_gives_up_and_the_batch_may_still_come():
    driver = Driver(make(timeout=5.0))
    driver.do(CallOpened(0))
    assert driver.session.deadline() == 3.0  # no batch waits yet
    driver.do(taken(0))
    driver.session.expire(3.0)
    assert driver.session.deadline() == 5.0
    (give_up,) = [a for a in driver.session.expire(5.0) if isinstance(a, GiveUp)]
    assert give_up.waiting_for == "broker"
    driver.now = 6.0
    driver.do(WELCOME, FARM)
    assert driver.session.deadline() == 11.0  # joining was progress
    assert any(isinstance(a, HandOver) for a in driver.do(deliver(0)))
    assert driver.session.deadline() is None


def test_a_probe_is_no_progress():
    driver = Driver(make(timeout=5.0))
    driver.do(WELCOME, FARM, CallOpened(0), taken(0))
    driver.now = 4.0
    assert driver.do(Heard(Attempt(2**63 - 1, 0))) == []
    assert driver.session.deadline() == 5.0


def test_an_answer_is_progress():
    driver = Driver(make(timeout=5.0))
    driver.do(WELCOME, FARM, window(9), CallOpened(0), taken(0), taken(1))
    driver.now = 4.0
    driver.do(deliver(0))
    assert driver.session.deadline() == 9.0


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
