"""Memory that processes of one host share: one writes, the others read. Linux only.

The writer makes an :class:`Arena`, a memory file without a name that is sealed: nobody can change its size,
so no reader is killed by a page that is not there any more, and nobody else can map it for writing. Its
descriptor is handed over a Unix socket; who has received it has proven to be on this host. Nothing is left
behind however the processes end. How processes find each other is in :mod:`.sharing`.

::

    arena = Arena(octets)
    region = arena.place(parts)                        # None: there is no room, the frames travel instead
    region.placement                                   # for the reader
    View(descriptor).memory[...]                       # the reader

A region's part of the arena is free again when the region is dropped.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import secrets
import sys
import threading
from collections import deque
from collections.abc import Sequence

import msgpack

from . import limits
from .bodies import Buffer, Parts, Placement
from .errors import ProtocolError
from .space import Space

__all__ = [
    "ALIGNMENT",
    "Arena",
    "Region",
    "View",
    "can_share",
    "size_from_environment",
]

#: Buffers begin at multiples of this: a cache line, and what every dtype and SIMD instruction wants.
ALIGNMENT = 64
#: How much one process puts into its arena at most: a client what waits for workers, a worker its results
#: until clients have read them. Memory is taken when it is first used.
DEFAULT_ARENA_BYTES = 512 * limits.MIB
#: Sets it, in MiB; 0 turns shared memory off.
SIZE_VARIABLE = "AUGFARM_SHARED_MEMORY"
#: A memory that a peer offers may be as large as this.
MAX_ARENA_BYTES = 64 * limits.GIB
#: Below this a body travels as frames: the copies that sockets make cost less than what memory needs besides.
MIN_PLACED_BYTES = 64 * limits.KIB

#: <linux/fcntl.h>, since Linux 5.1: nobody but who has mapped it already can map it for writing.
F_SEAL_FUTURE_WRITE = 0x0010


def can_share() -> bool:
    """Whether this system has memory files that can be sealed."""
    return sys.platform == "linux" and hasattr(os, "memfd_create") and hasattr(fcntl, "F_ADD_SEALS")


def size_from_environment() -> int:
    """How large an arena of this process may become, in bytes; 0: it shares no memory.

    Raises:
        ValueError: where $AUGFARM_SHARED_MEMORY is no whole number of MiB.
    """
    text = os.environ.get(SIZE_VARIABLE)
    if not can_share():
        return 0
    if not text:
        return DEFAULT_ARENA_BYTES
    if not text.isdecimal() or int(text) * limits.MIB > MAX_ARENA_BYTES:
        raise ValueError(f"${SIZE_VARIABLE}: expected MiB from 0 to {MAX_ARENA_BYTES >> 20}, got {text!r}")
    return int(text) * limits.MIB


def _aligned(octets: int) -> int:
    return -(-octets // ALIGNMENT) * ALIGNMENT


class Region:
    """A part of an arena, taken while this object lives.

    Attributes:
        placement: where the buffers lie; for the first frame of the body.
        body: the body's frames.
    """

    def __init__(
        self, arena: Arena, start: int, placement: Placement, header: bytes, lying: Sequence[Buffer] = ()
    ) -> None:
        self._arena = arena
        self._start = start
        #: Buffers that were there before; they keep their arrays, and so their places.
        self._lying = lying
        self.placement = placement
        self.body: list[Buffer] = [placement.table(), header]

    def views(self) -> list[memoryview]:
        """The buffers. They are good while this object lives."""
        memory = self._arena.memory
        pairs = zip(self.placement.offsets, self.placement.lengths[1:], strict=True)
        return [memory[offset : offset + length] for offset, length in pairs]

    def frames(self) -> list[Buffer]:
        """The same body as one that needs no shared memory, in whole buffers; see :meth:`views`."""
        table: bytes = msgpack.packb(self.placement.lengths)
        return [table, self.body[1], *(view for view in self.views() if len(view))]

    def __del__(self) -> None:
        self._arena.give(self._start)


class Arena:
    """Memory that this process writes and others may read. Threads may place in it at the same time.

    Args:
        octets: what it may hold at the most; memory is taken when it is first used, and kept.

    Raises:
        OSError: where the system has no such memory.
    """

    def __init__(self, octets: int) -> None:
        self.number = secrets.token_bytes(limits.MEMORY_NUMBER_BYTES)
        self._space = Space(octets)
        #: So much of it has been taken from the system.
        self._reserved = 0
        self._lock = threading.Lock()
        #: Where regions began that have been dropped; a finalizer may not take the lock.
        self._given: deque[int] = deque()
        self.descriptor = os.memfd_create("augfarm", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.descriptor, self._space.octets)
            self._map = mmap.mmap(self.descriptor, self._space.octets)
            fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            with contextlib.suppress(OSError):  # an older kernel: readers could write, as the docs say
                fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, F_SEAL_FUTURE_WRITE)
            fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)
        except BaseException:
            os.close(self.descriptor)
            raise
        self.memory = memoryview(self._map)

    def place(self, parts: Parts, lying: Sequence[int | None] = ()) -> Region | None:
        """A copy of these buffers that readers see, or None where there is no room or no memory.

        Args:
            lying: for each buffer where it begins in this arena already, or None; () for none of them.
        """
        lying = lying or [None] * len(parts.buffers)
        size = sum(_aligned(len(b)) for b, at in zip(parts.buffers, lying, strict=True) if at is None)
        start = self.take(size)
        if start is None:
            return None
        offsets: list[int] = []
        free = start
        for buffer, at in zip(parts.buffers, lying, strict=True):
            if at is None:
                self.memory[free : free + len(buffer)] = buffer
                offsets.append(free)
                free += _aligned(len(buffer))
            else:
                offsets.append(at)
        lengths = (len(parts.header), *map(len, parts.buffers))
        placement = Placement(self.number, start, lengths, tuple(offsets))
        kept = [buffer for buffer, at in zip(parts.buffers, lying, strict=True) if at is not None]
        return Region(self, start, placement, parts.header, kept)

    def take(self, octets: int) -> int | None:
        """Where so much begins that nobody else has until :meth:`give`; None where there is no room."""
        with self._lock:
            while self._given:
                self._space.give(self._given.popleft())
            start = self._space.take(octets)
            return start if start is not None and self._reserve(start) else None

    def give(self, start: int) -> None:
        """What was taken there is free again. From any thread, and from finalizers."""
        self._given.append(start)

    def close(self) -> None:
        """Close the descriptor. The memory goes when nobody maps it any more."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _reserve(self, start: int) -> bool:
        """Have the system give the memory now: later, its lack would be a signal that kills."""
        end = start + self._space.size_of(start)
        if end <= self._reserved:
            return True
        try:
            if self.descriptor < 0:
                raise OSError("the arena is closed")
            os.posix_fallocate(self.descriptor, self._reserved, end - self._reserved)
        except OSError:
            self._space.give(start)
            return False
        self._reserved = end
        return True


class View:
    """Another process's arena, for reading. It stays mapped while somebody holds a view of :attr:`memory`.

    Args:
        descriptor: of its file; closed in any case.

    Raises:
        ProtocolError: where it is no sealed memory file of a size that may be.
    """

    def __init__(self, descriptor: int) -> None:
        try:
            self._mapped = self._map(descriptor)
        finally:
            os.close(descriptor)
        self.memory = memoryview(self._mapped).toreadonly()

    def put_aside(self, start: int, end: int) -> None:
        """What lies there counts as this process's memory no more; it can still be read."""
        start -= start % mmap.PAGESIZE
        if start < end <= len(self.memory):
            self._mapped.madvise(mmap.MADV_DONTNEED, start, end - start)

    @staticmethod
    def _map(descriptor: int) -> mmap.mmap:
        wanted = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
        try:
            if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & wanted != wanted:
                raise ProtocolError("shared memory must be sealed against a change of its size")
            size = os.fstat(descriptor).st_size
            if not 0 < size <= MAX_ARENA_BYTES:
                raise ProtocolError(f"shared memory of {size} bytes")
            return mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
        except (OSError, ValueError) as error:
            raise ProtocolError(f"not a memory file: {error}") from None
