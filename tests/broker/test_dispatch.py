"""Who is next: clients in turn, workers by their leases."""

import pytest

from augfarm.broker.dispatch import Lines
from augfarm.broker.jobs import Client, Job, Worker
from augfarm.protocol import messages as m


def client():
    return Client(0, ("", b""), b"", "", 0.0)


def worker(credit=1):
    return Worker(0, ("", b""), b"", "", {}, 0.0, credit, credit)


def job(ticket, owner):
    command = m.Submit(ticket, 0, ticket, 0, "batch", bytes(32), 0)
    return Job(ticket, owner, command, (b"x",), 1, 1, False, 0, arrived=0.0)


@pytest.fixture
def lines():
    return Lines()


def take(lines):
    """The next job's ticket, leased to the next worker as the ledger does it."""
    found, worker = lines.match()
    worker.credit -= 1
    worker.leases[found.ticket] = found
    lines.enter(worker)
    return found.ticket


def test_nothing_matches_without_both(lines):
    assert lines.match() is None
    lines.enter(worker())
    assert lines.match() is None
    lines.enter(worker(credit=0))
    lines.add(job(0, client()))
    assert lines.match() is not None
    lines.add(job(1, client()))
    assert lines.match() is None


def test_clients_in_turn_and_retried_jobs_first(lines):
    first, second = client(), client()
    for ticket in (4, 5):
        lines.add(job(ticket, first))
    for ticket in (6, 7):
        lines.add(job(ticket, second))
    lines.put_back([job(2, second), job(3, second)])
    lines.enter(worker(credit=10))
    assert [take(lines) for _ in range(6)] == [4, 2, 5, 3, 6, 7]
    assert lines.queued == 0


def test_jobs_that_two_workers_gave_back_are_in_order(lines):
    owner = client()
    lines.put_back([job(2, owner), job(5, owner)])
    lines.put_back([job(1, owner), job(3, owner)])
    lines.check([owner], [])
    lines.enter(worker(credit=4))
    assert [take(lines) for _ in range(4)] == [1, 2, 3, 5]


def test_a_removed_job_is_not_dispatched(lines):
    owner = client()
    jobs = [job(ticket, owner) for ticket in range(3)]
    lines.put_back(jobs[:1])
    lines.add(jobs[1])
    lines.add(jobs[2])
    lines.remove(jobs[0])
    lines.remove(jobs[2])
    lines.check([owner], [])
    lines.enter(worker(credit=3))
    assert take(lines) == 1
    assert lines.match() is None


def test_the_fewest_leases_first_and_then_who_came_first(lines):
    owner, workers = client(), [worker(credit=3) for _ in range(3)]
    workers[1].leases[99] = job(99, owner)
    for each in workers:
        lines.enter(each)
    for ticket in range(5):
        lines.add(job(ticket, owner))
        take(lines)
    assert [list(each.leases) for each in workers] == [[0, 3], [99, 2], [1, 4]]
    lines.check([owner], workers)


def test_a_worker_that_left_gets_nothing(lines):
    gone = worker()
    lines.enter(gone)
    lines.leave(gone)
    lines.add(job(0, client()))
    assert lines.match() is None
