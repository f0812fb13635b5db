"""Freed memory goes back to the system."""

from augfarm.broker.heap import TRIM_BYTES, TRIM_PAUSE_S, Heap


def test_it_gives_back_after_much_has_come_in_and_not_too_often():
    heap, trims = Heap(), []
    heap._trim = trims.append
    heap.came_in(TRIM_BYTES - 1)
    assert heap.deadline() is None
    heap.give_back(1.0)
    assert not trims
    heap.came_in(1)
    heap.give_back(1.0)
    assert trims == [0]
    heap.came_in(TRIM_BYTES)
    assert heap.deadline() == 1.0 + TRIM_PAUSE_S
    heap.give_back(1.5)
    assert trims == [0]
    heap.give_back(1.0 + TRIM_PAUSE_S)
    assert trims == [0, 0]


def test_where_the_library_has_no_such_thing_nothing_happens():
    heap = Heap()
    heap._trim = None
    heap.came_in(TRIM_BYTES)
    assert heap.deadline() is None
    heap.give_back(1.0)
