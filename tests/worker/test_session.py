"""The worker's session: what it answers, in which order, and what it never does."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from augfarm.protocol.messages import (
    Attached,
    Dispatch,
    Failed,
    Forget,
    Goodbye,
    Joined,
    Offer,
    Pipeline,
    Refused,
    Release,
    Result,
)
from augfarm.protocol.seeds import Seed
from augfarm.worker import session as session_module
from augfarm.worker.ahead import MOST_AHEAD, MOST_NEAR
from augfarm.worker.events import (
    Action,
    AttachMemory,
    Augment,
    BatchAugmented,
    BatchFailed,
    CommandArrived,
    ConnectionEnded,
    Event,
    Exit,
    ForgetAllPipelines,
    ForgetMemory,
    ForgetPipeline,
    GarbageArrived,
    InboxEmptied,
    LoadPipeline,
    MemoryAttached,
    Reconnect,
    ReleaseResult,
    RenewToken,
    Say,
    SayWaiting,
    Send,
    StopRequested,
)
from augfarm.worker.session import EXIT_DONE, EXIT_REVOKED, EXIT_VERSION, Session

DIGEST = b"d" * 32


def dispatch(ticket: int, *, seeding: str = "batch") -> CommandArrived:
    return CommandArrived(Dispatch(ticket, 100 + ticket, 7, seeding, DIGEST), [b"body"])  # type: ignore[arg-type]


class Driver:
    """A session that is checked after every step, with the actions that are not words to the operator."""

    def __init__(self, *, max_tasks: int | None = None) -> None:
        self.session = Session(now=0.0, max_tasks=max_tasks)
        self.now = 0.0
        self.said: list[Say] = []

    def feed(self, *events: Event) -> list[Action]:
        actions: list[Action] = []
        for event in events:
            actions += self.session.handle(event, self.now)
            self.session.check()
        return self._sift(actions)

    def expire(self, now: float) -> list[Action]:
        self.now = now
        actions = self.session.expire(now)
        self.session.check()
        return self._sift(actions)

    def _sift(self, actions: list[Action]) -> list[Action]:
        self.said += [a for a in actions if isinstance(a, Say)]
        return [a for a in actions if not isinstance(a, Say)]


JOINED = CommandArrived(Joined("broker", 5, 1000))


@pytest.fixture
def joined() -> Driver:
    driver = Driver()
    assert driver.feed(JOINED) == []
    return driver


# --- work --------------------------------------------------------------------------------------------------


def test_a_batch_begins_when_the_inbox_is_empty_and_its_result_grants_the_next(joined: Driver) -> None:
    assert joined.feed(dispatch(1)) == []
    (work,) = joined.feed(InboxEmptied())
    assert work == Augment(1, DIGEST, Seed("batch", 7, 101, 0), [b"body"], 1000)
    assert joined.feed(BatchAugmented(1, [b"out"], 0.5)) == [Send(Result(1, 1, 0.5), [b"out"])]


def credit_after(driver: Driver, ticket: int, seconds: float) -> int:
    driver.feed(dispatch(ticket), InboxEmptied())
    (answer,) = driver.feed(BatchAugmented(ticket, [], seconds))
    assert isinstance(answer, Send)
    assert isinstance(answer.command, Result)
    return answer.command.credit


def test_more_are_taken_ahead_where_batches_are_done_at_once(joined: Driver) -> None:
    assert credit_after(joined, 1, 0.0001) == MOST_NEAR - 1, "it had granted two, and one is done"
    assert credit_after(joined, 2, 0.0001) == 1


def test_a_slow_batch_makes_it_take_two_again(joined: Driver) -> None:
    ahead = credit_after(joined, 1, 0.0001) + 1
    for ticket in range(2, ahead + 1):
        assert credit_after(joined, ticket, 1.0) == (0 if ticket < ahead else 1)
    assert credit_after(joined, ahead + 1, 1.0) == 1


def test_the_worker_id_seeds_the_batch_only_where_the_seeding_says_so(joined: Driver) -> None:
    (work,) = joined.feed(dispatch(1, seeding="worker"), InboxEmptied())
    assert isinstance(work, Augment)
    assert work.seed == Seed("worker", 7, 101, 5)


def test_a_failure_is_an_answer_and_the_next_batch_begins(joined: Driver) -> None:
    joined.feed(dispatch(1), dispatch(2), InboxEmptied())
    answer = joined.feed(BatchFailed(1, "raised", "ValueError", "no", "Traceback ..."))
    assert answer == [Send(Failed(1, 1, "raised", "ValueError", "no", "Traceback ..."))]
    (work,) = joined.feed(InboxEmptied())
    assert isinstance(work, Augment)
    assert work.ticket == 2


def test_a_forget_does_not_overtake_the_batch_that_came_before_it(joined: Driver) -> None:
    joined.feed(CommandArrived(Pipeline(DIGEST), [b"spec"]), dispatch(1), dispatch(2))
    joined.feed(CommandArrived(Forget(DIGEST)))
    actions = joined.feed(InboxEmptied())
    assert [type(a) for a in actions] == [LoadPipeline, Augment]
    joined.feed(BatchAugmented(1, [], 0.0))
    assert [type(a) for a in joined.feed(InboxEmptied())] == [Augment]
    joined.feed(BatchAugmented(2, [], 0.0))
    assert joined.feed(InboxEmptied()) == [ForgetPipeline(DIGEST)]


# --- connections -------------------------------------------------------------------------------------------


def test_a_new_connection_begins_clean(joined: Driver) -> None:
    joined.feed(dispatch(1))
    assert joined.feed(ConnectionEnded("lost")) == [ForgetAllPipelines(), ForgetMemory()]
    assert joined.feed(JOINED, InboxEmptied()) == []


def test_a_result_that_is_ready_after_its_connection_ended_is_thrown_away(joined: Driver) -> None:
    joined.feed(dispatch(1), InboxEmptied(), ConnectionEnded("lost"), JOINED)
    assert joined.feed(BatchAugmented(1, [b"late"], 0.1)) == []
    joined.feed(dispatch(2), dispatch(3))
    (work,) = joined.feed(InboxEmptied())
    assert isinstance(work, Augment)
    assert work.ticket == 2


def test_waiting_for_a_broker_is_said_after_3_s_and_then_every_10_s() -> None:
    driver = Driver()
    assert driver.session.deadline() == 3.0
    driver.feed(ConnectionEnded("nothing answers there"))
    assert driver.expire(2.9) == []
    assert driver.expire(3.0) == [SayWaiting(3.0, "nothing answers there")]
    assert driver.session.deadline() == 13.0
    assert driver.expire(12.9) == []
    assert driver.expire(13.5) == [SayWaiting(13.5, "nothing answers there")]
    driver.feed(JOINED)
    assert driver.session.deadline() is None


@pytest.mark.parametrize("what", ["no credit", "before joined", "joined twice", "garbage"])
def test_a_broker_that_breaks_a_promise_is_joined_anew(what: str) -> None:
    driver = Driver()
    events: list[Event] = {
        "no credit": [JOINED, dispatch(1), dispatch(2), dispatch(3)],
        "before joined": [dispatch(1)],
        "joined twice": [JOINED, JOINED],
        "garbage": [JOINED, GarbageArrived("not msgpack")],
    }[what]
    assert driver.feed(*events) == [ForgetAllPipelines(), ForgetMemory()]
    assert [said.level for said in driver.said][-1] == "warning"
    assert driver.feed(dispatch(9), InboxEmptied()) == []
    (again,) = driver.expire(session_module.REFUSED_WAIT_S)
    assert isinstance(again, Reconnect)
    driver.feed(ConnectionEnded("thrown away"), JOINED, dispatch(4))
    assert [type(a) for a in driver.feed(InboxEmptied())] == [Augment]


@pytest.mark.parametrize(("code", "exit_code"), [("version", EXIT_VERSION), ("revoked", EXIT_REVOKED)])
def test_a_worker_refused_for_good_exits_with_a_code_of_its_own(code: str, exit_code: int) -> None:
    driver = Driver()
    assert driver.feed(CommandArrived(Refused(code, "we speak 2"))) == [Exit(exit_code)]
    assert "we speak 2" in driver.said[0].text
    assert driver.said[0].level == "error"


@pytest.mark.parametrize("code", ["replaced", "full", "unexpected", "malformed", "credit"])
def test_a_worker_refused_for_now_joins_again_with_another_token(joined: Driver, code: str) -> None:
    assert joined.feed(CommandArrived(Refused(code, "no"))) == [
        RenewToken(),
        ForgetAllPipelines(),
        ForgetMemory(),
    ]
    assert joined.session.deadline() == session_module.REFUSED_WAIT_S
    assert [type(a) for a in joined.expire(session_module.REFUSED_WAIT_S)] == [Reconnect]
    assert joined.expire(1.5) == []


def test_memory_is_attached_to_and_said_so(joined: Driver) -> None:
    offer = CommandArrived(Offer(3, b"n" * 16, b"s" * 16))
    assert joined.feed(offer) == [AttachMemory(3, b"n" * 16, b"s" * 16)]
    assert joined.feed(MemoryAttached(3)) == [Send(Attached(3))]
    assert joined.feed(CommandArrived(Release(7))) == [ReleaseResult(7)]
    joined.feed(ConnectionEnded("lost"))
    assert joined.feed(MemoryAttached(3)) == [], "the next broker tells of its own"


def test_a_broker_that_leaves_is_waited_for(joined: Driver) -> None:
    joined.feed(dispatch(1))
    assert joined.feed(CommandArrived(Goodbye())) == [ForgetAllPipelines(), ForgetMemory()]
    assert [type(a) for a in joined.expire(1.0)] == [Reconnect]


# --- the end -----------------------------------------------------------------------------------------------


def test_a_stop_lets_the_batch_at_work_finish_and_gives_the_rest_back(joined: Driver) -> None:
    joined.feed(dispatch(1), dispatch(2), InboxEmptied())
    assert joined.feed(StopRequested()) == []
    actions = joined.feed(BatchAugmented(1, [b"out"], 0.1))
    assert actions == [Send(Result(1, 0, 0.1), [b"out"]), Send(Goodbye())]
    assert joined.feed(InboxEmptied()) == []
    assert joined.feed(CommandArrived(Goodbye())) == [Exit(EXIT_DONE)]


def test_a_stop_with_nothing_at_work_says_goodbye_before_a_waiting_batch_begins(joined: Driver) -> None:
    joined.feed(dispatch(1))
    assert joined.feed(StopRequested(), InboxEmptied()) == [Send(Goodbye())]
    assert joined.feed(dispatch(2), InboxEmptied()) == []
    assert joined.feed(ConnectionEnded("lost")) == [Exit(EXIT_DONE)]


def test_goodbye_is_awaited_for_a_bounded_time(joined: Driver) -> None:
    joined.feed(StopRequested())
    deadline = joined.session.deadline()
    assert deadline == session_module.GOODBYE_TIMEOUT_S
    assert joined.expire(deadline - 0.1) == []
    assert joined.expire(deadline) == [Exit(EXIT_DONE)]


def test_a_worker_without_a_broker_stops_at_once() -> None:
    assert Driver().feed(StopRequested()) == [Send(Goodbye()), Exit(EXIT_DONE)]


def test_a_second_stop_ends_it_at_once(joined: Driver) -> None:
    joined.feed(dispatch(1), InboxEmptied(), StopRequested())
    assert joined.feed(StopRequested()) == [Send(Goodbye()), Exit(EXIT_DONE)]
    assert joined.feed(BatchAugmented(1, [], 0.0), InboxEmptied()) == []


def test_a_worker_with_a_limit_of_tasks_grants_no_more_than_it_will_do() -> None:
    driver = Driver(max_tasks=3)
    assert driver.session.join_credit() == 2
    driver.feed(JOINED, dispatch(1), dispatch(2), InboxEmptied())
    assert driver.feed(BatchAugmented(1, [], 0.0)) == [Send(Result(1, 1, 0.0), [])]
    driver.feed(dispatch(3), InboxEmptied())
    assert driver.feed(BatchAugmented(2, [], 0.0)) == [Send(Result(2, 0, 0.0), [])]
    driver.feed(InboxEmptied())
    assert driver.feed(BatchAugmented(3, [], 0.0)) == [Send(Result(3, 0, 0.0), []), Send(Goodbye())]
    assert Driver(max_tasks=1).session.join_credit() == 1


# --- any order of anything ---------------------------------------------------------------------------------


class AnyOrder(RuleBasedStateMachine):
    """A broker that keeps its promises, a connection that breaks, and a worker stopped at any time."""

    @initialize(max_tasks=st.none() | st.integers(1, 6))
    def begin(self, max_tasks: int | None) -> None:
        self.max_tasks = max_tasks
        self.driver = Driver(max_tasks=max_tasks)
        self.joined = False
        self.credit = 0
        self.next_ticket = 1
        self.open: list[int] = []  # dispatched on this connection and not answered, in order
        self.work: Augment | None = None
        self.begun = 0
        self.stopped = self.left = self.ended = False

    def feed(self, event: Event) -> None:
        was_ended = self.ended
        for action in self.driver.feed(event):
            assert not was_ended, "asked for something after Exit"
            self.perform(action)

    def perform(self, action: Action) -> None:
        if isinstance(action, Augment):
            assert self.work is None, "two batches at work"
            assert not self.stopped, "a batch begun after a stop"
            assert action.ticket in self.open
            self.work = action
            self.begun += 1
        elif isinstance(action, Send) and isinstance(action.command, (Result, Failed)):
            assert self.joined
            assert self.open.pop(0) == action.command.ticket, "answers in the order of dispatch, once each"
            self.credit += action.command.credit
        elif isinstance(action, Send) and isinstance(action.command, Goodbye):
            assert not self.left
            self.left = True
            self.open.clear()
        elif isinstance(action, Exit):
            self.ended = True

    @precondition(lambda self: not self.joined and not self.ended)
    @rule()
    def join(self) -> None:
        self.joined, self.credit = True, self.driver.session.join_credit()
        self.feed(CommandArrived(Joined("broker", 0, 1000)))

    @precondition(lambda self: self.joined and self.credit and not self.left)
    @rule()
    def dispatch(self) -> None:
        self.credit -= 1
        self.open.append(self.next_ticket)
        self.next_ticket += 1
        self.feed(dispatch(self.next_ticket - 1))

    @precondition(lambda self: self.joined and not self.left)
    @rule(command=st.sampled_from([Pipeline(DIGEST), Forget(DIGEST)]))
    def pipeline(self, command: Pipeline | Forget) -> None:
        self.feed(CommandArrived(command, [b"spec"]))

    @rule()
    def empty(self) -> None:
        self.feed(InboxEmptied())
        if self.joined and self.open and not self.left and not self.ended:
            assert self.work is not None, "a batch waits beside an idle worker"

    @precondition(lambda self: self.work is not None and not self.ended)
    @rule(well=st.booleans(), seconds=st.sampled_from([0.0, 0.001, 0.5]))
    def finish(self, well: bool, seconds: float) -> None:
        assert self.work is not None
        ticket, self.work = self.work.ticket, None
        self.feed(
            BatchAugmented(ticket, [], seconds)
            if well
            else BatchFailed(ticket, "raised", "E", "text", "trace")
        )

    @rule()
    def lose(self) -> None:
        self.joined, self.credit = False, 0
        self.open.clear()
        self.feed(ConnectionEnded("lost"))

    @precondition(lambda self: self.left)
    @rule()
    def say_goodbye(self) -> None:
        self.feed(CommandArrived(Goodbye()))
        assert self.ended

    @rule(now=st.integers(0, 9))
    def stop(self, now: int) -> None:
        if now:  # seldom, or no run would become long
            return
        self.stopped = True
        self.feed(StopRequested())

    @rule(seconds=st.floats(0.0, 20.0))
    def wait(self, seconds: float) -> None:
        for action in self.driver.expire(self.driver.now + seconds):
            self.perform(action)

    @invariant()
    def laws(self) -> None:
        session = self.driver.session
        session.check()
        assert (session.state == "ended") == self.ended
        assert self.credit + len(self.open) <= MOST_AHEAD
        if self.max_tasks is not None:
            assert self.begun <= self.max_tasks
        if not self.ended and session.state != "joined":
            assert session.deadline() is not None, "an idle wait without an end"


TestAnyOrder = AnyOrder.TestCase
