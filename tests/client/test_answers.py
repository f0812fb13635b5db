"""What becomes of answers, without a farm: outcomes, and the parts of batches that failed."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augfarm.client.answers import Answers, Pending
from augfarm.client.calls import Call
from augfarm.client.outcomes import PartialBatch
from augfarm.protocol.batches import encode, pack
from augfarm.protocol.codec import decode_body, encode_body
from augfarm.protocol.errors import AugmentationFailed, BatchPoisoned, FarmRefused
from augfarm.protocol.messages import Deliver, Fail
from augfarm.protocol.seeds import Seed

DIGEST = b"d" * 32
WHOLE = 7


def images(count):
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((2, 2, 3), np.uint8)


def answers(**options):
    options = {"isolate": True, "base_seed": 5, "seeding": "batch"} | options
    return Answers(requests=itertools.count(100), **options)


def pending_of(batch, index=12, position=3):
    packed = pack(batch, index)
    body = [bytes(frame) for frame in encode(packed.tree, index, 1 << 30)]
    call = Call(0, ordered=True, buffer=4, advice=4)
    return Pending(call, position, index, batch, packed.keep, body, 1.0, DIGEST)


def fail(request, kind="raised", attempts=0, text="too dark", worker=4):
    return Fail(request, 0, worker, attempts, kind, "ValueError", text, "Traceback ...")


def deliver(request, attempts=0):
    return Deliver(request, 0, 4, attempts, 0.5, 0.25)


def run(answers, pending, fails, kind="raised", attempts=0, pick=lambda waiting: 0):
    """The outcome at a farm that fails what has an image for which `fails`, and what was asked of it."""
    outcome, waiting = answers.take(pending, fail(WHOLE, kind, attempts), [], 2.0)
    asked = []
    while waiting:
        assert outcome is None
        taken, part = waiting.pop(pick(waiting))
        asked.append(taken)
        tree = decode_body([bytes(b) for b in part.body])
        if any(fails(int(image.flat[0])) for image in tree["columns"]["images"]):
            answer, body = fail(taken.request, kind, attempts), []
        else:
            answer, body = (
                deliver(taken.request, attempts=1),
                encode_body(
                    {"columns": {name: doubled(c) for name, c in tree["columns"].items()}},
                    frame_bytes=1 << 30,
                ),
            )
        outcome, more = answers.take(part, answer, body, 3.0)
        waiting += more
    return outcome, asked


def doubled(column):
    return column * np.uint8(2) if isinstance(column, np.ndarray) else column


@given(st.data(), st.integers(2, 12))
def test_the_guilty_images_are_named_and_the_rest_comes_in_the_callers_form(data, count):
    guilty = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=count - 1))
    batch = {"images": images(count), "keypoints": [[(n, n)] for n in range(count)], "labels": [1, 2]}
    outcome, asked = run(
        answers(),
        pending_of(batch),
        guilty.__contains__,
        pick=lambda w: data.draw(st.integers(0, len(w) - 1)),
    )
    partial = outcome.batch
    assert isinstance(partial, PartialBatch)
    assert outcome.error is None
    assert partial.guilty == tuple(sorted(guilty)) == tuple(partial.errors)
    assert partial.kept == tuple(n for n in range(count) if n not in guilty)
    assert np.array_equal(partial.batch["images"], 2 * images(count)[list(partial.kept)])
    assert partial.batch["keypoints"] == [[(n, n)] for n in partial.kept]
    assert partial.batch["labels"] is batch["labels"]
    for image, error in partial.errors.items():
        assert isinstance(error, AugmentationFailed)
        assert f"image {image} of batch 12" in str(error)
    requests = [taken.request for taken in asked]
    assert sorted(requests) == list(range(100, 100 + len(requests))), "each has a number of its own"


def test_parts_are_requests_of_the_same_call_position_number_and_age():
    _, asked = run(answers(), pending_of(images(4)), {2}.__contains__)
    assert {(t.call, t.index, t.digest, t.instead_of) for t in asked} == {(0, 12, DIGEST, WHOLE)}
    outcome, parts = answers().take(pending_of(images(4)), fail(WHOLE), [], 2.0)
    assert outcome is None
    assert {part.position for _, part in parts} == {3}
    assert [taken.octets for taken, _ in parts] == [sum(map(len, part.body)) for _, part in parts]


def test_the_source_is_the_copy_that_was_sent_and_not_the_callers_array():
    batch = images(2)
    pending = pending_of(batch)
    batch[...] = 99
    outcome, _ = run(answers(), pending, {1}.__contains__)
    assert outcome.batch.batch.max() == 0


def test_nothing_left_is_the_batchs_own_failure():
    batch = images(3)
    outcome, asked = run(answers(), pending_of(batch), lambda image: True)
    assert isinstance(outcome.error, AugmentationFailed)
    assert "batch 12 raised" in str(outcome.error)
    assert outcome.batch is batch
    assert len(asked) == 4


def test_images_that_only_fail_together_are_all_kept():
    outcome, asked = run(answers(), pending_of(images(4)), lambda image: False, kind="too-large")
    assert (outcome.batch.kept, outcome.batch.guilty, outcome.batch.errors) == ((0, 1, 2, 3), (), {})
    assert len(asked) == 2


@pytest.mark.parametrize("kind", ["raised", "batch", "too-large", "poisoned"])
def test_every_failure_of_the_batchs_own_is_isolated(kind):
    outcome, _ = run(answers(), pending_of(images(2)), {0}.__contains__, kind=kind)
    assert outcome.batch.guilty == (0,)
    expected = BatchPoisoned if kind == "poisoned" else AugmentationFailed
    assert type(outcome.batch.errors[0]) is expected


def test_a_pipeline_that_no_worker_can_build_is_not_the_batchs_fault():
    outcome, more = answers().take(pending_of(images(4)), fail(WHOLE, "pipeline"), [], 2.0)
    assert isinstance(outcome.error, FarmRefused)
    assert not more


@pytest.mark.parametrize("options", [{}, {"isolate": False}])
def test_batches_that_cannot_be_cut_and_clients_that_do_not_ask_fail_whole(options):
    together = {"images": images(2), "heatmaps": []}
    for batch in [images(1), together] if not options else [images(4)]:
        outcome, more = answers(**options).take(pending_of(batch), fail(WHOLE), [], 2.0)
        assert isinstance(outcome.error, AugmentationFailed)
        assert not more


def test_a_body_that_nobody_can_read_fails_whole():
    pending = pending_of(images(2))
    pending.body = [b"\x91\x05", b"\xc1\xc1\xc1\xc1\xc1"]
    outcome, more = answers().take(pending, fail(WHOLE, "batch"), [], 2.0)
    assert isinstance(outcome.error, AugmentationFailed)
    assert not more


def test_attempts_are_those_of_all_that_was_tried_and_seconds_those_of_what_is_given():
    outcome, asked = run(answers(), pending_of(images(4)), {0}.__contains__, kind="poisoned", attempts=3)
    # Tried: all four; 0-1 and 2-3; 0 and 1. Of these three failed, and two passed after one death each.
    assert len(asked) == 4
    assert outcome.attempts == 3 * 3 + 2 * 1
    info = outcome.info(9.0)
    assert (info.index, info.worker_id, info.seed, info.attempts) == (12, None, None, 11)
    assert info.seconds_augmenting == 2 * 0.25


def test_attempts_of_a_batch_of_which_nothing_is_left():
    outcome, _ = run(answers(), pending_of(images(2)), lambda image: True, kind="poisoned", attempts=3)
    assert outcome.attempts == 9
    assert outcome.error.attempts == 3


def test_the_error_of_an_image_has_the_seed_of_the_worker_that_had_it_alone():
    outcome, _ = run(answers(seeding="worker"), pending_of(images(2)), {1}.__contains__)
    assert outcome.batch.errors[1].seed == Seed("worker", 5, 12, 4)


def test_a_place_in_one_image_is_told_as_the_place_in_the_batch():
    pending = pending_of(images(2))
    text = "images[0]: an image file that cannot be decoded"
    mine = answers()
    _, ((a, zero), (b, one)) = mine.take(pending, fail(WHOLE, "batch"), [], 2.0)
    result = encode_body({"columns": {"images": images(1)}}, frame_bytes=1 << 30)
    mine.take(zero, deliver(a.request), result, 3.0)
    outcome, _ = mine.take(one, fail(b.request, "batch", text=text), [], 3.0)
    assert "could not read image 1 of batch 12: images[1]: an image file" in str(outcome.batch.errors[1])


@pytest.mark.parametrize("result", [None, {"columns": {"images": images(2)}}, {"columns": {}}])
def test_a_result_that_does_not_fit_its_part_makes_it_fail(result):
    """A worker that answers with other images than it was given: never mixed up with others."""
    mine = answers()
    body = encode_body(result, frame_bytes=1 << 30)
    _, ((a, zero), (b, one)) = mine.take(pending_of(images(2)), fail(WHOLE), [], 2.0)
    mine.take(zero, deliver(a.request), body, 3.0)
    good = encode_body({"columns": {"images": images(1)}}, frame_bytes=1 << 30)
    outcome, _ = mine.take(one, deliver(b.request), good, 3.0)
    assert (outcome.batch.kept, outcome.batch.guilty) == ((1,), (0,))
    assert "the result of image 0 of batch 12 cannot be used" in str(outcome.batch.errors[0])


def test_garbage_instead_of_a_parts_result_makes_it_fail():
    mine = answers()
    _, ((a, zero), (b, one)) = mine.take(pending_of(images(2)), fail(WHOLE), [], 2.0)
    outcome, _ = mine.take(zero, deliver(a.request), [b"\xc1"], 3.0)
    assert outcome is None
    outcome, _ = mine.take(one, deliver(b.request), [b"\xc1"], 3.0)
    assert "batch 12 raised" in str(outcome.error)


def test_what_dumps_need_is_kept_only_where_they_are_wanted():
    outcome, _ = run(answers(), pending_of(images(4)), {1}.__contains__)
    assert outcome.failures == ()
    outcome, _ = run(answers(keep_failures=True), pending_of(images(4)), {1}.__contains__)
    (failure,) = outcome.failures
    assert failure.image == 1
    assert failure.error is outcome.batch.errors[1]
    image = decode_body(failure.body)["columns"]["images"]
    assert np.array_equal(image, images(4)[1:2])


def test_the_failure_of_a_whole_batch_is_kept_for_its_dump():
    pending = pending_of(images(2))
    outcome, _ = run(answers(keep_failures=True), pending, lambda image: True)
    (failure,) = outcome.failures
    assert failure.image is None
    assert failure.body is pending.body
    assert failure.error is outcome.error
    outcome, _ = answers(keep_failures=True).take(pending, fail(WHOLE, "pipeline"), [], 2.0)
    assert outcome.failures == (), "another batch would fail as well"
