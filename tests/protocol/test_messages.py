import tracemalloc
from dataclasses import fields

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augfarm.protocol import limits, messages
from augfarm.protocol.errors import ProtocolError
from augfarm.protocol.messages import BY_CODE, decode, encode
from augfarm.protocol.seeds import SEED_MAX
from commands import CODES, EVERY, commands, sample

#: Of the right type and outside.
OUTSIDE = {
    "version": [-1, 2**16 + 1],
    "attempts": [-1, 2**16 + 1],
    "token": [b"", bytes(15), bytes(17)],
    "digest": [bytes(31), bytes(33)],
    "name": [b"", bytes(15), bytes(17)],
    "secret": [b"", bytes(15), bytes(17)],
    "placed": [0, 1, None],
    "software": ["x" * 257],
    "seeding": ["", "Worker"],
    "receipts": [[], [-1], [SEED_MAX + 1], [True], ["1"], [0.5]],
    "frame_bytes": [limits.MAX_IPC_FRAME_BYTES + 1],
    "batch_bytes": [limits.MAX_BATCH_BYTES + 1],
    "advice": [limits.ADVICE_MAX_BATCHES + 1],
    "environments": [[{}] * 17, [1], [{"a": 1}]],
    "environment": [{"a": 1}, {"a": b"b"}, {str(i): "" for i in range(33)}, {"a": "x" * 4096}],
    "seconds_queued": [-1.0, -1, float("inf"), float("nan")],
    "seconds_augmenting": [-0.5, float("-inf"), 2**60],
    "kind": ["unknown"],
    "code": ["unknown"],
    "exception_type": ["x" * 257],
    "exception_text": ["x" * (limits.MAX_TEXT_LENGTH + 1)],
    "traceback": ["x" * (limits.MAX_TRACEBACK_LENGTH + 1)],
    "text": ["x" * 1025],
    "status": [],
    "credit": [-1, limits.MAX_WORKER_CREDIT + 1],
}
WHOLE_OUTSIDE = [-1, SEED_MAX + 1]
#: One of each type that msgpack has.
TYPES = [None, True, 1, 0.5, "a", b"a", [], [1], {}, {"a": 1}]


def frame(kind, name, value):
    """The command's frame with one field replaced."""
    command = sample(kind)
    values = [value if f.name == name else getattr(command, f.name) for f in fields(kind)]
    return msgpack.packb([CODES[kind], *values])


FIELDS = [(kind, f.name) for kind in BY_CODE.values() for f in fields(kind)]


@pytest.mark.parametrize("kind", BY_CODE.values())
@given(st.data())
def test_every_command_comes_back_equal(kind, data):
    command = data.draw(commands(kind))
    again = decode(encode(command), EVERY)
    assert again == command
    assert type(again) is kind


def test_every_command_has_one_code_and_a_direction():
    assert len(CODES) == len(BY_CODE)
    assert all(0 < code < 128 for code in BY_CODE), "one byte each"
    directions = (messages.FROM_CLIENT, messages.TO_CLIENT, messages.FROM_WORKER, messages.TO_WORKER)
    assert frozenset().union(*directions) == EVERY


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda each: getattr(each, "__name__", each))
def test_every_field_refuses_other_types_and_values(kind, name):
    accepted = getattr(sample(kind), name)
    number = isinstance(accepted, float)
    wrong = [
        value
        for value in TYPES
        if type(value) is not type(accepted)
        and not (number and type(value) is int)
        and not (isinstance(accepted, tuple) and value == [1])
        and not (name == "environments" and value == [])
    ]
    outside = OUTSIDE.get("credit" if kind is messages.Credit else name, WHOLE_OUTSIDE)
    for value in [*wrong, *outside]:
        with pytest.raises(ProtocolError, match=rf"{kind.__name__.upper()}\.{name}: expected"):
            decode(frame(kind, name, value), EVERY)


@pytest.mark.parametrize("kind", BY_CODE.values())
def test_the_number_of_fields_is_checked(kind):
    values = msgpack.unpackb(encode(sample(kind)))
    for other in ([*values, 1], values[:-1] if len(values) > 1 else [values[0], 1]):
        with pytest.raises(ProtocolError, match="fields, got"):
            decode(msgpack.packb(other), EVERY)


def test_a_command_from_the_wrong_side_is_refused():
    with pytest.raises(ProtocolError, match="WELCOME does not come from this side"):
        decode(encode(sample(messages.Welcome)), messages.FROM_CLIENT)


def test_whole_seconds_become_floats():
    command = decode(frame(messages.Result, "seconds_augmenting", 2), EVERY)
    assert type(command.seconds_augmenting) is float


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\xc0",
        b"\xc1",
        b"\x90",
        msgpack.packb({}),
        msgpack.packb([999]),
        msgpack.packb([True]),
        msgpack.packb(["1"]),
        msgpack.packb([7]) + b"\xc0",
        msgpack.packb([4, [0] * (limits.MAX_RECEIPTS_PER_MESSAGE + 1)]),
        msgpack.packb([26, {1: 2}]),
        msgpack.packb([26, {"a": msgpack.ExtType(5, b"")}]),
        msgpack.packb([26, {"a": [0] * (limits.MAX_RECEIPTS_PER_MESSAGE + 1)}]),
        b"\x92\x1a" * 3000,
        b"\x92\x50\xa1\xff",
        b"\xd7\xff" + b"\xff" * 8,
        bytes(limits.MAX_COMMAND_BYTES + 1),
    ],
    ids=lambda octets: repr(octets[:12]),
)
def test_other_bytes_are_protocol_errors(octets):
    with pytest.raises(ProtocolError):
        decode(octets, EVERY)


def test_lengths_that_a_frame_only_claims_take_no_memory():
    claimed = b"\xdd\x00\x03\xf0\x00" * 1000  # 1000 arrays in arrays, of 258,048 each
    octets = claimed + b"\xc0" * (limits.MAX_COMMAND_BYTES - len(claimed))
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            decode(octets, EVERY)
        assert tracemalloc.get_traced_memory()[1] < 64 * limits.MAX_COMMAND_BYTES
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=64))
def test_any_bytes_are_a_command_or_a_protocol_error(octets):
    try:
        command = decode(octets, EVERY)
    except ProtocolError:
        return
    assert type(command) in EVERY


@given(st.sampled_from(list(BY_CODE.values())), st.data())
def test_a_frame_that_was_changed_is_a_command_or_a_protocol_error(kind, data):
    octets = bytearray(encode(data.draw(commands(kind))))
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        command = decode(octets, EVERY)
    except ProtocolError:
        return
    assert type(command) in EVERY
