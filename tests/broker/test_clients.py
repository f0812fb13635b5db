"""What each command of a client does."""

import hashlib

import pytest

from augfarm.broker.events import KeysRead
from augfarm.protocol import limits
from augfarm.protocol import messages as m


def test_a_batch_goes_out_and_its_result_comes_back(rig):
    worker = rig.worker()
    client = rig.client()
    client.submit(7, 300, call=2, index=9)
    dispatch = worker.last(m.Dispatch)
    assert (dispatch.index, dispatch.base_seed, dispatch.seeding, dispatch.digest) == (
        9,
        1,
        "batch",
        rig.DIGEST,
    )
    assert worker.body_of_last(m.Dispatch) == (b"x" * 300,)
    worker.answer(dispatch.ticket, 50)
    deliver = client.last(m.Deliver)
    assert (deliver.request, deliver.worker_id, deliver.attempts) == (7, 0, 0)
    assert client.body_of_last(m.Deliver) == (b"y" * 50,)
    client.receive(7)
    assert rig.core.status(rig.now)["memory"]["held"] == len(rig.SPEC)


def test_a_result_keeps_its_place_in_the_window_until_it_is_received(rig):
    rig.start(max_open_batches=1)
    worker, client = rig.worker(credit=3), rig.client()
    client.submit(0)
    client.submit(1)
    worker.answer(worker.tickets[1])
    client.submit(2)
    assert client.last(m.Refused).code == "window"


def test_received_makes_room(rig):
    rig.start(max_open_batches=1)
    worker, client = rig.worker(credit=3), rig.client()
    client.submit(0)
    client.submit(1)
    worker.answer(worker.tickets[1])
    client.receive(1)
    client.submit(2)
    assert len(worker.tickets) == 3


def test_each_call_has_a_slot_for_a_batch_of_any_size(rig):
    client = rig.client()
    client.submit(0, 20_000, call=0)
    client.submit(1, 20_000, call=1)
    client.submit(2, 9_000, call=1)
    assert not client.retired
    client.submit(3, 1_001, call=0)
    assert client.last(m.Refused).code == "window"
    assert rig.core.status(rig.now)["queued"] == 0


def test_a_slot_is_free_again_when_its_batch_is_received(rig):
    worker, client = rig.worker(credit=9), rig.client()
    client.submit(0, 20_000)
    client.submit(1, 9_000)
    worker.answer(worker.tickets[0])
    client.receive(0)
    client.submit(2, 20_000)
    assert not client.retired


def test_cancel_forgets_a_call_wherever_its_batches_are(rig):
    worker, client = rig.worker(credit=2), rig.client()
    for request in range(4):
        client.submit(request, call=1)
    client.submit(9, call=2)
    worker.answer(worker.tickets[0], credit=0)
    client.say(m.Cancel(1))
    [state] = rig.core.status(rig.now)["clients"]
    assert (state["calls"], state["queued"], state["leased"], state["delivered"]) == (2, 1, 0, 1)
    assert client.last(m.Cancelled).call == 1
    worker.answer(worker.tickets[1])
    assert [d.request for d in client.heard(m.Deliver)] == [0], "the answer to an orphan is dropped"
    assert worker.last(m.Dispatch).index == 9


def test_a_client_that_cancels_and_does_not_read_gets_no_more_room(rig):
    """Its answers lie in the broker's queue for its connection: they stay charged until it says RECEIVED."""
    rig.start(max_open_batches=1)
    worker, client = rig.worker(credit=3), rig.client()
    client.submit(0, call=1)
    client.submit(1, call=1)
    for ticket in list(worker.tickets):
        worker.answer(ticket, 5_000)
    client.say(m.Cancel(1))
    assert rig.core.status(rig.now)["memory"]["held"] == 10_000 + len(rig.SPEC)
    client.receive(0)
    client.receive(1)
    assert rig.core.status(rig.now)["memory"]["held"] == len(rig.SPEC)
    assert rig.core.status(rig.now)["clients"][0]["calls"] == 0


def test_receipts_cannot_be_guessed(rig):
    receipts = set()
    for secret in (b"one", b"two"):
        rig.start(secret=secret)
        worker, client = rig.worker(), rig.client()
        client.submit(0)
        worker.answer(worker.tickets[0])
        receipts.add(client.last(m.Deliver).receipt)
    assert len(receipts) == 2


def test_clients_are_served_in_turn_and_each_oldest_first(rig):
    first, second = rig.client(), rig.client()
    rig.pass_time(1)
    for client in (first, second):
        for window in client.heard(m.Window)[1:]:
            client.say(m.Adjusted(window.serial))
    rig.pass_time(1)
    for window in second.heard(m.Window)[2:]:
        second.say(m.Adjusted(window.serial))
    for request in range(3):
        first.submit(request, index=request)
    for request in range(3):
        second.submit(request, index=10 + request)
    worker = rig.worker(credit=6)
    assert [d.index for d in worker.heard(m.Dispatch)] == [0, 10, 1, 11, 2, 12]


def test_a_batch_that_has_killed_too_many_fails_when_it_is_submitted(rig):
    worker, client = rig.worker(), rig.client()
    client.submit(4, attempts=3)
    fail = client.last(m.Fail)
    assert (fail.request, fail.kind, fail.attempts) == (4, "poisoned", 3)
    assert worker.tickets == []
    client.receive(4)
    assert rig.core.status(rig.now)["clients"][0]["delivered"] == 0


def test_a_client_that_is_gone_leaves_nothing(rig):
    worker, client = rig.worker(credit=1), rig.client()
    client.submit(0)
    client.submit(1)
    client.lose()
    status = rig.core.status(rig.now)
    assert (status["queued"], status["memory"]["held"], status["clients"]) == (0, 0, [])
    worker.answer(worker.tickets[0])
    assert rig.core.status(rig.now)["workers"][0]["leases"] == 0


def test_a_goodbye_drops_everything_and_is_answered(rig):
    client = rig.client()
    client.submit(0)
    client.say(m.Goodbye())
    assert client.last(m.Goodbye)
    assert client.retired
    assert rig.core.status(rig.now)["memory"]["held"] == 0


def test_a_client_that_comes_back_begins_with_nothing(rig):
    worker, old = rig.worker(credit=1), rig.client(token=b"t" * 16)
    old.submit(0)
    old.submit(1)
    new = rig.client(token=b"t" * 16)
    assert old.last(m.Refused).code == "replaced"
    assert new.last(m.Welcome).session == old.last(m.Welcome).session
    old.submit(5)  # the old connection is silent
    new.submit(0)
    worker.answer(worker.tickets[0])  # the answer to the old connection's batch
    assert new.heard(m.Deliver) == []
    worker.answer(worker.tickets[1])
    assert [d.request for d in new.heard(m.Deliver)] == [0]
    assert old.heard(m.Deliver) == []


def test_what_a_client_may_not_have_read_is_told_with_its_last_word(rig):
    client, worker = rig.client(), rig.worker()
    for request in range(3):
        client.submit(request)
    worker.answer(worker.tickets[0], octets=500)
    worker.answer(worker.tickets[1], octets=300)
    client.receive(0)
    rig.client(client.token)
    assert (client.retired, rig.unread) == (True, 300)


def test_a_token_under_another_key_is_another_session(rig):
    old = rig.client(token=b"t" * 16, user_id="ann")
    new = rig.client(token=b"t" * 16, user_id="bob")
    assert not old.retired
    assert new.last(m.Welcome).session != old.last(m.Welcome).session


def test_a_revoked_key_ends_its_sessions_and_no_others(rig):
    ann, bob, worker = rig.client(user_id="ann"), rig.client(user_id="bob"), rig.worker(user_id="carl")
    rig.handle(KeysRead("client", frozenset({"ann", ""})))
    assert bob.last(m.Refused).code == "revoked"
    assert bob.retired
    assert not ann.retired
    assert not worker.retired
    rig.handle(KeysRead("worker", frozenset({""})))
    assert worker.last(m.Refused).code == "revoked"


@pytest.mark.parametrize("command", [m.Hello(limits.PROTOCOL_VERSION, b"t" * 16, "late"), m.Status()])
def test_a_connection_whose_key_was_revoked_since_opens_nothing_and_sees_nothing(rig, command):
    rig.handle(KeysRead("client", frozenset({"ann", ""})))
    bob = rig.stranger("client")
    bob.say(command, user_id="bob")
    rig.pass_time(1.0)
    assert [type(heard) for heard, _ in bob.inbox] == [m.Refused]
    assert bob.last(m.Refused).code == "revoked"
    assert bob.retired


def test_a_key_that_was_added_is_admitted_from_then_on(rig):
    rig.handle(KeysRead("client", frozenset({"ann", ""})))
    assert not rig.core.admits("client", "bob")
    assert rig.core.admits("worker", "bob"), "nothing was said about that side"
    rig.handle(KeysRead("client", frozenset({"ann", "bob", ""})))
    assert rig.client(user_id="bob").heard(m.Welcome)


def test_the_window_is_told_again_only_when_the_shares_change(rig):
    client, worker = rig.client(), rig.worker(credit=64)
    assert client.heard(m.Window) == [m.Window(1, limits.MAX_OPEN_BATCHES, 10_000)]
    for request in range(50):
        client.submit(request)
        worker.answer(worker.tickets[-1])
        client.receive(request)
        rig.pass_time(0.2)
    assert len(client.heard(m.Window)) == 1
    rig.client()
    rig.pass_time(0.2)
    assert client.last(m.Window).octets == 5_000


@pytest.mark.parametrize(
    ("command", "body", "code"),
    [
        (m.Submit(0, 0, 0, 0, "batch", b"?" * 32, 0), b"x", "unexpected"),
        (m.Hello(limits.PROTOCOL_VERSION, b"u" * 16, ""), None, "unexpected"),
        (m.Pipeline(b"?" * 32), b"another spec", "malformed"),
        (m.Pipeline(b"?" * 32), b"x" * (limits.MAX_SPEC_BYTES + 1), "malformed"),
    ],
)
def test_what_the_state_does_not_allow_is_refused_by_name(rig, command, body, code):
    client = rig.client()
    client.say(command, *([] if body is None else [body]))
    assert client.last(m.Refused).code == code
    assert client.retired
    assert rig.core.status(rig.now)["clients"] == []


def test_a_request_number_that_is_open_is_refused(rig):
    client = rig.client()
    client.submit(0)
    client.submit(0)
    assert client.last(m.Refused).code == "unexpected"


def test_calls_have_a_limit(rig):
    client = rig.client()
    for call in range(limits.MAX_CALLS):
        client.submit(call, call=call)
    assert not client.retired
    client.submit(100, call=100)
    assert client.last(m.Refused).code == "credit"


def test_pipelines_have_a_limit(rig):
    client = rig.client()
    for number in range(limits.MAX_PIPELINES - 1):
        spec = b"%d" % number
        client.say(m.Pipeline(hashlib.sha256(spec).digest()), spec)
    client.say(m.Pipeline(rig.DIGEST), rig.SPEC)  # again: not one more
    assert not client.retired
    client.say(m.Pipeline(hashlib.sha256(b"x").digest()), b"x")
    assert client.last(m.Refused).code == "credit"


def test_commands_that_come_too_late_are_forgiven_a_few_times(rig):
    client = rig.client()
    for _ in range(9):
        client.say(m.Received((5,)))
    assert not client.retired
    client.say(m.Adjusted(77))
    assert client.last(m.Refused).code == "unexpected"
    assert rig.core.status(rig.now)["totals"]["strays"] == 10


def test_an_answer_that_was_not_given_cannot_be_received(rig):
    client = rig.client()
    client.submit(0)
    client.say(m.Received((0,)))
    assert rig.core.status(rig.now)["queued"] == 1
