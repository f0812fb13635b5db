"""Freed memory goes back to the system."""

import pytest

from augfarm.broker.heap import IDLE_S, IDLE_TRIM_BYTES, TRIM_BYTES, TRIM_PAUSE_S, Heap


@pytest.fixture
def heap():
    heap = Heap()
    heap.trims = []
    heap._trim = heap.trims.append
    return heap


def test_it_gives_back_after_much_has_come_in_and_not_too_often(heap):
    heap.came_in(TRIM_BYTES - 1, 1.0)
    heap.give_back(1.0)
    assert not heap.trims
    heap.came_in(1, 1.0)
    heap.give_back(1.0)
    assert heap.trims == [0]
    heap.came_in(TRIM_BYTES, 2.9)
    assert heap.deadline() == 1.0 + TRIM_PAUSE_S
    heap.give_back(2.9)
    assert heap.trims == [0]
    heap.give_back(1.0 + TRIM_PAUSE_S)
    assert heap.trims == [0, 0]


def test_it_gives_back_when_no_more_comes_in(heap):
    heap.came_in(IDLE_TRIM_BYTES, 1.0)
    heap.came_in(10, 1.5)
    heap.came_in(0, 1.9)  # a command without a body
    assert heap.deadline() == 1.5 + IDLE_S
    heap.give_back(1.5 + IDLE_S - 0.01)
    assert not heap.trims
    heap.give_back(1.5 + IDLE_S)
    assert heap.trims == [0]
    assert heap.deadline() is None


def test_little_is_not_worth_it(heap):
    heap.came_in(IDLE_TRIM_BYTES - 1, 1.0)
    assert heap.deadline() is None


def test_where_the_library_has_no_such_thing_nothing_happens():
    heap = Heap()
    heap._trim = None
    heap.came_in(TRIM_BYTES, 1.0)
    assert heap.deadline() is None
    heap.give_back(1.0)
