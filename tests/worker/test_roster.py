"""The roster: what runs, what is replaced when, and how a pool ends."""

from __future__ import annotations

import signal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from augfarm.worker.roster import (
    EXIT_STILLBORN,
    LONGEST_WAIT_S,
    MOST_STILLBORN,
    Action,
    Event,
    ExitPool,
    ParentEnded,
    ProcessEnded,
    ProcessStarted,
    Roster,
    Say,
    SignalProcess,
    StartFailed,
    StartProcess,
    StopRequested,
    how_it_ended,
)
from augfarm.worker.session import EXIT_DONE, EXIT_REVOKED, EXIT_VERSION

DRAIN = 30.0


def started(processes: int = 1) -> Roster:
    """A roster whose processes run since time 0, with pids 100, 101 and so on."""
    roster = Roster(processes, DRAIN, 0.0)
    assert roster.expire(0.0) == [StartProcess(slot) for slot in range(processes)]
    for slot in range(processes):
        assert roster.handle(ProcessStarted(slot, 100 + slot), 0.0) == []
    roster.check()
    return roster


def texts(actions: list[Action]) -> str:
    return "\n".join(a.text for a in actions if isinstance(a, Say))


def test_all_slots_start_at_once() -> None:
    assert Roster(3, DRAIN, 5.0).deadline() == 5.0
    assert started(3).deadline() is None


def test_a_process_that_lived_long_is_replaced_at_once_and_its_end_is_told() -> None:
    roster = started()
    actions = roster.handle(ProcessEnded(100, -9), 7.0)
    assert texts(actions) == "worker process 100 was killed by SIGKILL; starting another"
    assert roster.expire(7.0) == [StartProcess(0)]


def test_processes_that_cannot_live_are_replaced_more_and_more_slowly() -> None:
    roster, now, waits = started(), 0.0, []
    for pid in range(101, 112):
        roster.handle(ProcessEnded(pid - 1, 1), now)
        due = roster.deadline()
        assert due is not None
        waits.append(round(due - now, 3))
        assert roster.expire(due - 0.001) == []
        assert roster.expire(due) == [StartProcess(0)]
        now = due
        roster.handle(ProcessStarted(0, pid), now)
        roster.check()
    assert waits == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]
    actions = roster.handle(ProcessEnded(111, 1), now + 5.0)
    assert texts(actions) == "worker process 111 ended with exit code 1; starting another"


def test_a_planned_end_is_replaced_at_once_however_early() -> None:
    roster = started()
    for pid in range(100, 110):
        roster.handle(ProcessEnded(pid, EXIT_DONE), 0.0)
        assert roster.expire(0.0) == [StartProcess(0)]
        roster.handle(ProcessStarted(0, pid + 1), 0.0)


def test_a_process_that_had_finished_a_batch_is_replaced_at_once_however_early() -> None:
    roster = started()
    for pid in range(100, 110):
        roster.handle(ProcessEnded(pid, -9, confirmed=False, finished=True), 0.0)
        assert roster.expire(0.0) == [StartProcess(0)]
        roster.handle(ProcessStarted(0, pid + 1), 0.0)


def test_a_pool_none_of_whose_processes_begins_to_work_gives_up_within_seconds() -> None:
    roster, now, forked = started(2), 0.0, 2
    for pid in (100, 101):
        roster.handle(ProcessEnded(pid, -11, confirmed=False, began=False), now)
    while (due := roster.deadline()) is not None:
        now = due
        for start in roster.expire(now):
            forked += 1
            roster.handle(ProcessStarted(start.slot, 1000 + forked), now)
            actions = roster.handle(ProcessEnded(1000 + forked, -11, confirmed=False, began=False), now)
            roster.check()
    assert actions[-1] == ExitPool(EXIT_STILLBORN)
    assert "killed by SIGSEGV, as all before it" in texts(actions)
    assert forked == 2 * MOST_STILLBORN
    assert now < 1.0


def test_a_pool_of_which_one_process_began_goes_on_trying() -> None:
    roster, now = started(), 0.0
    roster.handle(ProcessEnded(100, 1, began=True), now)
    for pid in range(101, 120):
        now = roster.deadline()
        roster.expire(now)
        roster.handle(ProcessStarted(0, pid), now)
        roster.handle(ProcessEnded(pid, 1, began=False), now)
    assert roster.deadline() == now + LONGEST_WAIT_S


def test_a_fork_that_fails_is_tried_again() -> None:
    roster = Roster(1, DRAIN, 0.0)
    roster.expire(0.0)
    actions = roster.handle(StartFailed(0, "no memory"), 0.0)
    assert texts(actions) == "cannot start a worker process: no memory; trying again in 0.1 s"
    assert roster.expire(0.1) == [StartProcess(0)]


@pytest.mark.parametrize("code", [EXIT_VERSION, EXIT_REVOKED])
def test_a_refusal_for_good_ends_the_pool_with_that_code(code: int) -> None:
    roster = started(2)
    actions = roster.handle(ProcessEnded(100, code), 1.0)
    assert "broker" in texts(actions)
    assert actions[1:] == [SignalProcess(101, signal.SIGTERM)]
    assert roster.handle(ProcessEnded(101, code), 1.1)[-1] == ExitPool(code)


def test_a_stop_sends_sigterm_and_exits_when_the_last_has_ended() -> None:
    roster = started(2)
    assert roster.handle(StopRequested(), 1.0) == [SignalProcess(p, signal.SIGTERM) for p in (100, 101)]
    assert roster.handle(ProcessEnded(101, EXIT_DONE), 2.0) == []
    assert roster.handle(ProcessEnded(100, EXIT_DONE), 2.0) == [ExitPool(EXIT_DONE)]


def test_a_process_that_does_not_drain_is_killed() -> None:
    roster = started(2)
    roster.handle(StopRequested(), 1.0)
    roster.handle(ProcessEnded(101, EXIT_DONE), 2.0)
    assert roster.deadline() == 31.0
    actions = roster.expire(31.0)
    assert texts(actions) == "1 worker process is still at work after 30 s: killing"
    assert actions[1:] == [SignalProcess(100, signal.SIGKILL)]
    assert roster.handle(ProcessEnded(100, -9), 31.1)[-1] == ExitPool(EXIT_DONE)


def test_a_second_stop_is_passed_on_and_a_third_kills() -> None:
    roster = started()
    roster.handle(StopRequested(), 1.0)
    assert roster.handle(StopRequested(), 1.1) == [SignalProcess(100, signal.SIGTERM)]
    assert roster.deadline() == 31.0
    assert roster.handle(StopRequested(), 1.2) == [SignalProcess(100, signal.SIGKILL)]


def test_a_stop_with_nothing_running_exits_at_once() -> None:
    assert Roster(2, DRAIN, 0.0).handle(StopRequested(), 0.0) == [ExitPool(EXIT_DONE)]


def test_without_its_parent_the_pool_kills_and_leaves_at_once() -> None:
    actions = started(2).handle(ParentEnded(), 1.0)
    assert actions == [*(SignalProcess(p, signal.SIGKILL) for p in (100, 101)), ExitPool(EXIT_DONE)]


def test_the_end_of_a_stranger_is_nothing() -> None:
    assert started().handle(ProcessEnded(999, 1), 1.0) == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended as planned"),
        (1, "ended with exit code 1"),
        (-9, "was killed by SIGKILL"),
        (-11, "was killed by SIGSEGV"),
        (-200, "was killed by signal 200"),
    ],
)
def test_an_end_in_words(code: int, words: str) -> None:
    assert how_it_ended(code, planned=code == 0) == words


class AnyOrder(RuleBasedStateMachine):
    """Processes that die of anything, forks that fail, and a pool that is stopped at any time."""

    @initialize(processes=st.integers(1, 4))
    def begin(self, processes: int) -> None:
        self.processes = processes
        self.roster = Roster(processes, DRAIN, 0.0)
        self.now = 0.0
        self.next_pid = 100
        self.to_start: list[int] = []
        self.running: set[int] = set()
        self.exited = self.stopped = self.any_began = False

    def feed(self, event: Event) -> None:
        self.perform(self.roster.handle(event, self.now))

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            assert not self.exited
            if isinstance(action, StartProcess):
                assert not self.stopped
                self.to_start.append(action.slot)
            elif isinstance(action, SignalProcess):
                assert action.pid in self.running
            elif isinstance(action, ExitPool):
                assert not self.running
                self.exited = True

    @precondition(lambda self: self.to_start)
    @rule(well=st.booleans())
    def fork(self, well: bool) -> None:
        slot = self.to_start.pop()
        if well:
            self.next_pid += 1
            self.running.add(self.next_pid)
            self.feed(ProcessStarted(slot, self.next_pid))
        else:
            self.feed(StartFailed(slot, "no memory"))

    @precondition(lambda self: self.running)
    @rule(code=st.sampled_from([0, 1, 3, -9, -11]), began=st.booleans(), data=st.data())
    def die(self, code: int, began: bool, data: st.DataObject) -> None:
        pid = data.draw(st.sampled_from(sorted(self.running)))
        self.running.discard(pid)
        self.any_began = self.any_began or began
        self.stopped = self.stopped or code == EXIT_VERSION
        self.feed(ProcessEnded(pid, code, began=began))
        if self.exited and not self.stopped:
            assert not self.any_began, "only a pool that never worked gives up"
            self.stopped = True

    @rule()
    def stop(self) -> None:
        self.stopped = True
        self.feed(StopRequested())

    @rule(seconds=st.floats(0.0, 20.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.roster.expire(self.now))

    @invariant()
    def laws(self) -> None:
        self.roster.check()
        due = 0 if self.roster.deadline() is None else 1
        if not self.stopped and len(self.running) + len(self.to_start) < self.processes:
            assert due, "a slot that nothing will fill"
        if self.stopped and not self.running and not self.to_start:
            assert self.exited, "a stopped pool that waits for nothing"


TestAnyOrder = AnyOrder.TestCase


@pytest.mark.parametrize("code", [0, 3, 4, 5])
def test_a_code_that_the_worker_did_not_confirm_means_a_crash(code: int) -> None:
    """An augmenter that calls os._exit(3) does not stop the pool."""
    roster = Roster(1, 30.0, 0.0)
    [start] = roster.expire(0.0)
    roster.handle(ProcessStarted(start.slot, 7), 0.0)
    [said] = roster.handle(ProcessEnded(7, code, confirmed=False), 0.1)
    assert said.level == "warning"
    assert f"exit code {code}" in said.text
    assert any(isinstance(action, StartProcess) for action in roster.expire(0.1))
