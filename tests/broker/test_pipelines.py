"""Whose pipelines the broker has, and which each worker holds."""

from augfarm.broker import pipelines
from augfarm.broker.jobs import Client, Worker
from augfarm.broker.pipelines import Library, lend, settle
from augfarm.protocol import limits
from augfarm.protocol import messages as m


def client():
    return Client(0, ("", b""), b"", "", 0.0)


def worker():
    return Worker(0, ("", b""), b"", "", {}, 0.0, 1, 1)


def digest(number):
    return bytes([number]) * 32


def test_a_spec_is_kept_once_and_as_long_as_one_client_is_there():
    library, clients = Library(), [client(), client()]
    for each in clients:
        assert library.add(each, digest(1), (b"spec",), 4) == ""
    assert library.octets == 4
    library.drop(clients[0])
    assert library.body(digest(1)) == (b"spec",)
    library.check([clients[1]])
    library.drop(clients[1])
    assert library.octets == 0
    library.check([])


def test_the_same_spec_twice_is_one():
    library, owner = Library(), client()
    for _ in range(100):
        assert library.add(owner, digest(1), (b"spec",), 4) == ""
    library.check([owner])


def test_each_client_and_all_together_have_a_limit(monkeypatch):
    library, owner = Library(), client()
    for number in range(limits.MAX_PIPELINES):
        assert library.add(owner, digest(number), (b"s",), 1) == ""
    assert "more than 16 pipelines" in library.add(owner, digest(99), (b"s",), 1)
    monkeypatch.setattr(pipelines, "MAX_LIBRARY_BYTES", 20)
    assert "bytes already" in library.add(client(), digest(99), (b"s",), 5)
    library.check([owner])


def test_a_worker_is_told_what_it_does_not_hold():
    holder = worker()
    assert lend(holder, digest(1), (b"1",)) == [(m.Pipeline(digest(1)), (b"1",))]
    assert lend(holder, digest(1), (b"1",)) == []


def test_it_forgets_what_was_named_longest_ago_and_is_not_at_work():
    holder = worker()
    for number in range(limits.MAX_WORKER_PIPELINES):
        lend(holder, digest(number), ())
    for number in (1, 2, 3):
        settle(holder, digest(number))
    lend(holder, digest(1), ())
    settle(holder, digest(1))
    told = [command for command, _ in lend(holder, digest(20), ())]
    assert told == [m.Forget(digest(2)), m.Pipeline(digest(20))]


def test_it_may_hold_more_while_all_are_at_work_and_forgets_them_later():
    holder = worker()
    for number in range(limits.MAX_WORKER_PIPELINES + 2):
        told = lend(holder, digest(number), ())
        assert len(told) == 1
    for number in range(5):
        settle(holder, digest(number))
    told = [command for command, _ in lend(holder, digest(20), ())]
    assert told[:-1] == [m.Forget(digest(number)) for number in range(3)]
    assert len(holder.pipelines) == limits.MAX_WORKER_PIPELINES
