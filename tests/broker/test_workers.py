"""What each command of a worker does, and what its end does."""

import hashlib

import pytest

from augfarm.protocol import limits
from augfarm.protocol import messages as m


def submit_many(client, count, **options):
    for request in range(count):
        client.submit(request, **options)


def test_worker_ids_count_up_and_are_not_reused(rig):
    first, second = rig.worker(), rig.worker()
    first.say(m.Goodbye())
    second.lose()
    third = rig.worker()
    assert [w.last(m.Joined).worker_id for w in (first, second, third)] == [0, 1, 2]


def test_a_worker_gets_as_many_batches_as_it_takes(rig):
    client = rig.client()
    submit_many(client, 5)
    worker = rig.worker(credit=2)
    assert len(worker.tickets) == 2
    worker.say(m.Credit(1))
    assert len(worker.tickets) == 3
    worker.answer(worker.tickets[0], credit=2)
    assert len(worker.tickets) == 5


def test_the_worker_with_the_fewest_leases_is_next(rig):
    busy, idle = rig.worker(credit=4), rig.worker(credit=4)
    client = rig.client()
    submit_many(client, 4)
    assert (len(busy.tickets), len(idle.tickets)) == (2, 2)
    busy.answer(busy.tickets[0])
    busy.answer(busy.tickets[1])
    client.submit(10)
    client.submit(11)
    assert (len(busy.tickets), len(idle.tickets)) == (4, 2)


def test_the_pipeline_comes_before_the_first_batch_that_names_it_and_only_once(rig):
    worker, client = rig.worker(), rig.client()
    submit_many(client, 2)
    kinds = [type(command) for command, _ in worker.inbox]
    assert kinds == [m.Joined, m.Pipeline, m.Dispatch, m.Dispatch]
    assert worker.body_of_last(m.Pipeline) == (rig.SPEC,)


def test_a_worker_forgets_the_pipeline_that_was_named_longest_ago_and_none_that_it_needs(rig):
    worker, client = rig.worker(credit=limits.MAX_WORKER_CREDIT), rig.client()
    specs = [b"spec %d" % n for n in range(limits.MAX_WORKER_PIPELINES + 1)]
    digests = [hashlib.sha256(spec).digest() for spec in specs]
    for spec, digest in zip(specs, digests, strict=True):
        client.say(m.Pipeline(digest), spec)
    for number, digest in enumerate(digests[:-1]):
        client.submit(number, digest=digest)
    for ticket in worker.tickets[1:]:
        worker.answer(ticket)
    client.submit(20, digest=digests[-1])
    assert [f.digest for f in worker.heard(m.Forget)] == [digests[1]]
    for number, digest in enumerate(digests[2:]):  # all that it holds is at work
        client.submit(30 + number, digest=digest)
    client.submit(40, digest=digests[1])
    assert len(worker.heard(m.Forget)) == 1
    assert worker.body_of_last(m.Pipeline) == (specs[1],)


def test_a_failure_reaches_the_client_with_its_words(rig):
    worker, client = rig.worker(), rig.client()
    client.submit(3)
    worker.fail(worker.tickets[0], "raised")
    expected = m.Fail(3, client.last(m.Fail).receipt, 0, 0, "raised", "ValueError", "no", "Traceback")
    assert client.last(m.Fail) == expected
    client.receive(3)
    assert rig.core.status(rig.now)["totals"]["failed"] == 1


def test_the_longest_failure_still_fits_its_frame(rig):
    worker, client = rig.worker(), rig.client()
    client.submit(3)
    text = "é" * limits.MAX_TEXT_LENGTH
    failed = m.Failed(worker.tickets[0], 1, "raised", "E", text, "x" * limits.MAX_TRACEBACK_LENGTH)
    worker.say(failed)
    worker.say(m.Failed(99, 1, "raised", "E", text, ""))
    client.submit(4)
    text = "\N{GRINNING FACE}" * 57_000 + "x" * 5_000
    worker.say(m.Failed(worker.tickets[1], 1, "raised", "E", text, "x" * 30_000))
    assert len(m.encode(client.last(m.Fail))) <= limits.MAX_COMMAND_BYTES


def test_a_result_beyond_the_limit_is_a_failure(rig):
    class Huge(bytes):
        def __len__(self):
            return limits.MAX_BATCH_BYTES * 2

    worker, client = rig.worker(), rig.client()
    client.submit(0)
    worker.say(m.Result(worker.tickets[0], 1, 0.0), Huge())
    assert client.last(m.Fail).kind == "too-large"
    assert client.heard(m.Deliver) == []


def test_seconds_queued_are_those_before_its_turn(rig):
    worker, client = rig.worker(credit=2), rig.client()
    submit_many(client, 3)
    rig.now += 5
    worker.answer(worker.tickets[0], seconds=4.5)
    rig.now += 2
    worker.answer(worker.tickets[1])
    rig.now += 1
    worker.answer(worker.tickets[2])
    assert [(d.seconds_queued, d.seconds_augmenting) for d in client.heard(m.Deliver)] == [
        (0.0, 4.5),
        (5.0, 0.5),
        (7.0, 0.5),
    ]


def test_a_dead_worker_gives_everything_back_at_the_head_of_the_queue_in_order(rig):
    dying, client = rig.worker(credit=3), rig.client()
    submit_many(client, 5)
    dying.lose()
    worker = rig.worker(credit=5)
    assert [d.index for d in worker.heard(m.Dispatch)] == [0, 1, 2, 3, 4]
    assert not set(worker.tickets) - {0, 1, 2, 3, 4}


def test_only_the_batch_at_work_counts_an_attempt_and_only_if_the_process_died(rig):
    client = rig.client()
    submit_many(client, 2)
    rig.worker().lose(closed_by_peer=True)
    assert client.heard(m.Attempt) == [m.Attempt(0, 1)]
    rig.worker().lose(closed_by_peer=False)
    rig.worker().say(m.Goodbye())
    assert client.heard(m.Attempt) == [m.Attempt(0, 1)]
    worker = rig.worker()
    for ticket in worker.tickets:
        worker.answer(ticket)
    assert [(d.request, d.attempts) for d in client.heard(m.Deliver)] == [(0, 1), (1, 0)]


def test_an_orphan_at_work_takes_the_blame_with_it(rig):
    client = rig.client()
    client.submit(0, call=1)
    client.submit(1, call=2)
    worker = rig.worker()
    client.say(m.Cancel(1))
    worker.lose()
    assert client.heard(m.Attempt) == []
    assert rig.core.status(rig.now)["queued"] == 1


def test_a_batch_that_kills_its_workers_is_given_up_and_the_farm_goes_on(rig):
    client = rig.client()
    submit_many(client, 2)
    for _ in range(3):
        dying = rig.worker()
        assert dying.heard(m.Dispatch)[0].index == 0
        dying.lose()
    fail = client.last(m.Fail)
    assert (fail.request, fail.kind, fail.attempts, fail.worker_id) == (0, "poisoned", 3, 2)
    worker = rig.worker()
    assert [d.index for d in worker.heard(m.Dispatch)] == [1]
    assert rig.core.status(rig.now)["totals"]["poisoned"] == 1


def test_an_attempt_is_taken_back_when_the_session_joins_again(rig):
    client = rig.client()
    client.submit(0)
    rig.worker(token=b"w" * 16).lose()
    worker = rig.worker(token=b"w" * 16)
    assert client.heard(m.Attempt) == [m.Attempt(0, 1), m.Attempt(0, 0)]
    assert worker.last(m.Joined).worker_id == 0
    assert len(worker.tickets) == 1


def test_no_attempt_is_taken_back_from_a_batch_that_was_answered(rig):
    client = rig.client()
    client.submit(0)
    rig.worker(token=b"w" * 16).lose()
    other = rig.worker()
    other.answer(other.tickets[0])
    rig.worker(token=b"w" * 16)
    assert client.heard(m.Attempt) == [m.Attempt(0, 1)]


def test_a_worker_that_comes_back_keeps_its_id_and_nothing_else(rig):
    client = rig.client()
    submit_many(client, 2)
    old = rig.worker(token=b"w" * 16)
    new = rig.worker(token=b"w" * 16)
    assert old.last(m.Refused).code == "replaced"
    assert new.last(m.Joined).worker_id == 0
    assert [d.index for d in new.heard(m.Dispatch)] == [0, 1]
    old.answer(old.tickets[0])
    assert client.heard(m.Deliver) == []
    assert client.heard(m.Attempt) == []
    assert [type(c) for c, _ in new.inbox][1] is m.Pipeline, "it is told the pipeline again"


def test_what_a_worker_may_not_have_read_is_told_with_its_last_word(rig):
    client, worker = rig.client(), rig.worker()
    for request in range(3):
        client.submit(request, octets=200)
    worker.answer(worker.tickets[0])
    rig.worker(worker.token)
    assert (worker.retired, rig.unread) == (True, 400)


def test_a_late_answer_is_dropped(rig):
    worker, client = rig.worker(), rig.client()
    client.submit(0)
    ticket = worker.tickets[0]
    worker.answer(ticket)
    worker.answer(ticket)
    worker.answer(12345)
    assert len(client.heard(m.Deliver)) == 1
    assert rig.core.status(rig.now)["totals"]["late"] == 2
    assert rig.core.status(rig.now)["workers"][0]["credit"] == 2


def test_a_worker_cannot_answer_for_another(rig):
    mine, other, client = rig.worker(), rig.worker(), rig.client()
    client.submit(0)
    other.answer(mine.tickets[0])
    assert client.heard(m.Deliver) == []


def test_a_goodbye_is_answered_and_the_rest_goes_to_others(rig):
    leaving, client = rig.worker(), rig.client()
    submit_many(client, 2)
    leaving.say(m.Goodbye())
    assert leaving.last(m.Goodbye)
    assert leaving.retired
    assert len(rig.worker().tickets) == 2


def test_credit_has_a_limit(rig):
    worker = rig.worker(credit=limits.MAX_WORKER_CREDIT)
    worker.say(m.Credit(1))
    assert worker.last(m.Refused).code == "credit"


def test_an_answer_that_takes_too_much_sends_the_batch_to_another(rig):
    client, worker = rig.client(), rig.worker(credit=2)
    client.submit(0)
    worker.answer(worker.tickets[0], credit=limits.MAX_WORKER_CREDIT)
    assert worker.last(m.Refused).code == "credit"
    assert len(rig.worker().tickets) == 1


@pytest.mark.parametrize(
    "command",
    [
        m.Failed(0, 1, "poisoned", "", "", ""),
        m.Join(limits.PROTOCOL_VERSION, b"x" * 16, "", 1, {}),
    ],
)
def test_what_the_state_does_not_allow_is_refused_by_name(rig, command):
    client, worker = rig.client(), rig.worker()
    client.submit(0)
    worker.say(command)
    assert worker.last(m.Refused).code == "unexpected"
    assert rig.core.status(rig.now)["queued"] == 1


# --- hedging -----------------------------------------------------------------------------------------------


def test_a_hedged_batch_goes_to_a_second_worker_and_the_first_answer_counts(rig):
    slow, client = rig.worker(credit=1), rig.client()
    client.submit(0)
    fast = rig.worker(credit=1)
    client.say(m.Hedge(0))
    assert slow.tickets == fast.tickets
    fast.answer(fast.tickets[0])
    assert client.last(m.Deliver).worker_id == 1
    client.receive(0)
    slow.answer(slow.tickets[0])
    assert len(client.heard(m.Deliver)) == 1, "the second answer is dropped"
    assert rig.core.status(rig.now)["totals"]["hedged"] == 1
    client.submit(1)
    assert len(slow.tickets) + len(fast.tickets) == 3, "the slower one has its credit back"


def test_a_hedge_waits_for_a_worker_that_takes_it_and_goes_before_others(rig):
    slow, busy, client = rig.worker(credit=1), rig.worker(credit=1), rig.client()
    for request in range(4):
        client.submit(request)
    client.say(m.Hedge(0))
    assert len(busy.tickets) == 1
    busy.answer(busy.tickets[0])
    assert busy.tickets[1:] == slow.tickets


def test_what_is_not_leased_or_not_there_or_hedged_already_is_not_hedged(rig):
    client = rig.client()
    client.submit(0)
    client.say(m.Hedge(0))  # queued
    client.say(m.Hedge(99))
    workers = [rig.worker(credit=1) for _ in range(3)]
    client.say(m.Hedge(0))
    client.say(m.Hedge(0))
    assert [len(worker.tickets) for worker in workers] == [1, 1, 0]
    workers[0].answer(workers[0].tickets[0])
    client.say(m.Hedge(0))  # delivered
    assert [len(worker.tickets) for worker in workers] == [1, 1, 0]
    assert not client.retired


def test_a_call_has_one_hedged_batch_at_a_time(rig):
    first, client = rig.worker(credit=2), rig.client()
    client.submit(0)
    client.submit(1)
    second = rig.worker(credit=2)
    client.say(m.Hedge(0))
    client.say(m.Hedge(1))
    assert len(second.tickets) == 1
    second.answer(second.tickets[0])
    client.say(m.Hedge(1))
    assert second.tickets == first.tickets


def test_a_hedged_batch_stays_leased_while_one_of_two_workers_lives(rig):
    first, client = rig.worker(credit=1), rig.client()
    client.submit(0)
    second, third = rig.worker(credit=1), rig.worker(credit=1)
    client.say(m.Hedge(0))
    first.lose(closed_by_peer=False)
    assert not third.tickets
    second.lose(closed_by_peer=False)
    assert third.tickets == second.tickets
    third.answer(third.tickets[0])
    assert client.last(m.Deliver).attempts == 0


def test_of_a_hedged_batch_no_more_processes_die_than_of_another(rig):
    rig.start(max_attempts=2)
    workers, client = [rig.worker(credit=1) for _ in range(4)], rig.client()
    client.submit(0)
    client.say(m.Hedge(0))
    workers[0].lose()
    assert client.last(m.Attempt).attempts == 1
    client.say(m.Hedge(0))
    assert [len(worker.tickets) for worker in workers] == [1, 1, 0, 0], "it has killed: it is tried alone"
    workers[1].lose()
    assert client.last(m.Fail).kind == "poisoned"
    assert [len(worker.tickets) for worker in workers[2:]] == [0, 0]


def test_a_cancelled_hedged_batch_is_dropped_by_both(rig):
    workers, client = [rig.worker(credit=1) for _ in range(2)], rig.client()
    client.submit(0)
    client.say(m.Hedge(0))
    client.say(m.Cancel(0))
    for worker in workers:
        worker.answer(worker.tickets[0])
    assert not client.heard(m.Deliver)
    assert rig.core.status(rig.now)["memory"]["held"] == len(rig.SPEC)
