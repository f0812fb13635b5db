"""Limits hold together: what one allows, another must not forbid."""

import re
from pathlib import Path

import msgpack

from augfarm.protocol import limits, messages


def test_every_limit_is_exported_and_has_a_reason():
    names = [name for name in vars(limits) if re.fullmatch(r"[A-Z][A-Z_]*", name)]
    units = {"KIB", "MIB", "GIB"}
    assert sorted(limits.__all__) == sorted(set(names) - units)
    lines = Path(limits.__file__).read_text().splitlines()
    for position, line in enumerate(lines):
        if re.match(r"[A-Z_]+ = ", line) and line.split(" ")[0] not in units:
            before = next(text for text in reversed(lines[:position]) if not re.match(r"[A-Z_]+ = ", text))
            assert before.startswith("#:"), line


def test_every_limit_is_a_positive_number():
    assert all(getattr(limits, name) > 0 for name in limits.__all__)


def test_a_batch_fits_its_frames():
    cut = limits.MAX_BATCH_BYTES // limits.MAX_TCP_FRAME_BYTES
    # Command, table, and a frame that is not full at the end of the header and of each buffer.
    assert 2 + cut + 1 + limits.MAX_BUFFERS <= limits.MAX_FRAMES
    assert limits.MAX_BATCH_BYTES <= limits.MAX_IPC_FRAME_BYTES
    assert limits.MAX_HEADER_BYTES < limits.MAX_BATCH_BYTES
    assert limits.MAX_DECODED_IMAGE_BYTES < limits.MAX_BATCH_BYTES
    assert limits.MAX_SPEC_BYTES < limits.MAX_BATCH_BYTES


def test_a_table_of_all_buffers_fits_its_frame():
    table = msgpack.packb([2**30] * (1 + limits.MAX_BUFFERS))
    assert len(table) <= limits.MAX_COMMAND_BYTES
    assert len(table) <= limits.MAX_TCP_FRAME_BYTES


def test_the_longest_commands_fit_their_frame():
    text = "\U0001f600"  # four bytes a character, the most that UTF-8 has
    failed = messages.Failed(
        ticket=2**63 - 1,
        credit=1,
        kind="raised",
        exception_type=text * 256,
        exception_text=text * 8192,
        traceback=text * limits.MAX_TRACEBACK_LENGTH,
    )
    received = messages.Received(tuple([2**63 - 1] * limits.MAX_RECEIPTS_PER_MESSAGE))
    for command in (failed, received):
        frame = messages.encode(command)
        assert len(frame) <= limits.MAX_COMMAND_BYTES
        assert messages.decode(frame, frozenset({type(command)})) == command


def test_requests_of_all_open_batches_fit_one_message():
    assert limits.MAX_OPEN_BATCHES + limits.MAX_CALLS <= limits.MAX_RECEIPTS_PER_MESSAGE


def test_times_are_in_order():
    assert limits.HEARTBEAT_INTERVAL_MS < limits.HEARTBEAT_TIMEOUT_MS
    assert limits.RECONNECT_MIN_S < limits.RECONNECT_MAX_S
    assert limits.WORKER_CREDIT <= limits.MAX_WORKER_CREDIT
