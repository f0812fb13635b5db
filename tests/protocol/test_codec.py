from contextlib import suppress

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from augfarm.protocol import limits
from augfarm.protocol.codec import Record, body_bytes, cut, decode_body, encode_body
from augfarm.protocol.errors import ProtocolError

DTYPES = [np.dtype(c).newbyteorder(o) for c in "?bBhHiIlLefdFD" for o in "<>"]
LARGE = limits.INLINE_BYTES + 1
ALL = limits.MAX_IPC_FRAME_BYTES


def same(got, expected):
    """Equal in value, type, dtype and shape."""
    if type(got) is not type(expected):
        return False
    if isinstance(expected, (np.ndarray, np.generic)):
        alike = got.dtype == expected.dtype and got.shape == expected.shape
        return alike and got.tobytes() == expected.tobytes()
    if isinstance(expected, (list, tuple)):
        return len(got) == len(expected) and all(map(same, got, expected))
    if isinstance(expected, dict):
        return list(got) == list(expected) and all(same(got[key], expected[key]) for key in expected)
    if isinstance(expected, Record):
        return got.name == expected.name and same(got.values, expected.values)
    return got == expected or (got != got and expected != expected)


def turned(array, view):
    return view(array)


small_arrays = npst.arrays(
    st.sampled_from(DTYPES), npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
)
large_arrays = st.builds(
    lambda dtype, seed: np.random.default_rng(seed).integers(0, 2, (3, 5, 401), np.uint8).astype(dtype),
    st.sampled_from(DTYPES),
    st.integers(0, 99),
)
views = st.sampled_from(
    [
        lambda a: a,
        np.asfortranarray,
        lambda a: a.T,
        lambda a: a[..., ::-1] if a.ndim else a,
        lambda a: a[1:] if a.ndim else a,
    ]
)
arrays = st.builds(turned, small_arrays | large_arrays, views)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(),
    st.binary(),
    arrays,
    st.builds(lambda a: a[()], npst.arrays(st.sampled_from(DTYPES), ())),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=3),
        st.builds(Record, st.text(max_size=4), st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=12,
)
frame_sizes = st.sampled_from([1, 7, 1000, limits.MAX_TCP_FRAME_BYTES, ALL])


@given(trees, st.sampled_from([64, 1000, limits.MAX_TCP_FRAME_BYTES, ALL]))
def test_trees_come_back_equal(tree, frame_bytes):
    frames = encode_body(tree, frame_bytes=frame_bytes)
    assert all(len(frame) <= frame_bytes for frame in frames[1:])
    assert same(decode_body([bytes(frame) for frame in frames]), tree)
    assert body_bytes(frames) == sum(map(len, frames))


@given(trees)
def test_read_only_arrays_come_back_equal(tree):
    for leaf in tree if isinstance(tree, (list, tuple)) else [tree]:
        if isinstance(leaf, np.ndarray):
            leaf.flags.writeable = False
    assert same(decode_body(encode_body(tree, frame_bytes=ALL)), tree)


@given(st.binary(max_size=3000), frame_sizes)
def test_a_buffer_is_cut_into_frames(octets, frame_bytes):
    frames = cut(octets, frame_bytes)
    assert b"".join(frames) == octets
    assert all(0 < len(frame) <= frame_bytes for frame in frames)


# --- memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [lambda a: a, lambda a: a.T, lambda a: a[3:]])
def test_large_arrays_are_never_copied(view):
    array = view(np.arange(3 * LARGE, dtype=np.uint16).reshape(-1, 3))
    array.flags.writeable = False
    frames = encode_body({"a": [array]}, frame_bytes=ALL)
    assert np.shares_memory(np.frombuffer(frames[-1], np.uint8), array)
    (again,) = decode_body(frames)["a"]
    assert np.shares_memory(again, array)
    np.testing.assert_array_equal(again, array)


def test_frames_of_a_cut_array_are_views_too():
    array = np.zeros(3 * LARGE, np.uint8)
    frames = encode_body(array, frame_bytes=LARGE)
    assert len(frames) == 2 + 3
    assert all(np.shares_memory(np.frombuffer(frame, np.uint8), array) for frame in frames[2:])


def test_arrays_that_were_joined_are_writeable():
    array = np.arange(3 * LARGE, dtype=np.uint8)
    again = decode_body([bytes(f) for f in encode_body([array, array[:5]], frame_bytes=1000)])
    assert again[0].flags.writeable
    assert again[1].flags.writeable


def test_an_array_that_stands_twice_is_one_buffer_and_one_array():
    array = np.zeros(LARGE, np.uint8)
    frames = encode_body([array, {"again": array}, Record("r", (array,))], frame_bytes=ALL)
    assert len(frames) == 3
    first, second, record = decode_body(frames)
    assert first is second["again"]
    assert first is record.values[0]


def test_several_views_of_the_same_elements_are_one_buffer():
    array = np.arange(3 * LARGE, dtype=np.uint16).reshape(3, LARGE)
    views = [array[1], array[1], array[1:2], array[:, ::2], array[:, ::2], array.T, array[1].view(np.int16)]
    frames = encode_body(views, frame_bytes=ALL)
    assert len(frames) == 2 + 5
    for view, again in zip(views, decode_body(frames), strict=True):
        assert again.dtype == view.dtype
        np.testing.assert_array_equal(again, view)


def test_an_array_that_stands_twice_becomes_two_where_that_is_wanted():
    array = np.arange(LARGE, dtype=np.uint8)
    first, second = decode_body(encode_body([array, array], frame_bytes=ALL), separate=True)
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, second)


def test_a_peer_cannot_have_one_array_copied_for_ever(monkeypatch):
    body = encode_body([np.zeros(LARGE, np.uint8)] * 20, frame_bytes=ALL)
    monkeypatch.setattr(limits, "MAX_BATCH_BYTES", 10 * LARGE)
    assert len(decode_body(body)) == 20
    with pytest.raises(ProtocolError, match="several times"):
        decode_body(body, separate=True)


def test_equal_arrays_stay_two():
    first, second = decode_body(encode_body([np.zeros(LARGE), np.zeros(LARGE)], frame_bytes=ALL))
    assert not np.shares_memory(first, second)


def test_small_arrays_travel_in_the_header():
    assert len(encode_body([np.zeros(limits.INLINE_BYTES, np.uint8)], frame_bytes=ALL)) == 2
    assert len(encode_body([np.zeros(LARGE, np.uint8)], frame_bytes=ALL)) == 3


# --- what may not travel -----------------------------------------------------------------------------------


class Text(str):
    __slots__ = ()


class Number(int):
    pass


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        Text("a"),
        Number(1),
        1j,
        range(3),
        np.array([None]),
        np.array(["a"]),
        np.longdouble(1),
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)
def test_other_types_are_refused_by_name(value):
    name = str(getattr(value, "dtype", type(value).__qualname__))
    for tree in (value, [value], {"a": (value,)}, Record("r", (value,))):
        with pytest.raises(TypeError) as caught:
            encode_body(tree, frame_bytes=ALL)
        assert name in str(caught.value)


def deep(levels, kind):
    value = kind()
    for _ in range(levels):
        value = kind([value])
    return value


def test_limits_of_the_sender(monkeypatch):
    with pytest.raises(ValueError, match="deep"):
        encode_body(deep(limits.MAX_NESTING, tuple), frame_bytes=ALL)
    with pytest.raises(ValueError, match=r"recursion|deep"):
        encode_body(deep(2000, list), frame_bytes=ALL)
    huge = np.broadcast_to(np.uint8(0), (limits.MAX_BATCH_BYTES + 1,))
    with pytest.raises(ValueError, match="1073741825 bytes"):  # and no GiB is copied for it
        encode_body(huge, frame_bytes=ALL)
    array = np.zeros(LARGE, np.uint8)
    monkeypatch.setattr(limits, "MAX_BATCH_BYTES", 2 * LARGE)
    with pytest.raises(ValueError, match="more than"):
        encode_body([array, array.copy()], frame_bytes=ALL)
    monkeypatch.setattr(limits, "MAX_BUFFERS", 1)
    with pytest.raises(ValueError, match="2 large arrays"):
        encode_body([array, array.copy()], frame_bytes=ALL)
    monkeypatch.setattr(limits, "MAX_HEADER_BYTES", 9)
    with pytest.raises(ValueError, match="structure alone"):
        encode_body(["0123456789"], frame_bytes=ALL)


# --- what peers may send -----------------------------------------------------------------------------------


def body(header, *buffers):
    return [msgpack.packb([len(header), *map(len, buffers)]), header, *buffers]


def extension(code, *items):
    return msgpack.packb(msgpack.ExtType(code, msgpack.packb(list(items))))


def chain(levels):
    """Extensions in extensions."""
    data = msgpack.packb([])
    for _ in range(levels):
        data = msgpack.packb([msgpack.ExtType(1, data)])
    return data


HOSTILE = {
    "nothing": [],
    "no table": [b"", b""],
    "a table that is no list": [msgpack.packb(5), b"\xc0"],
    "an empty table": [msgpack.packb([])],
    "a table of texts": [msgpack.packb(["1"]), b"\xc0"],
    "a table of booleans": [msgpack.packb([True]), b"\xc0"],
    "a negative length": [msgpack.packb([2, -1]), b"\xc0"],
    "a table of lists": [msgpack.packb([[1]]), b"\xc0"],
    "a long table": [msgpack.packb([0] * (limits.MAX_BUFFERS + 2))],
    "a table of many bytes": [b"\x90" * (limits.MAX_COMMAND_BYTES + 1)],
    "a huge length": [msgpack.packb([1, 2**63]), b"\xc0"],
    "a header beyond the limit": [msgpack.packb([limits.MAX_HEADER_BYTES + 1])],
    "a batch beyond the limit": [msgpack.packb([1, limits.MAX_BATCH_BYTES]), b"\xc0"],
    "a frame too few": [msgpack.packb([1, 4]), b"\xc0"],
    "a frame too many": [msgpack.packb([1]), b"\xc0", b"\xc0"],
    "an empty frame too many": [msgpack.packb([1]), b"\xc0", b""],
    "frames across buffers": [msgpack.packb([1, 4]), b"\xc0\xc0", b"\xc0\xc0\xc0"],
    "an empty header": body(b""),
    "no msgpack": body(b"\xc1"),
    "half a header": body(b"\x92\xc0"),
    "two values": body(b"\xc0\xc0"),
    "no UTF-8": body(b"\xa1\xff"),
    "a number as key": body(b"\x81\x01\x01"),
    "a list as key": body(b"\x81\x90\x01"),
    "an unknown extension": body(extension(99, 1)),
    "an extension of no list": body(msgpack.packb(msgpack.ExtType(1, b"\xc0"))),
    "an array without a shape": body(extension(2, "<f4", "C", b"")),
    "an array of objects": body(extension(2, "|O", [1], "C", b"12345678")),
    "an array of another size": body(extension(2, "<f4", [2], "C", b"1234")),
    "an array of text": body(extension(2, "<f4", [1], "C", "1234")),
    "a buffer that is not there": body(extension(3, "<f4", [1], "C", 0)),
    "a negative buffer": body(extension(3, "<f4", [1], "C", -1), b"1234"),
    "a buffer of another size": body(extension(3, "<f4", [2], "C", 0), b"1234"),
    "a buffer named by a boolean": body(extension(3, "<f4", [1], "C", False), b"1234"),
    "a buffer of an unhashable order": body(extension(3, "<f4", [1], ["C"], 0), b"1234"),
    "a buffer of a list as length": body(extension(3, "<f4", [[1]], "C", 0), b"1234"),
    "a scalar of another size": body(extension(4, "<f4", b"12")),
    "a scalar of objects": body(extension(4, "|O", b"12345678")),
    "a record without a name": body(extension(5, 1, [])),
    "a record without values": body(extension(5, "a", {})),
    "extensions in extensions": body(chain(limits.MAX_NESTING)),
    "lists in lists that never end": body(b"\xdd\x00\x10\x00\x00" * 2000),
    "a list of four billion": body(b"\xdd\xff\xff\xff\xff"),
    "a map of four billion": body(b"\xdf\xff\xff\xff\xff"),
    "an extension of four billion": body(b"\xc9\xff\xff\xff\xff\x01"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_frames_are_protocol_errors(name):
    with pytest.raises(ProtocolError):
        decode_body(HOSTILE[name])


def test_a_list_beyond_the_limit_is_a_protocol_error(monkeypatch):
    monkeypatch.setattr(limits, "MAX_LIST_ITEMS", 3)
    assert decode_body(body(msgpack.packb([1, 2, 3]))) == [1, 2, 3]
    with pytest.raises(ProtocolError):
        decode_body(body(msgpack.packb([1, 2, 3, 4])))


def test_only_values_of_a_tree_come_out():
    assert decode_body(body(msgpack.packb(msgpack.Timestamp(1, 0)))) == 1.0


def test_empty_frames_between_buffers_are_harmless():
    frames = [msgpack.packb([1, 0]), b"\xc0"]
    assert decode_body(frames) is None


@given(st.lists(st.binary(max_size=64), max_size=4))
def test_any_frames_are_a_value_or_a_protocol_error(frames):
    with suppress(ProtocolError):
        decode_body(frames)


@given(st.binary(max_size=200), st.lists(st.binary(max_size=16), max_size=2))
def test_any_header_is_a_value_or_a_protocol_error(header, buffers):
    with suppress(ProtocolError):
        decode_body(body(header, *buffers))


@given(trees, st.data())
def test_a_body_that_was_changed_is_a_value_or_a_protocol_error(tree, data):
    frames = [bytearray(frame) for frame in encode_body(tree, frame_bytes=1000)]
    for _ in range(data.draw(st.integers(1, 4))):
        frame = frames[data.draw(st.integers(0, min(len(frames), 3) - 1))]
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ProtocolError):
        decode_body(frames)
