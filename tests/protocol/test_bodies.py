"""Bodies whose buffers lie in memory."""

import contextlib

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augfarm.protocol.bodies import Placement, body_bytes, frames_of, placement_of, unplaced
from augfarm.protocol.codec import decode_body, encode_parts
from augfarm.protocol.errors import ProtocolError

NUMBER = b"n" * 16
TREE = {"images": np.arange(30_000, dtype=np.uint16).reshape(100, 300), "more": [np.ones(9000), "text", 7]}


def placed(tree=TREE, number=NUMBER):
    """A body and the memory in which its buffers lie."""
    parts = encode_parts(tree)
    memory, offsets = bytearray(64), []
    for buffer in parts.buffers:
        offsets.append(len(memory))
        memory += buffer
    lengths = (len(parts.header), *map(len, parts.buffers))
    return [Placement(number, 64, lengths, tuple(offsets)).table(), parts.header], memory


def finder(memory):
    return lambda number: memoryview(memory).toreadonly() if number == NUMBER else None


def same(tree, other=TREE):
    np.testing.assert_array_equal(tree["images"], other["images"])
    np.testing.assert_array_equal(tree["more"][0], other["more"][0])
    return tree["more"][1:] == other["more"][1:]


def test_arrays_are_views_of_the_memory_or_copies():
    body, memory = placed()
    tree = decode_body(body, finder(memory))
    assert same(tree)
    assert not tree["images"].flags.writeable
    copy = decode_body(body, finder(memory), copy=True)
    memory[:] = bytes(len(memory))
    assert tree["images"].sum() == 0
    assert same(copy)
    assert copy["images"].flags.writeable


@given(st.integers(1, 2**18))
def test_without_the_memory_it_travels_as_frames(frame_bytes):
    body, memory = placed()
    frames = unplaced(body, finder(memory), frame_bytes)
    assert all(len(frame) <= frame_bytes for frame in frames[2:])
    assert same(decode_body(frames))
    assert decode_body(frames[:1] + frames_of(encode_parts(TREE), 2**30)[1:])["more"][1] == "text"


def test_only_the_frames_count_as_size():
    body, memory = placed()
    assert body_bytes(body) < 1000 < len(memory)


@pytest.mark.parametrize("memories", [None, lambda number: None])
def test_memory_that_is_not_shared_is_an_error(memories):
    body, _ = placed()
    with pytest.raises(ProtocolError, match="not shared"):
        decode_body(body, memories)


def test_frames_need_no_memory():
    body = frames_of(encode_parts(TREE), 1000)
    assert placement_of(body) is None
    assert same(decode_body(body, lambda number: None, copy=True))
    with pytest.raises(ProtocolError, match="no memory"):
        unplaced(body, lambda number: None, 1000)


@pytest.mark.parametrize("beyond", [1, 2**20, 2**62])
def test_nothing_beyond_the_memory_is_read(beyond):
    body, memory = placed({"a": np.zeros(5000)})
    place = placement_of(body)
    moved = Placement(NUMBER, 0, place.lengths, (place.offsets[0] + beyond,)).table()
    for read in (lambda b, m: decode_body(b, m), lambda b, m: unplaced(b, m, 1000)):
        with pytest.raises(ProtocolError, match="beyond"):
            read([moved, *body[1:]], finder(memory))


NUMBERS = st.integers() | st.none() | st.booleans() | st.floats() | st.text(max_size=3)
TABLES = st.tuples(
    st.just(NUMBER) | st.binary(max_size=17),
    st.integers(-1, 2**20) | NUMBERS,
    st.lists(st.integers(-1, 70_000) | NUMBERS, max_size=4) | NUMBERS,
    st.lists(st.integers(-1, 2**20) | NUMBERS, max_size=4) | NUMBERS,
).map(list)


@given(TABLES | st.lists(NUMBERS, max_size=6), st.booleans())
def test_any_table_is_a_tree_or_a_protocol_error(table, with_header):
    body, memory = placed()
    try:
        frames = [msgpack.packb(table), *(body[1:] if with_header else [])]
    except OverflowError:
        return
    for read in (lambda b, m: decode_body(b, m, copy=True), lambda b, m: unplaced(b, m, 1000)):
        with contextlib.suppress(ProtocolError):
            read(frames, finder(memory))
