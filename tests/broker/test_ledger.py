"""Where every batch is: the moves from place to place, and that check() sees what is wrong."""

import pytest

from augfarm.broker.jobs import Client, Worker
from augfarm.broker.ledger import Ledger
from augfarm.broker.windows import Windows
from augfarm.protocol import messages as m


class Books:
    def __init__(self):
        self.windows = Windows(octets=1000, batches=100, most_batches=10)
        self.ledger = Ledger(self.windows)
        self.client = Client(0, ("", b"c"), b"c", "", 0.0)
        self.worker = Worker(0, ("", b"w"), b"w", "", {}, 0.0, 2, 2)
        self.windows.open(self.client)
        self.ledger.lines.enter(self.worker)

    def submit(self, request, octets=100, call=0):
        command = m.Submit(request, call, request, 0, "batch", bytes(32), 0)
        return self.ledger.submit(self.client, command, (b"body",), octets, 0.0)

    def lease(self):
        job, worker = self.ledger.lines.match()
        self.ledger.lease(job, worker, 0.0)
        digest = job.command.digest
        worker.uses[digest] = worker.uses.get(digest, 0) + 1
        worker.pipelines[digest] = None
        return job

    def check(self):
        self.ledger.check([self.client], [self.worker])


@pytest.fixture
def books():
    return Books()


def test_the_whole_way(books):
    job = books.submit(1)
    assert (job.ticket, job.place, books.ledger.held) == (0, "queued", 100)
    assert books.lease() is job
    books.check()
    assert (job.place, books.client.leased) == ("leased", 1)
    assert books.ledger.unlease(books.worker, 0, 1) is job
    books.ledger.deliver(job, 300, 0.0)
    books.check()
    assert (job.place, job.body, books.ledger.held, books.worker.credit) == ("delivered", (), 300, 2)
    books.ledger.release(job)
    books.check()
    assert (job.place, books.ledger.held, books.client.calls) == ("gone", 0, {})


def test_the_first_of_each_call_is_in_its_slot(books):
    books.ledger.lines.leave(books.worker)
    books.worker.credit = 0
    jobs = [books.submit(0), books.submit(1), books.submit(2, call=5), books.submit(3, 900)]
    books.check()
    assert [job.in_slot for job in jobs] == [True, False, True, False]
    assert books.submit(4) is None, "1000 bytes are in use"
    assert books.submit(5, 10**6, call=6).in_slot
    books.ledger.release(jobs[0])
    assert books.submit(6, 10**6).in_slot
    books.check()


def test_a_leased_job_that_nobody_wants_is_an_orphan_until_it_is_answered(books):
    job = books.submit(0)
    books.lease()
    books.ledger.release(job)
    books.check()
    assert (job.place, job.body, books.ledger.held) == ("orphan", (), 0)
    books.ledger.unlease(books.worker, job.ticket, 1)
    books.check()
    assert job.place == "gone"


def test_what_a_gone_worker_had_goes_back_without_its_orphans(books):
    first, second = books.submit(0, call=0), books.submit(1, call=1)
    books.lease()
    books.lease()
    books.ledger.release(first)
    assert books.ledger.dissolve(books.worker) == [second]
    books.ledger.put_back([second])
    books.ledger.check([books.client], [])
    assert (second.place, second.body, first.place) == ("queued", (b"body",), "gone")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda books: books.worker.leases.clear(),
        lambda books: books.client.fresh.clear(),
        lambda books: books.client.requests.clear(),
        lambda books: setattr(books.ledger, "held", 1),
        lambda books: setattr(books.worker, "credit", 5),
        lambda books: books.windows.charge(books.client, 5),
        lambda books: books.worker.pipelines.clear(),
    ],
)
def test_check_sees_what_is_wrong(books, spoil):
    for request in range(3):
        books.submit(request)
    books.lease()
    books.lease()
    books.check()
    spoil(books)
    with pytest.raises(AssertionError):
        books.check()
