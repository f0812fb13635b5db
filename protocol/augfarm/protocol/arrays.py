"""numpy arrays as a description and a buffer, without a copy wherever memory allows. Pure.

The description is ``(dtype, shape, order)``: the dtype as numpy's ``dtype.str`` (byte order included), the
shape as a tuple, and "C" or "F" for the order in which the buffer holds the elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import limits
from .errors import ProtocolError

__all__ = ["ArrayBuffer", "Description", "allows", "describe", "restore"]

ArrayBuffer = bytes | bytearray | memoryview
Description = tuple[str, tuple[int, ...], str]

#: Kinds and item sizes that may travel: bool, signed and unsigned integers, floats, complex numbers.
#: No object, string, structured or time dtype; no long double, whose layout differs between machines.
_ALLOWED = frozenset(
    {"b1"} | {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"f2", "f4", "f8", "c8", "c16"}
)


def allows(dtype: np.dtype[Any]) -> bool:
    """Whether arrays of this dtype may travel."""
    return dtype.names is None and dtype.subdtype is None and dtype.str[1:] in _ALLOWED


def describe(array: np.ndarray[Any, Any]) -> tuple[Description, memoryview]:
    """The array's description and its bytes, as a flat view (format "B").

    C- and Fortran-contiguous arrays are viewed where they lie; any other array is copied once.
    The dtype must be one that :func:`allows`.
    """
    array = np.asarray(array)  # a np.matrix never becomes flat
    if array.flags.c_contiguous:
        order, flat = "C", array
    elif array.flags.f_contiguous:
        order, flat = "F", array.T
    else:
        order, flat = "C", np.ascontiguousarray(array)
    description = (array.dtype.str, tuple(array.shape), order)
    if array.size == 0:
        return description, memoryview(b"")
    # A view as bytes: memoryview.cast refuses non-native formats such as '>f4'.
    return description, flat.reshape(-1).view(np.uint8).data


def restore(dtype: Any, shape: Any, order: Any, buffer: ArrayBuffer) -> np.ndarray[Any, Any]:
    """The array over this buffer, without a copy; writeable where the buffer is.

    Raises:
        ProtocolError: for a dtype that may not travel, or sizes that do not fit the buffer.
    """
    expected = expected_bytes(dtype, shape, order)
    if expected != len(buffer):
        raise ProtocolError(f"array of {expected} bytes by its shape and dtype, got {len(buffer)}")
    if expected == 0:
        return np.empty(shape, dtype=dtype, order=order)
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)


def expected_bytes(dtype: Any, shape: Any, order: Any) -> int:
    """The bytes that an array of this description has; checks the description.

    Raises:
        ProtocolError: where the description is not one that may travel.
    """
    # Only byte orders that numpy writes, so that a dtype has one spelling.
    if not isinstance(dtype, str) or dtype[:1] not in ("<", ">", "|") or dtype[1:] not in _ALLOWED:
        raise ProtocolError("array dtype is not one that may travel")
    if (
        not isinstance(shape, (tuple, list))
        or len(shape) > limits.MAX_ARRAY_DIMENSIONS
        or not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**47 for n in shape)
    ):
        raise ProtocolError("array shape is not a list of at most 32 lengths")
    if order not in ("C", "F"):
        raise ProtocolError("array order is neither C nor F")
    size = int(dtype[2:])
    product = 1
    for length in shape:
        product *= length
    nonzero = 1
    for length in shape:
        nonzero *= max(length, 1)
    # An empty array may still have lengths whose product no numpy can hold.
    if nonzero * size > limits.MAX_BATCH_BYTES:
        raise ProtocolError(f"array of more than {limits.MAX_BATCH_BYTES} bytes")
    return product * size
