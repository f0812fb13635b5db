"""The memory that a client shares with workers on its host: they read its batches there, it their results.

It is opened for each connection to the broker, and ends with it: what was on its way then is lost, and is
sent again on the next. Only the arena stays. Results are copied out as soon as they are read.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from augfarm.protocol import limits
from augfarm.protocol.bodies import Buffer, Parts, Placement, placement_of
from augfarm.protocol.codec import Tree, decode_body
from augfarm.protocol.errors import ProtocolError
from augfarm.protocol.memory import MIN_PLACED_BYTES, Arena, Region, View
from augfarm.protocol.messages import Offer
from augfarm.protocol.sharing import Peer, listen

__all__ = ["SharedMemory"]

#: How much of all workers' memories together may count as this process's own once it has been read. What lies
#: further out is put aside, which takes nearly as long as to copy it.
RESIDENT_BYTES = 16 * limits.MIB

_memories: weakref.WeakSet[SharedMemory] = weakref.WeakSet()


class _Lying:
    """What an array of :meth:`SharedMemory.empty` is a view of: its part of the arena is its own."""

    def __init__(self, arena: Arena, start: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._arena, self._start = arena, start
        address = _address_of(arena.memory) + start
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (address, False),
        }

    def __del__(self) -> None:
        self._arena.give(self._start)


def _address_of(buffer: memoryview) -> int:
    address: int = np.frombuffer(buffer, np.uint8).ctypes.data
    return address


def _offset_in(arena: Arena, buffer: memoryview) -> int | None:
    """Where the buffer begins in the arena, if it lies there."""
    offset = _address_of(buffer) - _address_of(arena.memory) if len(buffer) else -1
    return offset if 0 <= offset <= len(arena.memory) - len(buffer) else None


@dataclass
class _Gone:
    """A worker that has ended. What it sent before may still come, as the answers to these requests."""

    view: View
    requests: set[int] = field(default_factory=set)


class SharedMemory:
    """What one client shares. For the link's thread, except :meth:`place`.

    Args:
        octets: how large its arena may become; 0: nothing is shared.
    """

    def __init__(self, octets: int) -> None:
        self._octets = octets
        self._arena: Arena | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._listener: socket.socket | None = None
        self._secret = b""
        self._peers: list[Peer] = []
        self._gone: dict[bytes, _Gone] = {}
        #: Where results lay that nobody reads any more.
        self._read: list[Placement] = []
        #: Whether the broker takes batches that lie here.
        self._in_use = False
        _memories.add(self)

    # --- the connection ------------------------------------------------------------------------------------

    def open(self, session: int) -> Offer | None:
        """Listen for workers; what to offer to the broker, or None where nothing is shared."""
        self.end()
        if not self._octets:
            return None
        try:
            if self._make_arena() is None:
                return None
            self._listener, name, self._secret = listen()
        except OSError:  # no such sockets: frames travel
            return None
        return Offer(session, name, self._secret)

    def _make_arena(self) -> Arena | None:
        with self._lock:
            if self._arena is None and self._octets and not self._closed:
                with contextlib.suppress(OSError):  # the system has no memory
                    self._arena = Arena(self._octets)
            return self._arena

    def attached(self) -> None:
        """The broker sees the memory: batches may lie there."""
        self._in_use = self._listener is not None

    def end(self) -> None:
        """The connection has ended, and with it all that was lent on it."""
        self._in_use = False
        for peer in self._peers:
            peer.close()
        self._peers.clear()
        self._gone.clear()
        self._read.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def close(self) -> None:
        """The client is closed."""
        self.end()
        self._closed = True
        if self._arena is not None:
            self._arena.close()
            self._arena = None

    def descriptors(self) -> set[int]:
        """What to wait for."""
        listener = [] if self._listener is None else [self._listener.fileno()]
        return {*listener, *(peer.fileno() for peer in self._peers)}

    def hear(self, ready: Iterable[int], requests: Iterable[int]) -> None:
        """Something has come on these descriptors. `requests`: those that have no answer yet."""
        ready = set(ready)
        for peer in [peer for peer in self._peers if peer.fileno() in ready]:
            if self._arena is None or not peer.receive(self._secret, self._arena):
                self._peers.remove(peer)
                peer.close()
                if peer.view is not None:
                    self._gone[peer.number] = _Gone(peer.view, set(requests))
        if self._listener is not None and self._listener.fileno() in ready:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = self._listener.accept()
                    self._peers.append(Peer(connection))

    # --- batches -------------------------------------------------------------------------------------------

    def place(self, parts: Parts) -> Region | None:
        """A batch where workers read it; None: it has to travel as frames. From any thread.

        Buffers of :meth:`empty`'s arrays lie there already, all others are copied.
        """
        arena = self._arena
        if not self._in_use or arena is None or parts.octets < MIN_PLACED_BYTES:
            return None
        return arena.place(parts, [_offset_in(arena, buffer) for buffer in parts.buffers])

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """An array that lies where workers read it, or an ordinary one where there is no room. Any thread."""
        size = int(dtype.itemsize * np.prod(shape, dtype=object))
        arena = self._make_arena() if size >= MIN_PLACED_BYTES else None
        start = None if arena is None else arena.take(size)
        if arena is None or start is None:
            return np.empty(shape, dtype)
        return np.asarray(_Lying(arena, start, shape, dtype))

    def read(self, body: list[Buffer]) -> Tree:
        """The tree that a result's body holds, copied out of its worker's memory where it lies there.

        No two arrays of it share memory.

        Raises:
            ProtocolError: as :func:`decode_body`.
        """
        try:
            return decode_body(body, self._find, copy=True, separate=True)
        finally:
            self.discard(body)

    def discard(self, body: list[Buffer]) -> None:
        """Nobody wants this result: its worker may use the place again, as :meth:`release` will tell it."""
        with contextlib.suppress(ProtocolError, IndexError):
            placement = placement_of(body)
            if placement is not None:
                self._read.append(placement)

    def release(self) -> None:
        """Tell workers which of their places are free: several at once, since each word wakes one."""
        if not self._read:
            return
        for peer in self._peers:
            mine = [placement for placement in self._read if placement.memory == peer.number]
            if not mine:
                continue
            for placement in mine:
                end = max(map(sum, zip(placement.offsets, placement.lengths[1:], strict=True)), default=0)
                if peer.view is not None and end > RESIDENT_BYTES // len(self._peers):
                    peer.view.put_aside(placement.start, end)
            peer.release(placement.start for placement in mine)
        self._read.clear()

    def answered(self, requests: Iterable[int]) -> None:
        """These have their answers, or want none any more."""
        if self._gone:
            requests = set(requests)
            for gone in self._gone.values():
                gone.requests -= requests
            self._gone = {number: gone for number, gone in self._gone.items() if gone.requests}

    def _find(self, number: bytes) -> memoryview | None:
        views = [peer.view for peer in self._peers if peer.number == number]
        if number in self._gone:
            views.append(self._gone[number].view)
        return next((view.memory for view in views if view is not None), None)


def _after_fork_in_child() -> None:
    """A child that held these open would keep workers from seeing that the client has ended."""
    for memory in list(_memories):
        with contextlib.suppress(OSError):
            memory.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
