"""Arrays that are used again, within a budget, by one thread alone."""

import threading

import numpy as np

from augfarm.worker.kernels import buffers
from augfarm.worker.kernels.buffers import Cache, scratch


def test_the_same_arguments_give_the_same_array():
    assert scratch("a", (3, 4), np.float32) is scratch("a", (3, 4), np.float32)
    assert scratch("a", (3, 4), np.float32) is not scratch("b", (3, 4), np.float32)
    assert scratch("a", (3, 4), np.float64).dtype == np.float64


def test_another_thread_has_arrays_of_its_own():
    mine, others = scratch("a", (3, 4), np.float32), []
    thread = threading.Thread(target=lambda: others.append(scratch("a", (3, 4), np.float32)))
    thread.start()
    thread.join()
    assert others[0] is not mine


def test_the_oldest_is_dropped_beyond_the_budget(monkeypatch):
    monkeypatch.setattr(buffers, "BUDGET", 10)
    made = []
    cache = Cache(lambda n: made.append(n) or n, lambda n: n)
    for n in (4, 5, 4, 6):  # 5 is the oldest when 6 comes
        cache(n)
    assert cache(4) == 4
    cache(5)
    assert made == [4, 5, 6, 5]
    assert cache(100) == 100  # larger than the budget: kept alone
