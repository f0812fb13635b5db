"""Bodies of batches as frames, whatever is in them: the broker's part of :mod:`.codec`. Pure; without numpy.

A *body* is a header and buffers, in frames: a table of their lengths first. Where both ends see the same
memory, the buffers may lie there (:class:`Placement`); then there are no frames for them, and the table is
another: the memory's number, the start of the part of it, the lengths, the buffers' offsets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgpack

from . import limits
from .errors import ProtocolError

__all__ = [
    "Body",
    "Buffer",
    "FindMemory",
    "Parts",
    "Placement",
    "body_bytes",
    "cut",
    "frames_of",
    "placement_of",
    "split",
    "unplaced",
]

Buffer: TypeAlias = bytes | bytearray | memoryview
Body: TypeAlias = Sequence[Buffer]
#: Gives the memory that a placement names, or None.
FindMemory: TypeAlias = Callable[[bytes], memoryview | None]


@dataclass(frozen=True)
class Placement:
    """Where the buffers of a body lie.

    Attributes:
        memory: the number of the memory, 16 octets.
        start: where the part of it begins that was taken for them.
        lengths: that of the header, then that of each buffer.
        offsets: where each buffer begins in the memory.
    """

    memory: bytes
    start: int
    lengths: tuple[int, ...]
    offsets: tuple[int, ...]

    def table(self) -> bytes:
        """The first frame of a placed body."""
        packed: bytes = msgpack.packb([self.memory, self.start, self.lengths, self.offsets])
        return packed


@dataclass(frozen=True)
class Parts:
    """A tree as its header and the bytes of its larger arrays, which are views of the arrays' own memory."""

    header: bytes
    buffers: list[memoryview]

    @property
    def octets(self) -> int:
        """The size of the buffers together."""
        return sum(map(len, self.buffers))


def frames_of(parts: Parts, frame_bytes: int) -> list[Buffer]:
    """A body of frames of at most `frame_bytes`; those of buffers are views."""
    table: bytes = msgpack.packb([len(parts.header), *map(len, parts.buffers)])
    buffers = (frame for buffer in parts.buffers for frame in cut(buffer, frame_bytes))
    return [table, *cut(parts.header, frame_bytes), *buffers]


def split(frames: Body, memories: FindMemory | None = None) -> tuple[list[Buffer], bool]:
    """The header and the buffers of a body, and whether the buffers are views of memory.

    Args:
        memories: gives the memory in which the buffers of a placed body lie. Without it none is allowed.

    Raises:
        ProtocolError: for whatever else the bytes are.
    """
    if not frames:
        raise ProtocolError("a body has at least one frame")
    placement = placement_of(frames)
    if placement is None:
        return _join(frames[1:], _read_table(frames[0])), False
    header = _join(frames[1:], [placement.lengths[0]])
    return [*header, *_find(placement, memories)], True


def placement_of(frames: Body) -> Placement | None:
    """Where the buffers of this body lie, or None where they are among its frames.

    Raises:
        ProtocolError: where the table says neither.
    """
    table = _unpack_table(frames[0])
    if not table or not isinstance(table[0], bytes):
        return None
    if (
        len(table) != 4
        or len(table[0]) != limits.MEMORY_NUMBER_BYTES
        or not _is_length(table[1])
        or not isinstance(table[2], list)
        or not isinstance(table[3], list)
        or len(table[2]) != len(table[3]) + 1
        or not all(map(_is_length, table[3]))
    ):
        raise ProtocolError("a placed body's table names a memory, a start, lengths and offsets")
    return Placement(table[0], table[1], tuple(_check_lengths(table[2])), tuple(table[3]))


def unplaced(frames: Body, memories: FindMemory, frame_bytes: int) -> list[Buffer]:
    """A placed body as one that needs no memory; its buffer-frames are views of the memory.

    Raises:
        ProtocolError: where it is no placed body, or the memory is not there.
    """
    placement = placement_of(frames)
    if placement is None:
        raise ProtocolError("the body's buffers lie in no memory")
    table: bytes = msgpack.packb(placement.lengths)
    views = _find(placement, memories)
    return [table, *frames[1:], *(frame for view in views for frame in cut(view, frame_bytes))]


def _find(placement: Placement, memories: FindMemory | None) -> list[Buffer]:
    memory = memories(placement.memory) if memories is not None else None
    if memory is None:
        raise ProtocolError("a body lies in memory that is not shared with this process")
    found: list[Buffer] = []
    for offset, length in zip(placement.offsets, placement.lengths[1:], strict=True):
        if offset + length > len(memory):
            raise ProtocolError("a body lies beyond its memory")
        found.append(memory[offset : offset + length])
    return found


def body_bytes(frames: Iterable[Buffer]) -> int:
    """The size of a body in bytes."""
    return sum(len(frame) for frame in frames)


def cut(buffer: Buffer, frame_bytes: int) -> list[Buffer]:
    """The buffer as views of at most `frame_bytes`."""
    if len(buffer) <= frame_bytes:
        return [buffer] if len(buffer) else []
    view = memoryview(buffer)
    return [view[start : start + frame_bytes] for start in range(0, len(view), frame_bytes)]


def _unpack_table(table: Buffer) -> list[Any]:
    if len(table) > limits.MAX_COMMAND_BYTES:
        raise ProtocolError("table of lengths is too long")
    try:
        values = msgpack.unpackb(table, max_array_len=limits.MAX_BUFFERS + 1)
    except (ValueError, msgpack.UnpackException, RecursionError, MemoryError) as error:
        raise ProtocolError(f"table of lengths is not msgpack: {error}") from None
    if not isinstance(values, list):
        raise ProtocolError("table of lengths is not a list of lengths")
    return values


def _read_table(table: Buffer) -> list[int]:
    return _check_lengths(_unpack_table(table))


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_lengths(lengths: list[Any]) -> list[int]:
    if not lengths or not all(map(_is_length, lengths)):
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
