"""Who is told of whose memory, and who gets frames instead."""

import pytest

from augfarm.broker.events import MemoryAttached
from augfarm.protocol import messages as m


@pytest.fixture
def client(rig):
    client = rig.client()
    client.offer()
    return client


def test_batches_may_lie_there_once_the_broker_sees_it(rig):
    client = rig.client()
    client.offer(attach=False)
    assert not client.heard(m.Attached)
    rig.handle(MemoryAttached(client.connection))
    assert client.last(m.Attached).session == client.last(m.Welcome).session
    client.submit(0, placed=True)
    assert not client.retired


def test_before_that_they_may_not(rig):
    client = rig.client()
    client.offer(attach=False)
    client.submit(0, placed=True)
    assert client.last(m.Refused).code == "unexpected"


def test_memory_is_offered_once_on_a_connection(rig, client):
    client.say(m.Offer(0, b"m" * 16, b"s" * 16))
    assert client.last(m.Refused).code == "unexpected"


def test_a_worker_is_told_before_the_first_batch_and_gets_frames_until_it_sees_the_memory(rig, client):
    worker = rig.worker(credit=4)
    client.submit(0, placed=True)
    kinds = [type(command) for command, _ in worker.inbox]
    assert kinds.index(m.Offer) < kinds.index(m.Dispatch)
    assert worker.memory_of == client.connection
    worker.say(m.Attached(worker.last(m.Offer).session))
    client.submit(1, placed=True)
    assert worker.memory_of is None, "as it is"
    client.submit(2)
    assert worker.memory_of is None, "frames are frames"
    assert len(worker.heard(m.Offer)) == 1


def test_other_workers_and_other_clients_are_others(rig, client):
    first, second = rig.worker(credit=1), rig.worker(credit=1)
    client.submit(0, placed=True)
    first.say(m.Attached(first.last(m.Offer).session))
    client.submit(1, placed=True)
    assert second.memory_of == client.connection
    other = rig.client()
    other.offer()
    first.answer(0)
    other.submit(0, placed=True)
    assert first.memory_of == other.connection
    assert len({offer.session for offer in first.heard(m.Offer)}) == 2


def test_a_worker_is_not_told_of_memory_that_the_broker_does_not_see(rig):
    client, worker = rig.client(), rig.worker()
    client.offer(attach=False)
    client.submit(0)
    assert worker.tickets
    assert not worker.heard(m.Offer)


def test_a_session_on_a_new_connection_offers_anew(rig, client):
    worker = rig.worker()
    client.submit(0, placed=True)
    worker.say(m.Attached(worker.last(m.Offer).session))
    again = rig.client(client.token)
    again.submit(1, placed=True)
    assert again.last(m.Refused).code == "unexpected", "what was on the old one is forgotten"
    again = rig.client(client.token)
    again.offer()
    again.submit(1, placed=True)
    assert len(worker.heard(m.Offer)) == 2
    assert worker.memory_of == again.connection


def test_to_see_what_a_session_offered_before_is_not_to_see_what_it_offers_now(rig, client):
    worker = rig.worker(credit=3)
    client.submit(0, placed=True)
    before = worker.last(m.Offer).session
    again = rig.client(client.token)
    again.offer()
    again.submit(1, placed=True)
    worker.say(m.Attached(before))  # it was on its way
    again.submit(2, placed=True)
    assert worker.memory_of == again.connection, "frames"
    worker.say(m.Attached(worker.last(m.Offer).session))
    worker.answer(0)
    again.submit(3, placed=True)
    assert worker.memory_of is None


def test_attached_to_nobody_is_nothing(rig, client):
    worker = rig.worker()
    worker.say(m.Attached(99))
    rig.handle(MemoryAttached(b"nobody"))
    client.submit(0, placed=True)
    assert worker.memory_of == client.connection
    assert not worker.retired


def test_results_that_nobody_reads_are_released(rig, client):
    worker = rig.worker()
    client.submit(0, placed=True)
    client.submit(1, placed=True)
    worker.answer(0)
    assert not worker.heard(m.Release), "the client says so itself"
    client.say(m.Cancel(0))
    worker.answer(1)
    assert worker.last(m.Release).ticket == 1


def test_the_slower_of_two_workers_hears_that_nobody_reads_its_result(rig, client):
    first, second = rig.worker(credit=1), rig.worker(credit=1)
    client.submit(0, placed=True)
    client.say(m.Hedge(0))
    assert first.tickets == second.tickets == [0]
    second.answer(0)
    first.answer(0)
    assert first.last(m.Release).ticket == 0
    assert not second.heard(m.Release)


def test_a_batch_of_a_worker_that_died_goes_to_the_next_with_or_without_memory(rig, client):
    first = rig.worker(credit=1)
    client.submit(0, placed=True)
    first.say(m.Attached(first.last(m.Offer).session))
    first.lose()
    second = rig.worker(credit=1)
    assert second.tickets == [0]
    assert second.memory_of == client.connection


def test_status_names_the_route(rig, client):
    worker = rig.worker()

    def route():
        return rig.core.status(rig.now)["workers"][0]["route"]

    assert route() == "relay"
    client.submit(0, placed=True)
    worker.say(m.Attached(worker.last(m.Offer).session))
    assert route() == "shm"
    client.lose()
    assert route() == "relay"
