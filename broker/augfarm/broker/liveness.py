"""Which connections of one ROUTER have ended, and who ended them (docs/design.md, "How the broker notices").

libzmq tells that the connection behind a file descriptor has ended, not whose it was: the number is compared
with that of each connection's first message. Descriptors are reused, and the news may come before the
routing table knows, so every connection with the number is a *suspect*: it is sent a probe, which fails when
it is gone and means nothing to a peer that is there.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Liveness"]

#: The routing table is behind the news by about a millisecond; in seconds.
FIRST_PROBE_S = 0.001
#: A suspect that still takes probes after this time has another connection's number, in seconds.
SUSPICION_S = 1.0
#: How long a connection may stay open after its last word, in seconds: on a slow link that word has a way
#: to go.
RETIRED_S = 2.0
#: What connections may have unread between them after their last words, in bytes: beyond it the oldest are
#: cut at once. It counts for nobody's window, and a peer may open session after session and read nothing.
MOST_UNREAD = 16 * 1024 * 1024
#: What a poll of a closed connection shows; macOS has no POLLRDHUP and shows POLLHUP.
_CLOSED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP


@dataclass(slots=True)
class _Retired:
    cut_at: float
    unread: int


@dataclass(slots=True)
class _Suspect:
    since: float
    probe_at: float
    pause: float = FIRST_PROBE_S
    is_gone: bool = False


class Liveness:
    """The connections of one ROUTER.

    Args:
        probe: sends something without effect to a connection; False where that is not possible.
    """

    def __init__(self, probe: Callable[[bytes], bool]) -> None:
        self._probe = probe
        self._descriptors: dict[bytes, int] = {}
        self._connections: dict[int, set[bytes]] = {}
        #: Duplicates of workers' descriptors: they outlive libzmq's own and tell who closed.
        self._duplicates: dict[bytes, int] = {}
        self._suspects: dict[bytes, _Suspect] = {}
        #: Connections that have had their last word, the longest ago first.
        self._retired: dict[bytes, _Retired] = {}
        #: Connections whose loss was told before all that they had sent was read.
        self._lost: set[bytes] = set()
        #: Descriptors whose end was told, and until when it may concern a connection not yet seen.
        self._ended: dict[int, float] = {}

    def knows(self, connection: bytes) -> bool:
        """Whether :meth:`seen` was told of it."""
        return connection in self._descriptors

    def is_over(self, connection: bytes) -> bool:
        """Whether what still comes from it is nothing: it has had its last word, or its loss was told."""
        return connection in self._retired or connection in self._lost

    def seen(self, connection: bytes, descriptor: int, now: float) -> None:
        """A connection's first message came over this descriptor."""
        self._descriptors[connection] = descriptor
        self._connections.setdefault(descriptor, set()).add(connection)
        # It may have ended before its first message was read.
        if self._ended.get(descriptor, now) > now:
            self._suspect(connection, now)

    def watch(self, connection: bytes) -> None:
        """Keep what tells who closed this connection, as soon as it ends."""
        descriptor = self._descriptors.get(connection, -1)
        # Without descriptors to spare nobody is blamed: the connection counts as cut off.
        with contextlib.suppress(OSError):
            self._duplicates[connection] = os.dup(descriptor)

    def retire(self, connection: bytes, unread: int, now: float) -> None:
        """The connection has had its last word. If its peer does not close it soon, it is cut.

        Args:
            unread: what was sent on it and may lie in its queue, in bytes.
        """
        self._hold(connection)
        self._retired[connection] = _Retired(now + RETIRED_S, unread)
        total = sum(each.unread for each in self._retired.values())
        for each in self._retired.values():
            if total <= MOST_UNREAD:
                break
            each.cut_at = now
            total -= each.unread

    def overflowed(self, connection: bytes, now: float) -> None:
        """No more fits into the connection's queue, since its peer does not read. It is cut."""
        self._hold(connection)
        self._cut(connection, now)

    def _hold(self, connection: bytes) -> None:
        """Keep what can cut the connection.

        What is queued for it would stay in memory as long as it is open, and libzmq closes no connection of
        a ROUTER when told to. The duplicate can be shut down, and libzmq sees that.
        """
        descriptor = self._descriptors.get(connection, -1)
        # Another connection with this number means that ours has ended: the number is the other's now.
        alone = len(self._connections.get(descriptor, ())) == 1
        is_there = connection not in self._suspects or self._probe(connection)
        if connection not in self._duplicates and alone and is_there:
            self.watch(connection)

    def _unwatch(self, connection: bytes) -> None:
        duplicate = self._duplicates.pop(connection, None)
        if duplicate is not None:
            os.close(duplicate)

    def descriptor_ended(self, descriptor: int, now: float) -> None:
        """The monitor says that the connection over this descriptor has ended."""
        self._ended = {d: until for d, until in self._ended.items() if until > now}
        self._ended[descriptor] = now + SUSPICION_S
        for connection in self._connections.get(descriptor, ()):
            self._suspect(connection, now)

    def unreachable(self, connection: bytes, now: float) -> None:
        """A message to this connection could not be sent."""
        self._suspects[connection] = _Suspect(now, now, is_gone=True)

    def deadline(self) -> float | None:
        """When :meth:`lost` should be called although nothing came in, or None."""
        times = [suspect.probe_at for suspect in self._suspects.values()]
        times += [retired.cut_at for retired in itertools.islice(self._retired.values(), 1)]
        return min(times, default=None)

    def lost(self, now: float, *, all_read: bool) -> list[tuple[bytes, bool]]:
        """The connections that are gone, each once, and whether their peers closed them.

        Args:
            all_read: whether the socket has nothing more to read. A connection's last messages are read
                before its end is told, unless that takes longer than a second.
        """
        self._cut_retired(now)
        if all_read:
            self._lost.clear()
        gone = []
        for connection, suspect in list(self._suspects.items()):
            if not suspect.is_gone and now >= suspect.probe_at:
                self._put_to_the_proof(connection, suspect, now)
            if suspect.is_gone and (all_read or now > suspect.since + SUSPICION_S):
                gone.append((connection, self._forget(connection)))
        if not all_read:
            self._lost.update(connection for connection, _ in gone)
        return gone

    def close(self) -> None:
        """Close what is kept."""
        for connection in list(self._duplicates):
            self._unwatch(connection)

    def _cut_retired(self, now: float) -> None:
        for connection in [c for c, retired in self._retired.items() if now >= retired.cut_at]:
            del self._retired[connection]
            self._cut(connection, now)

    def _cut(self, connection: bytes, now: float) -> None:
        duplicate = self._duplicates.pop(connection, None)
        if duplicate is None:
            return
        with contextlib.suppress(OSError), socket.socket(fileno=duplicate) as end:
            end.shutdown(socket.SHUT_RDWR)
        # libzmq takes probes for it until its own thread has seen the end.
        self.unreachable(connection, now)

    def _suspect(self, connection: bytes, now: float) -> None:
        self._suspects.setdefault(connection, _Suspect(now, now))

    def _put_to_the_proof(self, connection: bytes, suspect: _Suspect, now: float) -> None:
        if not self._probe(connection):
            suspect.is_gone = True
            suspect.probe_at = now
        elif now > suspect.since + SUSPICION_S:
            del self._suspects[connection]
        else:
            suspect.probe_at = now + suspect.pause
            suspect.pause *= 2

    def _forget(self, connection: bytes) -> bool:
        closed_by_peer = self._was_closed_by_peer(connection)
        self._unwatch(connection)
        self._retired.pop(connection, None)
        self._suspects.pop(connection, None)
        descriptor = self._descriptors.pop(connection, None)
        if descriptor is not None:
            others = self._connections[descriptor]
            others.discard(connection)
            if not others:
                del self._connections[descriptor]
        return closed_by_peer

    def _was_closed_by_peer(self, connection: bytes) -> bool:
        duplicate = self._duplicates.get(connection)
        if duplicate is None:
            return False
        poller = select.poll()
        poller.register(duplicate, _CLOSED)
        return any(events & _CLOSED for _, events in poller.poll(0))
