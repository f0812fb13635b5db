"""How many batches a worker takes ahead, from a broker that sends each as soon as there is credit for it."""

from __future__ import annotations

import heapq

import pytest

from augfarm.worker.ahead import MOST_AHEAD, MOST_AHEAD_BYTES, MOST_NEAR, MOST_TRIP_S, Ahead

PIXELS = 24 * 1024


class Work:
    """A worker whose broker is `trip` seconds away, there and back, and always has batches for it."""

    def __init__(self, trip: float, octets: int = PIXELS) -> None:
        self.ahead = Ahead()
        self.trip, self.octets = trip, octets
        self.now = 100.0
        self.busy = self.idle = 0.0
        self._coming: list[float] = []
        self._open = 0
        self.ahead.connected(2, self.now)
        self._grant(2)

    def _grant(self, credit: int) -> None:
        self._open += credit
        for _ in range(credit):
            heapq.heappush(self._coming, self.now + self.trip)

    def run(self, batches: int, seconds: float) -> None:
        for _ in range(batches):
            came = heapq.heappop(self._coming)
            if came > self.now:
                self.idle += came - self.now
                self.now = came
                self.ahead.came(self.octets, self.now, alone=True)
            else:
                self.ahead.came(self.octets, self.now, alone=False)
            self.now += seconds
            self.busy += seconds
            self.ahead.finished(seconds, self.now)
            self._open -= 1
            credit = max(0, self.ahead.wanted() - self._open)
            self.ahead.granted(credit, self.now)
            self._grant(credit)

    def share_of_work(self, batches: int, seconds: float) -> float:
        self.busy = self.idle = 0.0
        self.run(batches, seconds)
        return self.busy / (self.busy + self.idle)


@pytest.mark.parametrize("seconds", [0.1, 0.04, 0.02, 0.01, 0.005, 0.002])
def test_a_worker_far_away_is_soon_never_idle(seconds: float) -> None:
    work = Work(trip=0.04)
    work.run(40, seconds)
    assert work.share_of_work(200, seconds) > 0.99


def test_two_are_enough_for_batches_that_take_longer_than_a_round_trip() -> None:
    work = Work(trip=0.04)
    work.run(50, 0.05)
    assert work.ahead.wanted() == 2


def test_a_worker_that_is_near_takes_a_few_of_small_batches_and_two_of_others() -> None:
    near = Work(trip=0.003)
    near.run(20, 0.00001)
    assert near.ahead.wanted() == MOST_NEAR
    near.run(40, 0.05)
    assert near.ahead.wanted() == 2


def test_there_is_a_most_of_it() -> None:
    work = Work(trip=MOST_TRIP_S - 0.01)
    work.run(100, 0.0001)
    assert work.ahead.wanted() == MOST_AHEAD


def test_large_batches_are_bounded_by_their_bytes() -> None:
    work = Work(trip=0.1, octets=MOST_AHEAD_BYTES // 4)
    work.run(50, 0.002)
    assert work.ahead.wanted() == 4
    work = Work(trip=0.1, octets=MOST_AHEAD_BYTES)
    work.run(50, 0.002)
    assert work.ahead.wanted() == 2, "always one at work and one that waits"


def test_a_farm_without_batches_is_not_taken_for_a_long_way() -> None:
    work = Work(trip=2 * MOST_TRIP_S)
    work.run(50, 0.01)
    assert work.ahead.wanted() == 2


def test_one_batch_that_came_late_changes_nothing() -> None:
    work = Work(trip=0.04)
    work.run(100, 0.01)
    wanted = work.ahead.wanted()
    work.trip = 0.2
    work.run(wanted + 1, 0.01)
    work.trip = 0.04
    work.run(20, 0.01)
    assert work.ahead.wanted() == wanted


def test_a_new_connection_may_lead_somewhere_else() -> None:
    work = Work(trip=0.04)
    work.run(100, 0.01)
    assert work.ahead.wanted() > 2
    work.ahead.connected(2, work.now)
    assert work.ahead.wanted() == 2
