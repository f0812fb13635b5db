"""The client's core: exactly-once, windows, reconnection, notices. No sockets, no clock."""

import pytest

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
    Resume,
    Send,
    SendBatch,
    SendPipeline,
    SetAdvice,
)
from augfarm.client.lateness import FACTOR, FEWEST
from augfarm.client.patience import FIRST_NOTICE_S, NEXT_NOTICE_S
from augfarm.client.session import Session
from augfarm.protocol.limits import MAX_CALLS
from augfarm.protocol.messages import (
    Adjusted,
    Attached,
    Attempt,
    Cancel,
    Cancelled,
    Deliver,
    Farm,
    Goodbye,
    Hedge,
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
    """Feeds a session, checks its laws after every step, and remembers the actions.

    A WELCOME is followed by a WINDOW of nothing, which the test may replace.
    """

    def __init__(self, session):
        self.session, self.now, self.actions = session, 0.0, []

    def do(self, *events):
        self.actions = []
        for event in events:
            self.actions += self.session.handle(event, self.now)
            self.session.check()
            if event is WELCOME:
                self.actions += self.session.handle(window(0, 0), self.now)
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
    kinds = [type(a) for a in actions if not isinstance(a, (Send, Resume))]
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


def test_the_first_window_is_acknowledged_before_a_batch_is_sent():
    session = make()
    for event in (CallOpened(0), taken(0), WELCOME):
        assert not any(isinstance(a, SendBatch) for a in session.handle(event, 0.0))
    kinds = [type(action) for action in session.handle(window(0, 0, serial=4), 0.0)]
    assert kinds == [Send, SendPipeline, SendBatch]


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


def test_parts_of_a_batch_that_failed_are_as_old_as_it_was(driver):
    driver.do(WELCOME, window(0, 0), CallOpened(0), *(taken(n) for n in range(3)))
    driver.do(deliver(0))  # it failed; 1 takes the slot
    # The loader took number 5 before the parts came, and posts it after them.
    driver.do(*(BatchTaken(n, 0, 0, DIGEST, 50, instead_of=0) for n in (6, 7)), taken(5))
    sent = []
    for _ in range(5):
        driver.do(deliver(driver.session._calls[0].slot))
        sent += driver.sent()
    assert sent == [6, 7, 2, 5]


def test_parts_come_first_again_after_a_lost_connection(driver):
    driver.do(WELCOME, window(9), CallOpened(0), *(taken(n) for n in range(3)), deliver(0))
    driver.do(BatchTaken(3, 0, 0, DIGEST, 50, instead_of=0))
    driver.do(ConnectionLost("cut"), WELCOME, window(9))
    assert driver.sent() == [3, 1, 2]


def test_the_oldest_batch_of_all_calls_may_be_a_part(driver):
    driver.do(WELCOME, CallOpened(0), CallOpened(1), taken(0, call=1), deliver(0))
    driver.do(ConnectionLost("cut"), taken(1), BatchTaken(2, 1, 0, DIGEST, 50, instead_of=0), WELCOME)
    assert driver.sent() == [2, 1]


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


@pytest.mark.parametrize("command", [Refused("full", "no"), Refused("late", "no"), Goodbye()])
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


def test_an_interruption_is_void_when_the_farm_is_back(driver):
    assert Resume() in driver.do(WELCOME)
    assert Resume() in driver.do(FARM)
    assert Resume() not in driver.do(FARM)


# --- hedging -----------------------------------------------------------------------------------------------


def hedges(actions):
    return [a.command.request for a in actions if isinstance(a, Send) and isinstance(a.command, Hedge)]


@pytest.fixture
def late(driver):
    """A session with an ordered call whose answers take a second each, and that has ten more requests out."""
    driver.do(WELCOME, FARM, window(99), CallOpened(0, hedge=True))
    for request in range(FEWEST):
        driver.do(taken(request))
        driver.now += 1.0
        driver.do(deliver(request))
    driver.do(*(taken(request) for request in range(10, 20)))
    return driver


def test_the_oldest_batch_is_hedged_once_when_it_is_late_and_later_ones_were_answered(late):
    assert late.session.deadline() is None, "nothing was answered after it"
    late.now += 0.5
    late.do(deliver(12))
    assert late.session.deadline() == late.now - 0.5 + FACTOR
    late.now = late.session.deadline()
    assert hedges(late.session.expire(late.now)) == [10]
    assert late.session.deadline() is None
    late.do(deliver(10))
    assert late.session.deadline() <= late.now, "then all wait for the next, which was sent at the same time"
    assert hedges(late.session.expire(late.now)) == [11]
    assert late.session.deadline() is None, "13 waits behind nobody"
    assert hedges(late.session.expire(late.now + 60)) == []


def test_a_batch_that_has_killed_is_not_hedged(late):
    late.do(Heard(Attempt(10, 1)), deliver(11))
    assert late.session.deadline() is None


def test_a_call_in_any_order_is_not_hedged(late):
    late.do(CallOpened(1), *(taken(request, call=1) for request in (30, 31)), deliver(31))
    assert late.session.deadline() is None


def test_a_new_connection_may_hedge_again(late):
    late.do(deliver(12))
    late.now += 60
    assert hedges(late.session.expire(late.now)) == [10]
    late.do(ConnectionLost("cut"), WELCOME, FARM, window(99))
    late.now += 60
    assert hedges(late.session.expire(late.now)) == [10]


# --- shared memory -----------------------------------------------------------------------------------------


def placed(request, octets=100, frames=10):
    return BatchTaken(request, 0, request, DIGEST, octets, placed=frames)


def submits(actions):
    return [action.command for action in actions if isinstance(action, SendBatch)]


def test_what_lies_in_memory_is_said_to_once_the_broker_sees_it():
    session = make()
    session.handle(CallOpened(0), 0)
    session.handle(placed(0), 0)
    session.handle(WELCOME, 0)
    (first,) = submits(session.handle(window(9), 0))
    assert not first.placed
    session.handle(Heard(Attached(1)), 0)
    (second,) = submits(session.handle(placed(1), 0))
    assert second.placed
    (third,) = submits(session.handle(taken(2), 0))
    assert not third.placed
    session.check()
    session.handle(ConnectionLost("lost"), 1)
    session.handle(WELCOME, 1)
    assert [s.placed for s in submits(session.handle(window(9), 1))] == [False, False, False]
    session.check()


def test_it_takes_no_more_of_the_window_than_its_frames():
    session = make()
    for event in (CallOpened(0), WELCOME, window(99, octets=100), Heard(Attached(1))):
        session.handle(event, 0)
    sent = [submits(session.handle(placed(n), 0)) for n in range(12)]
    assert [len(each) for each in sent] == [1] * 11 + [0], "one in the slot and ten in the window"
    session.check()
    assert submits(session.handle(deliver(0), 1))
    session.check()
