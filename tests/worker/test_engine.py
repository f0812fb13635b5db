"""The engine: whatever a batch, a pipeline or an augmenter does becomes an answer that a user can read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import augfarm.compat
from augfarm.protocol import limits, messages, pipelines
from augfarm.protocol.batches import pack
from augfarm.protocol.codec import Record, encode_body
from augfarm.protocol.seeds import Seed
from augfarm.worker.engine import Engine
from augfarm.worker.events import Augment, BatchAugmented, BatchFailed

FRAME_BYTES = 100_000
Spec = Callable[..., bytes]


def engine_with(spec: bytes) -> Engine:
    engine = Engine(allow_import=["hostile_augmenters"])
    engine.load(pipelines.digest(spec), [spec[:10], spec[10:]])
    return engine


def work_for(spec: bytes, batch: Any, *, frame_bytes: int = FRAME_BYTES) -> Augment:
    body = encode_body(pack(batch, 0).tree, frame_bytes=FRAME_BYTES)
    return Augment(7, pipelines.digest(spec), Seed("batch", 1, 0), body, frame_bytes)


def failure(spec: bytes, batch: Any) -> BatchFailed:
    outcome = engine_with(spec).augment(work_for(spec, batch))
    assert isinstance(outcome, BatchFailed)
    assert outcome.ticket == 7
    # It fits the wire, whatever it holds.
    failed = messages.Failed(
        7, 1, outcome.kind, outcome.exception_type, outcome.exception_text, outcome.traceback
    )
    assert messages.decode(messages.encode(failed), messages.FROM_WORKER) == failed
    return outcome


def test_a_batch_is_decoded_augmented_and_encoded(flip: bytes, images: Any, result_of: Any) -> None:
    outcome = engine_with(flip).augment(work_for(flip, images, frame_bytes=1000))
    assert isinstance(outcome, BatchAugmented)
    assert outcome.ticket == 7
    assert outcome.seconds > 0.0
    assert max(len(frame) for frame in outcome.body) <= 1000
    np.testing.assert_array_equal(result_of(outcome.body), images[:, ::-1])


@pytest.mark.parametrize("forget", ["one", "all"])
def test_a_pipeline_that_was_forgotten_is_unknown(flip: bytes, images: Any, forget: str) -> None:
    engine = engine_with(flip)
    engine.forget(pipelines.digest(flip)) if forget == "one" else engine.forget_all()
    engine.forget(b"unknown")
    outcome = engine.augment(work_for(flip, images))
    assert isinstance(outcome, BatchFailed)
    assert outcome.kind == "pipeline"
    assert "has not sent" in outcome.exception_text


# --- pipelines ---------------------------------------------------------------------------------------------


def test_a_pipeline_of_another_imgaug_fails_its_batches_and_names_both_versions(
    flip: bytes, images: Any
) -> None:
    distribution, version = augfarm.compat.imgaug_distribution()
    spec = flip.replace(f'"version":"{version}"'.encode(), b'"version":"9.9"')
    assert spec != flip
    outcome = failure(spec, images)
    assert outcome.kind == "pipeline"
    assert f"{distribution} {version}" in outcome.exception_text
    assert "9.9" in outcome.exception_text
    # And again: an error that is kept does not grow.
    assert failure(spec, images) == outcome


def test_a_pipeline_of_a_module_that_is_not_allowed_fails_its_batches(hostile: Spec, images: Any) -> None:
    spec = hostile("raise")
    engine = Engine()
    engine.load(pipelines.digest(spec), [spec])
    outcome = engine.augment(work_for(spec, images))
    assert isinstance(outcome, BatchFailed)
    assert outcome.kind == "pipeline"
    assert "--allow-import" in outcome.exception_text


@pytest.mark.parametrize("spec", [b"", b"{}", b"\xff", b"[" * 100_000])
def test_bytes_that_are_no_pipeline_fail_their_batches(spec: bytes, images: Any) -> None:
    assert failure(spec, images).kind == "pipeline"


def test_a_spec_under_a_digest_of_another_fails_its_batches(flip: bytes, images: Any) -> None:
    engine = Engine()
    engine.load(pipelines.digest(flip), [flip + b" "])
    outcome = engine.augment(work_for(flip, images))
    assert isinstance(outcome, BatchFailed)
    assert outcome.kind == "pipeline"


# --- batches -----------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=50), max_size=4))
def test_bytes_that_are_no_batch_are_a_failure(body: list[bytes]) -> None:
    engine, spec = _FLIP
    outcome = engine.augment(Augment(1, pipelines.digest(spec), Seed("batch", 1, 0), body, FRAME_BYTES))
    assert isinstance(outcome, BatchFailed)
    assert outcome.kind == "batch"
    assert outcome.traceback == ""


def test_an_image_that_cannot_be_decoded_is_named_by_its_place(flip: bytes, images: Any) -> None:
    broken = b"\x89PNG\r\n\x1a\n" + b"not a png"
    outcome = failure(flip, [images[0], broken])
    assert outcome.kind == "batch"
    assert outcome.exception_text.startswith("images[1]: ")


def test_a_tree_that_is_no_batch_is_a_failure(flip: bytes) -> None:
    tree = {"form": "unnormalized", "columns": {"images": [Record("no-such-thing", ())]}}
    body = encode_body(tree, frame_bytes=FRAME_BYTES)
    work = Augment(1, pipelines.digest(flip), Seed("batch", 1, 0), body, FRAME_BYTES)
    outcome = engine_with(flip).augment(work)
    assert isinstance(outcome, BatchFailed)
    assert outcome.kind == "batch"


# --- augmenters that raise ---------------------------------------------------------------------------------


def test_what_an_augmenter_raises_comes_with_a_traceback_of_its_own_frames(
    hostile: Spec, images: Any
) -> None:
    outcome = failure(hostile("raise"), images)
    assert (outcome.kind, outcome.exception_type, outcome.exception_text) == (
        "raised",
        "ValueError",
        "as asked",
    )
    assert outcome.traceback.startswith("Traceback (most recent call last):\n")
    assert outcome.traceback.endswith("ValueError: as asked\n")
    assert "in _deep" in outcome.traceback
    assert "augfarm/worker" not in outcome.traceback
    assert "augfarm/protocol" not in outcome.traceback


@pytest.mark.parametrize(
    ("mode", "name"),
    [("sys_exit", "SystemExit"), ("interrupt", "KeyboardInterrupt"), ("raise_mute", "Mute")],
)
def test_whatever_can_be_raised_is_a_failure_of_the_batch(
    hostile: Spec, images: Any, mode: str, name: str
) -> None:
    outcome = failure(hostile(mode), images)
    assert (outcome.kind, outcome.exception_type) == ("raised", name)
    assert name in outcome.traceback


def test_text_that_utf8_cannot_hold_is_escaped(hostile: Spec, images: Any) -> None:
    outcome = failure(hostile("raise_surrogate"), images)
    assert outcome.exception_text == "bad \\udcff text"


def test_long_texts_are_cut_in_the_middle(hostile: Spec, images: Any) -> None:
    outcome = failure(hostile("raise_long"), images)
    assert len(outcome.exception_text) < 10_000
    assert len(outcome.traceback) <= limits.MAX_TRACEBACK_LENGTH
    assert outcome.traceback.startswith("Traceback (most recent call last):\n")
    assert outcome.traceback.endswith("é\n")
    assert "left out" in outcome.traceback


def test_an_engine_goes_on_after_a_failure(hostile: Spec, flip: bytes, images: Any) -> None:
    engine = engine_with(flip)
    raising = hostile("sys_exit")
    engine.load(pipelines.digest(raising), [raising])
    assert isinstance(engine.augment(work_for(raising, images)), BatchFailed)
    assert isinstance(engine.augment(work_for(flip, images)), BatchAugmented)


def test_a_result_beyond_the_limit_is_too_large(hostile: Spec, images: Any) -> None:
    outcome = failure(hostile("huge"), images)
    assert outcome.kind == "too-large"
    assert str(limits.MAX_BATCH_BYTES) in outcome.exception_text


def test_a_result_of_another_kind_than_may_travel_is_the_augmenters_fault(hostile: Spec, images: Any) -> None:
    outcome = failure(hostile("odd"), images)
    assert outcome.kind == "raised"
    assert "cannot travel" in outcome.exception_text


def _flip() -> tuple[Engine, bytes]:
    from imgaug import augmenters as iaa

    spec = pipelines.encode(iaa.Flipud(1.0))
    return engine_with(spec), spec


#: For Hypothesis, which takes no fixture that is made anew for a test.
_FLIP = _flip()
