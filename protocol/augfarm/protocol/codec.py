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
that stands several times in a tree is one buffer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgpack
import numpy as np

from . import arrays, limits
from .errors import ProtocolError

__all__ = ["Body", "Buffer", "Record", "Tree", "body_bytes", "cut", "decode_body", "encode_body"]

Tree: TypeAlias = Any
Buffer: TypeAlias = bytes | bytearray | memoryview
Body: TypeAlias = Sequence[Buffer]

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
    encoder = _Encoder()
    header = encoder.pack(tree)
    if len(header) > limits.MAX_HEADER_BYTES:
        raise ValueError(f"the structure alone has {len(header)} bytes, more than {limits.MAX_HEADER_BYTES}")
    if len(encoder.buffers) > limits.MAX_BUFFERS:
        raise ValueError(f"{len(encoder.buffers)} large arrays, more than {limits.MAX_BUFFERS}")
    lengths = [len(header), *(len(b) for b in encoder.buffers)]
    if sum(lengths) > limits.MAX_BATCH_BYTES:
        raise ValueError(f"{sum(lengths)} bytes, more than {limits.MAX_BATCH_BYTES}")
    table: bytes = msgpack.packb(lengths)
    return [table, *cut(header, frame_bytes), *(f for b in encoder.buffers for f in cut(b, frame_bytes))]


def decode_body(frames: Body) -> Tree:
    """The tree that the frames hold. Arrays that came in one frame are views of it; others are joined.

    Raises:
        ProtocolError: for whatever else the bytes are.
    """
    if not frames:
        raise ProtocolError("a body has at least one frame")
    lengths = _read_table(frames[0])
    buffers = _join(frames[1:], lengths)
    return _Decoder(buffers[1:]).unpack(buffers[0])


def body_bytes(frames: Iterable[Buffer]) -> int:
    """The size of a body in bytes."""
    return sum(len(frame) for frame in frames)


def cut(buffer: Buffer, frame_bytes: int) -> list[Buffer]:
    """The buffer as views of at most `frame_bytes`."""
    if len(buffer) <= frame_bytes:
        return [buffer] if len(buffer) else []
    view = memoryview(buffer)
    return [view[start : start + frame_bytes] for start in range(0, len(view), frame_bytes)]


class _Encoder:
    def __init__(self) -> None:
        self.buffers: list[memoryview] = []
        self._known: dict[int, msgpack.ExtType] = {}
        #: Arrays whose ids are in _known stay alive while they are.
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
        known = self._known.get(id(array))
        if known is not None:
            return known
        if not arrays.allows(array.dtype):
            raise TypeError(f"numpy array of dtype {array.dtype}")
        if array.nbytes > limits.MAX_BATCH_BYTES:  # before a copy of it is made
            raise ValueError(f"an array of {array.nbytes} bytes, more than {limits.MAX_BATCH_BYTES}")
        description, view = arrays.describe(array)
        if len(view) <= limits.INLINE_BYTES:
            return msgpack.ExtType(_ARRAY, self.pack([*description, bytes(view)]))
        ext = msgpack.ExtType(_BUFFER, self.pack([*description, len(self.buffers)]))
        self.buffers.append(view)
        self._known[id(array)] = ext
        self._alive.append(array)
        return ext


class _Decoder:
    def __init__(self, buffers: list[Buffer]) -> None:
        self._buffers = buffers
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
        return self._arrays[key]


def _read_table(table: Buffer) -> list[int]:
    if len(table) > limits.MAX_COMMAND_BYTES:
        raise ProtocolError("table of lengths is too long")
    try:
        lengths = msgpack.unpackb(table, max_array_len=limits.MAX_BUFFERS + 1)
    except (ValueError, msgpack.UnpackException, RecursionError, MemoryError) as error:
        raise ProtocolError(f"table of lengths is not msgpack: {error}") from None
    if (
        not isinstance(lengths, list)
        or not lengths
        or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in lengths)
    ):
        raise ProtocolError("table of lengths is not a list of lengths")
    if lengths[0] > limits.MAX_HEADER_BYTES or sum(lengths) > limits.MAX_BATCH_BYTES:
        raise ProtocolError("batch is larger than the limits allow")
    return lengths


def _join(frames: Body, lengths: list[int]) -> list[Buffer]:
    """The frames as one buffer for each length; a buffer that came in one frame is that frame."""
    if sum(lengths) != body_bytes(frames):
        raise ProtocolError("table of lengths and frames do not fit")
    buffers: list[Buffer] = []
    position = 0
    for length in lengths:
        if length == 0:
            buffers.append(b"")
        elif position < len(frames) and len(frames[position]) == length:
            buffers.append(frames[position])
            position += 1
        else:
            joined, filled = bytearray(length), 0
            while filled < length:
                if position == len(frames) or filled + len(frames[position]) > length:
                    raise ProtocolError("frames do not end where buffers do")
                piece = frames[position]
                joined[filled : filled + len(piece)] = piece
                filled += len(piece)
                position += 1
            buffers.append(joined)
    if position != len(frames):
        raise ProtocolError("more frames than buffers")
    return buffers
