import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from augfarm.protocol import limits
from augfarm.protocol.arrays import allows, describe, expected_bytes, restore
from augfarm.protocol.errors import ProtocolError

NATIVE = ["?", "b", "B", "h", "H", "i", "I", "l", "L", "e", "f", "d", "F", "D"]
DTYPES = [np.dtype(code).newbyteorder(order) for code in NATIVE for order in "<>"]

#: Arrays of every allowed dtype: C and Fortran order, not contiguous, reversed, without elements, read-only.
ARRAYS = st.builds(
    lambda array, view: view(array),
    npst.arrays(
        st.sampled_from(DTYPES),
        npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5),
        elements=st.just(0) | st.just(1),
        fill=st.nothing(),
    ),
    st.sampled_from(
        [
            lambda a: a,
            np.asfortranarray,
            lambda a: a.T,
            lambda a: a[..., ::2] if a.ndim else a,
            lambda a: a[::-1] if a.ndim else a,
            lambda a: np.broadcast_to(a, (2, *a.shape)),
        ]
    ),
)


@given(ARRAYS)
def test_arrays_come_back_equal(array):
    (dtype, shape, order), view = describe(array)
    again = restore(dtype, shape, order, bytes(view))
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(again, array)
    assert len(view) == array.nbytes
    assert view.format == "B"


@pytest.mark.parametrize("make", [lambda a: a, np.asfortranarray, lambda a: a[1:]])
def test_contiguous_arrays_are_never_copied(make):
    array = make(np.arange(24, dtype=">f4").reshape(4, 6))
    array.flags.writeable = False
    description, view = describe(array)
    assert np.shares_memory(np.frombuffer(view, np.uint8), array)
    assert np.shares_memory(restore(*description, view), array)


def test_other_arrays_are_copied_once():
    array = np.arange(24).reshape(4, 6)[:, ::2]
    description, view = describe(array)
    assert description == (array.dtype.str, (4, 3), "C")
    assert not np.shares_memory(np.frombuffer(view, np.uint8), array)


def test_a_restored_array_is_writeable_where_its_buffer_is():
    assert restore("<f4", (2,), "C", bytearray(8)).flags.writeable
    assert not restore("<f4", (2,), "C", bytes(8)).flags.writeable


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_subclasses_of_arrays():
    description, view = describe(np.matrix([[1, 2], [3, 4]]))
    np.testing.assert_array_equal(restore(*description, view), [[1, 2], [3, 4]])


def test_which_dtypes_may_travel():
    assert all(map(allows, DTYPES))
    for other in ("O", "S3", "U2", "M8[s]", "m8[s]", "V4", "g", "G", "i4,f4", "(2,)i4"):
        assert not allows(np.dtype(other)), other


@pytest.mark.parametrize(
    ("dtype", "shape", "order"),
    [
        ("|O", (1,), "C"),
        ("f4", (1,), "C"),
        ("=f4", (1,), "C"),
        ("<f16", (1,), "C"),
        ("<U1", (1,), "C"),
        ("<f4, <f4", (1,), "C"),
        (b"<f4", (1,), "C"),
        (None, (1,), "C"),
        (["<f4"], (1,), "C"),
        ("<f4", 1, "C"),
        ("<f4", None, "C"),
        ("<f4", (-1,), "C"),
        ("<f4", (1.0,), "C"),
        ("<f4", (True,), "C"),
        ("<f4", ("1",), "C"),
        ("<f4", (2**62, 0), "C"),
        ("<f4", (2**40, 2**40), "C"),
        ("<f4", (1,) * 33, "C"),
        ("<f4", (limits.MAX_BATCH_BYTES // 4 + 1,), "C"),
        ("<f4", (limits.MAX_BATCH_BYTES, 0), "C"),
        ("<f4", (1,), "K"),
        ("<f4", (1,), None),
        ("<f4", (1,), ["C"]),
    ],
)
def test_descriptions_that_may_not_travel(dtype, shape, order):
    with pytest.raises(ProtocolError):
        expected_bytes(dtype, shape, order)
    with pytest.raises(ProtocolError):
        restore(dtype, shape, order, bytes(4))


@pytest.mark.parametrize("length", [0, 7, 9, 16])
def test_sizes_must_fit_the_buffer(length):
    with pytest.raises(ProtocolError, match="array of 8 bytes"):
        restore("<f4", (2,), "C", bytes(length))


@given(
    st.sampled_from(["<f4", "|b1", ">u8", "<c16", "O", "", 5]),
    st.lists(st.integers(-1, 2**64), max_size=34) | st.integers() | st.lists(st.text(max_size=1), max_size=2),
    st.sampled_from(["C", "F", "A", 1]),
    st.binary(max_size=32),
)
def test_any_description_is_an_array_or_a_protocol_error(dtype, shape, order, octets):
    try:
        array = restore(dtype, shape, order, octets)
    except ProtocolError:
        return
    assert array.nbytes == len(octets)
    assert array.shape == tuple(shape)
