"""Batches as frames, and back, without a copy wherever memory allows. Pure: no sockets, no imgaug.

A *tree* is what a batch is made of: None, bool, int, float, str, bytes, list, tuple, dict with text keys,
numpy arrays and scalars, and :class:`Record`, a named tuple of such values (imgaug's objects travel as
records; :mod:`.batches` knows which).

A *body* is a tree as frames::

    body   = table *buffer-frame
    table  = msgpack array of lengths: that of the header, then that of each buffer
    header = the tree in msgpack; what msgpack lacks is an extension type, see _TUPLE ... _BIG_INT
    buffer = the bytes of one array larger than INLINE_BYTES; the header names it by its number

The header and each buffer are cut into frames of at most `frame_bytes`; empty ones have no frame. An array
that stands several times in a tree is one buffer, also where it does as several views of the same memory.

Frames are cut and joined in :mod:`.bodies`, where the buffers may lie in shared memory instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import msgpack
import numpy as np

from . import arrays, limits
from .bodies import Body, Buffer, FindMemory, Parts, body_bytes, cut, frames_of, split
from .errors import ProtocolError

__all__ = [
    "Body",
    "Buffer",
    "Parts",
    "Record",
    "Tree",
    "body_bytes",
    "cut",
    "decode_body",
    "encode_body",
    "encode_parts",
    "frames_of",
]

Tree: TypeAlias = Any

_TUPLE, _ARRAY, _BUFFER, _SCALAR, _RECORD, _BIG_INT = range(1, 7)


@dataclass(frozen=True)
class Record:
    """A named tuple of tree values: an object of the sender's that the receiver may rebuild."""

    name: str
    values: tuple[Tree, ...]


def encode_body(tree: Tree, *, frame_bytes: int) -> list[Buffer]:
    """The tree as frames of at most `frame_bytes`; array frames are views of the arrays' own memory.

    Raises:
        TypeError: where the tree holds something that may not travel. Callers check batches before, so
            this names only the type.
        ValueError: where the tree exceeds a limit.
    """
    return frames_of(encode_parts(tree), frame_bytes)


def encode_parts(tree: Tree) -> Parts:
    """The tree's header and buffers, for :func:`frames_of` or for memory that both ends see.

    Raises:
        TypeError, ValueError: as :func:`encode_body`.
    """
    encoder = _Encoder()
    header = encoder.pack(tree)
    if len(header) > limits.MAX_HEADER_BYTES:
        raise ValueError(f"the structure alone has {len(header)} bytes, more than {limits.MAX_HEADER_BYTES}")
    if len(encoder.buffers) > limits.MAX_BUFFERS:
        raise ValueError(f"{len(encoder.buffers)} large arrays, more than {limits.MAX_BUFFERS}")
    lengths = [len(header), *(len(b) for b in encoder.buffers)]
    if sum(lengths) > limits.MAX_BATCH_BYTES:
        raise ValueError(f"{sum(lengths)} bytes, more than {limits.MAX_BATCH_BYTES}")
    return Parts(header, encoder.buffers)


def decode_body(
    frames: Body, memories: FindMemory | None = None, *, copy: bool = False, separate: bool = False
) -> Tree:
    """The tree that the frames hold. Arrays that came in one frame are views of it; others are joined.

    Args:
        memories: gives the memory in which the buffers of a placed body lie. Without it none is allowed.
        copy: whether arrays of a placed body are copies. Otherwise they are views of that memory.
        separate: whether an array that stands several times becomes several arrays. Otherwise it is one.

    Raises:
        ProtocolError: for whatever else the bytes are.
    """
    (header, *buffers), placed = split(frames, memories)
    if placed and copy:
        # By numpy, which lets other threads run meanwhile.
        buffers = [np.frombuffer(buffer, np.uint8).copy().data for buffer in buffers]
    return _Decoder(buffers, separate).unpack(header)


class _Encoder:
    def __init__(self) -> None:
        self.buffers: list[memoryview] = []
        #: By what says that two arrays are views of the same elements; those in it stay alive while they are.
        self._known: dict[tuple[Any, ...], msgpack.ExtType] = {}
        self._alive: list[Any] = []
        self._depth = 0

    def pack(self, value: Tree) -> bytes:
        self._depth += 1
        if self._depth > limits.MAX_NESTING:
            raise ValueError(f"nested more than {limits.MAX_NESTING} deep")
        try:
            packed: bytes = msgpack.packb(value, default=self._default, strict_types=True)
        except OverflowError as error:
            raise ValueError(str(error)) from None
        self._depth -= 1
        return packed

    def _default(self, value: Any) -> Any:
        kind = type(value)
        if kind is tuple:
            return msgpack.ExtType(_TUPLE, self.pack(list(value)))
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, np.generic):
            if not arrays.allows(value.dtype):
                raise TypeError(f"numpy scalar of dtype {value.dtype}")
            return msgpack.ExtType(_SCALAR, self.pack([value.dtype.str, value.tobytes()]))
        if kind is Record:
            return msgpack.ExtType(_RECORD, self.pack([value.name, list(value.values)]))
        if kind is int:  # beyond 64 bits
            octets = value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)
            return msgpack.ExtType(_BIG_INT, octets)
        raise TypeError(f"{kind.__module__}.{kind.__qualname__}")

    def _array(self, array: np.ndarray[Any, Any]) -> msgpack.ExtType:
        if not arrays.allows(array.dtype):
            raise TypeError(f"numpy array of dtype {array.dtype}")
        if array.nbytes > limits.MAX_BATCH_BYTES:  # before a copy of it is made
            raise ValueError(f"an array of {array.nbytes} bytes, more than {limits.MAX_BATCH_BYTES}")
        if array.nbytes <= limits.INLINE_BYTES:
            description, view = arrays.describe(array)
            return msgpack.ExtType(_ARRAY, self.pack([*description, bytes(view)]))
        key = (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str)
        if key in self._known:
            return self._known[key]
        description, view = arrays.describe(array)
        ext = msgpack.ExtType(_BUFFER, self.pack([*description, len(self.buffers)]))
        self.buffers.append(view)
        self._known[key] = ext
        self._alive.append(array)
        return ext


class _Decoder:
    def __init__(self, buffers: list[Buffer], separate: bool) -> None:
        self._buffers = buffers
        self._separate = separate
        self._copied = 0
        self._arrays: dict[tuple[Any, ...], np.ndarray[Any, Any]] = {}
        self._depth = 0

    def unpack(self, data: Buffer) -> Tree:
        self._depth += 1
        if self._depth > limits.MAX_NESTING:
            raise ProtocolError(f"nested more than {limits.MAX_NESTING} deep")
        try:
            value = msgpack.unpackb(
                data,
                raw=False,
                strict_map_key=True,
                ext_hook=self._ext,
                max_array_len=limits.MAX_LIST_ITEMS,
                timestamp=1,  # msgpack's own extension type never reaches the hook: a float, not an object
            )
        except ProtocolError:
            raise
        except (ValueError, TypeError, msgpack.UnpackException, RecursionError, MemoryError) as error:
            raise ProtocolError(f"header is not msgpack: {error}") from None
        self._depth -= 1
        return value

    def _ext(self, code: int, data: Any) -> Any:
        if code == _BIG_INT:
            return int.from_bytes(data, "big", signed=True)
        items = self.unpack(data)
        if not isinstance(items, list):
            raise ProtocolError("extension does not hold a list")
        if code == _TUPLE:
            return tuple(items)
        if code == _ARRAY and len(items) == 4 and isinstance(items[3], bytes):
            dtype, shape, order, octets = items
            # A copy, so that the array is writeable like one that came in a frame.
            return arrays.restore(dtype, shape, order, bytearray(octets))
        if code == _BUFFER and len(items) == 4:
            return self._buffer(*items)
        if code == _SCALAR and len(items) == 2 and isinstance(items[1], bytes):
            return arrays.restore(items[0], (), "C", items[1])[()]
        if code == _RECORD and len(items) == 2 and isinstance(items[0], str) and isinstance(items[1], list):
            return Record(items[0], tuple(items[1]))
        raise ProtocolError(f"extension {code} is unknown or holds other values than it should")

    def _buffer(self, dtype: Any, shape: Any, order: Any, number: Any) -> np.ndarray[Any, Any]:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(self._buffers):
            raise ProtocolError("array names a buffer that is not there")
        arrays.expected_bytes(dtype, shape, order)
        key = (dtype, tuple(shape), order, number)
        if key not in self._arrays:
            self._arrays[key] = arrays.restore(dtype, shape, order, self._buffers[number])
        elif self._separate:
            self._copied += self._arrays[key].nbytes
            if self._copied > limits.MAX_BATCH_BYTES:
                raise ProtocolError(f"arrays that stand several times, of more than {limits.MAX_BATCH_BYTES}")
            return self._arrays[key].copy(order="K")
        return self._arrays[key]
