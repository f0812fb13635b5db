"""What a valid command may still not have behind it."""

import numpy as np
import pytest

from augfarm.broker.wire import MAX_BODY_BYTES, body_fault
from augfarm.protocol import codec, limits
from augfarm.protocol import messages as m

SUBMIT = m.Submit(0, 0, 0, 0, "batch", bytes(32), 0)
RESULT = m.Result(0, 1, 0.0)
PIPELINE = m.Pipeline(bytes(32))


@pytest.mark.parametrize("command", [SUBMIT, RESULT, PIPELINE])
def test_bodies_belong_to_some_commands(command):
    assert body_fault(command, 2, 1000) == ""
    assert "got none" in body_fault(command, 0, 0)


@pytest.mark.parametrize("command", [m.Goodbye(), m.Received((1,)), m.Credit(1), m.Status()])
def test_and_not_to_others(command):
    assert body_fault(command, 0, 0) == ""
    assert "has no body" in body_fault(command, 1, 0)


def test_many_small_frames_cost_more_than_their_bytes():
    assert "too many" in body_fault(SUBMIT, 100, 1000)
    assert "too many" in body_fault(SUBMIT, limits.MAX_FRAMES + 1, limits.MAX_BATCH_BYTES)


@pytest.mark.parametrize("frame_bytes", [limits.INLINE_BYTES, limits.MAX_TCP_FRAME_BYTES])
@pytest.mark.parametrize("size", [1, limits.INLINE_BYTES, limits.INLINE_BYTES + 1, 3 * limits.INLINE_BYTES])
def test_what_the_codec_makes_is_never_too_many(size, frame_bytes):
    frames = codec.encode_body([np.zeros(size, np.uint8) for _ in range(200)], frame_bytes=frame_bytes)
    assert body_fault(SUBMIT, len(frames), codec.body_bytes(frames)) == ""


def test_a_batch_that_is_too_large_is_refused_here_and_a_result_by_the_core():
    assert "more than" in body_fault(SUBMIT, 3, MAX_BODY_BYTES + 1)
    assert body_fault(RESULT, 3, MAX_BODY_BYTES + 1) == ""
