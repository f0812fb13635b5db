"""Credit: how many batches are loaded, and when."""

import threading

import numpy as np
import pytest
from imgaug import augmenters as iaa

from augfarm.client import Client
from farms import wait_until

IMAGE = np.zeros((1, 8, 8, 3), np.uint8)


class Counted:
    """An iterable that says how many batches were taken from it."""

    def __init__(self, count):
        self.count = count
        self.taken = 0
        self.changed = threading.Condition()

    def __iter__(self):
        for _ in range(self.count):
            with self.changed:
                self.taken += 1
                self.changed.notify_all()
            yield IMAGE

    def wait_for(self, taken):
        with self.changed:
            assert self.changed.wait_for(lambda: self.taken >= taken, 30), self.taken


@pytest.mark.parametrize("method", ["imap_batches", "imap_batches_unordered"])
@pytest.mark.parametrize("buffer", [1, 5, 64])
def test_never_more_than_buffer_plus_k_are_taken_and_that_many_are(two_workers, method, buffer):
    source = Counted(buffer + 20)
    with Client(iaa.Identity(), two_workers.clients) as client:
        results = getattr(client, method)(source, buffer)
        for k in range(1, 21):
            next(results)
            # While the k-th batch is held the loader fills up to the bound and never passes it.
            assert source.taken <= buffer + k
            source.wait_for(min(buffer + k, source.count))
            assert source.taken <= buffer + k
        assert sum(1 for _ in results) == buffer
        assert source.taken == buffer + 20


def test_a_bound_that_nothing_enforced_would_be_passed(two_workers):
    """The test above can fail: with a larger buffer more are taken."""
    source = Counted(50)
    with Client(iaa.Identity(), two_workers.clients) as client:
        results = client.imap_batches(source, 40)
        next(results)
        source.wait_for(41)


def test_nothing_is_taken_before_the_first_next(two_workers):
    source = Counted(3)
    with Client(iaa.Identity(), two_workers.clients) as client:
        results = client.imap_batches(source, 2)
        assert source.taken == 0
        assert len(list(results)) == 3


def test_without_a_size_the_brokers_advice_keeps_the_farm_busy_and_bounds_an_endless_source(two_workers):
    source = Counted(10**9)
    with Client(iaa.Identity(), two_workers.clients) as client:
        results = client.imap_batches(source)
        next(results)
        slots = 2 * len(two_workers.status()["workers"])
        source.wait_for(slots)
        results.close()
        assert source.taken <= 257


def test_leaving_early_leaves_nothing_in_the_broker(two_workers):
    with Client(iaa.Identity(), two_workers.clients) as client:
        for _ in client.imap_batches(Counted(10**9), 64):
            break
        wait_until(lambda: _idle(two_workers), "the broker forgets the call")
        results = client.imap_batches(Counted(10**9), 64)
        next(results)
        del results  # dropped, not closed
        wait_until(lambda: _idle(two_workers), "the broker forgets the dropped call")
        assert len(client.map_batches([IMAGE] * 3)) == 3


def test_two_calls_at_once_and_one_unread_blocks_nothing(two_workers):
    with Client(iaa.Identity(), two_workers.clients) as client:
        unread = client.imap_batches(Counted(10**9), 8)
        next(unread)
        assert len(client.map_batches([IMAGE] * 100)) == 100
        nested = 0
        for _ in client.imap_batches(Counted(5), 2):
            nested += len(client.map_batches([IMAGE] * 4))
        assert nested == 20
        unread.close()


def _idle(farm):
    status = farm.status()
    return all(c["queued"] == c["leased"] == c["delivered"] == 0 for c in status["clients"])
