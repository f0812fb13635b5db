"""How processes of one host come to share memory: a client listens, workers and its broker connect.

Linux only. The client listens at an abstract Unix socket, whose name has no file and exists only in its own
network namespace, and tells name and secret to its broker (OFFER), which tells the workers. Packets:

- peer to client: the secret, then the number of the peer's arena, with its descriptor (zeros: it has none);
- client to peer: the number of the client's arena, with its descriptor;
- client to peer, from then on: where regions of the peer's arena begin that nobody reads any more, in eight
  octets each.

Nothing here ever waits: a client that is frozen does not answer, and its memory is not used.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import struct
from collections.abc import Iterable

from . import limits
from .errors import ProtocolError
from .memory import Arena, View

__all__ = ["Attachment", "Peer", "listen"]

NO_ARENA = bytes(limits.MEMORY_NUMBER_BYTES)
#: Peers that have connected and were not heard yet.
BACKLOG = 256
MAX_PACKET = 4096
_START = struct.Struct("<Q")


def _address(name: bytes) -> bytes:
    return b"\0augfarm-" + name.hex().encode()


def listen() -> tuple[socket.socket, bytes, bytes]:
    """A socket that peers can connect to, its name, and the secret that they must know.

    Raises:
        OSError: where the system has no such sockets.
    """
    name, secret = secrets.token_bytes(limits.MEMORY_NUMBER_BYTES), secrets.token_bytes(limits.TOKEN_BYTES)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.setblocking(False)
        listener.bind(_address(name))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener, name, secret


class Attachment:
    """A peer's end: it attaches to a client's memory and lends its own.

    Args:
        name, secret: as the client has offered.
        arena: what the client may read, or None.

    Raises:
        OSError: where no such client is on this host.

    Attributes:
        number: of the client's arena; b"" until it has come.
    """

    def __init__(self, name: bytes, secret: bytes, arena: Arena | None = None) -> None:
        self.number = b""
        self.view: View | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._socket.setblocking(False)
            self._socket.connect(_address(name))
            words = secret + (NO_ARENA if arena is None else arena.number)
            _send(self._socket, words, None if arena is None else arena.descriptor)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The descriptor, to wait until something has come."""
        return self._socket.fileno()

    def receive(self) -> list[int] | None:
        """Where regions of the arena begin that are free again; None at the end: drop the attachment."""
        starts: list[int] = []
        while True:
            try:
                words, descriptor = _receive(self._socket)
            except BlockingIOError:
                return starts
            except OSError:
                return None
            if not words:
                return None
            if self.view is not None:
                starts += [start for (start,) in _START.iter_unpack(words[: len(words) & ~7])]
                continue
            if descriptor is None or len(words) != limits.MEMORY_NUMBER_BYTES:
                return None
            try:
                self.view = View(descriptor)
            except ProtocolError:
                return None
            self.number = words

    def close(self) -> None:
        """Leave. Views of the client's memory stay good while somebody holds one."""
        self._socket.close()


class Peer:
    """The client's end of an attachment, as :func:`listen`'s socket has accepted it."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._unsent: list[int] = []
        self.number = b""
        self.view: View | None = None
        self.greeted = False

    def fileno(self) -> int:
        """The descriptor, to wait until something has come."""
        return self._socket.fileno()

    def receive(self, secret: bytes, arena: Arena) -> bool:
        """Hear the peer, and lend it the arena. False: it is gone, or no peer of ours; close it."""
        try:
            words, descriptor = _receive(self._socket)
        except BlockingIOError:
            return True
        except OSError:
            return False
        known = len(words) == len(secret) + limits.MEMORY_NUMBER_BYTES
        if self.greeted or not known or not secrets.compare_digest(words[: len(secret)], secret):
            if descriptor is not None:
                os.close(descriptor)
            return False
        try:
            self.view = None if descriptor is None else View(descriptor)
            _send(self._socket, arena.number, arena.descriptor)
        except (OSError, ProtocolError):
            return False
        self.number, self.greeted = words[len(secret) :], True
        return True

    def release(self, starts: Iterable[int]) -> None:
        """Nobody reads these regions of its arena any more."""
        self._unsent += starts
        with contextlib.suppress(OSError):  # it will be sent with the next, or the peer is gone
            while self._unsent:
                some = self._unsent[: MAX_PACKET // _START.size]
                _send(self._socket, b"".join(map(_START.pack, some)), None)
                del self._unsent[: len(some)]

    def close(self) -> None:
        """Leave."""
        self._socket.close()


def _send(peer: socket.socket, words: bytes, descriptor: int | None) -> None:
    flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
    socket.send_fds(peer, [words], [] if descriptor is None else [descriptor], flags)


def _receive(peer: socket.socket) -> tuple[bytes, int | None]:
    """A packet, and the descriptor that came with it; b"" at the end."""
    words, descriptors, _flags, _from = socket.recv_fds(peer, MAX_PACKET, 4, socket.MSG_DONTWAIT)
    for surplus in descriptors[1:]:
        os.close(surplus)
    return words, descriptors[0] if descriptors else None
