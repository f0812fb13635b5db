"""Which connections of one ROUTER have ended, and who ended them (docs/design.md, "How the broker notices").

libzmq tells that the connection behind a file descriptor has ended, not whose it was: the number is compared
with that of each connection's first message. Descriptors are reused, and the news may come before the
routing table knows, so every connection with the number is a *suspect*: it is sent a probe, which fails when
it is gone and means nothing to a peer that is there.

Heartbeats wait their turn behind what is being sent, so they may say nothing of a peer that froze, or was cut
off, while a message was on its way to it. There the bytes tell that nobody takes them: a *flow* is a watched
connection to which something was sent, until all of it is taken.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import select
import socket
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass

from augfarm.protocol import limits

__all__ = ["Liveness"]

#: The routing table is behind the news by about a millisecond; in seconds.
FIRST_PROBE_S = 0.001
#: A suspect that still takes probes after this time, in seconds, has another connection's number, unless its
#: descriptor is no longer its socket: then the routing table is very late, and it is probed so often.
SUSPICION_S = 1.0
#: How long a connection may stay open after its last word, in seconds: on a slow link that word has a way
#: to go.
RETIRED_S = 2.0
#: When a flow is looked at, in seconds after a message: nearly all have been taken by then.
FIRST_LOOK_S = limits.HEARTBEAT_INTERVAL_MS / 1000
#: How often it is looked at from then on, in seconds: a peer that reads may leave the same number by chance.
NEXT_LOOK_S = 0.1
#: After how long without a change the peer is frozen or cut off, in seconds. Heartbeats are to notice first
#: where they can; and after a link was down for 2.9 s tcp tries again within 3.1 s.
FROZEN_S = limits.HEARTBEAT_TIMEOUT_MS / 1000 + 0.5
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
    #: Whether the socket was read since it was found gone: what it sent last may have come just before.
    is_read: bool = False


@dataclass(slots=True)
class _Flow:
    untaken: int
    since: float
    look_at: float


class Liveness:
    """The connections of one ROUTER.

    Args:
        probe: sends something without effect to a connection; False where that is not possible.
    """

    def __init__(self, probe: Callable[[bytes], bool]) -> None:
        self._probe = probe
        self._descriptors: dict[bytes, int] = {}
        self._connections: dict[int, set[bytes]] = {}
        #: What the descriptors were of when the first messages came; see :func:`_socket_of`.
        self._sockets: dict[bytes, int | None] = {}
        #: Duplicates of workers' descriptors: they outlive libzmq's own and tell who closed.
        self._duplicates: dict[bytes, int] = {}
        self._suspects: dict[bytes, _Suspect] = {}
        #: When to look first at what was sent to a watched connection; in the order of these times.
        self._sent: dict[bytes, float] = {}
        #: What had not been taken by then.
        self._flows: dict[bytes, _Flow] = {}
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
        self._sockets[connection] = _socket_of(descriptor)
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

    def sent(self, connection: bytes, now: float) -> None:
        """Something is on its way to this connection. If it is watched, and does not read, it is cut."""
        if connection in self._duplicates and connection not in self._flows:
            self._sent.setdefault(connection, now + FIRST_LOOK_S)

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
        suspect = self._suspects.setdefault(connection, _Suspect(now, now))
        suspect.is_gone, suspect.probe_at = True, min(now, suspect.probe_at)

    def deadline(self) -> float | None:
        """When :meth:`lost` should be called although nothing came in, or None."""
        times = [suspect.probe_at for suspect in self._suspects.values()]
        times += [flow.look_at for flow in self._flows.values()]
        # These are in the order of their times.
        times += [retired.cut_at for retired in itertools.islice(self._retired.values(), 1)]
        times += itertools.islice(self._sent.values(), 1)
        return min(times, default=None)

    def lost(self, now: float, *, all_read: bool) -> list[tuple[bytes, bool]]:
        """The connections that are gone, each once, and whether their peers closed them.

        Call it after each reading of the socket. A connection's last messages are read before its end is
        told, unless that takes longer than a second: one that is found gone here is told the next time.

        Args:
            all_read: whether the socket had nothing more to read.
        """
        if all_read:
            self._lost.clear()
        gone = []
        for connection, suspect in list(self._suspects.items()):
            if suspect.is_read and (all_read or now > suspect.since + SUSPICION_S):
                gone.append((connection, self._forget(connection)))
        if not all_read:
            self._lost.update(connection for connection, _ in gone)
        self._cut_retired(now)
        self._look_at_flows(now)
        for connection, suspect in list(self._suspects.items()):
            if not suspect.is_gone and now >= suspect.probe_at:
                self._put_to_the_proof(connection, suspect, now)
            suspect.is_read = suspect.is_gone
        return gone

    def close(self) -> None:
        """Close what is kept."""
        for connection in list(self._duplicates):
            self._unwatch(connection)

    def _cut_retired(self, now: float) -> None:
        for connection in [c for c, retired in self._retired.items() if now >= retired.cut_at]:
            del self._retired[connection]
            self._cut(connection, now)

    def _look_at_flows(self, now: float) -> None:
        for connection, look_at in list(itertools.takewhile(lambda i: i[1] <= now, self._sent.items())):
            del self._sent[connection]
            self._flows[connection] = _Flow(-1, now, look_at)
        for connection, flow in list(self._flows.items()):
            if now < flow.look_at:
                continue
            untaken = _untaken(self._duplicates.get(connection))
            if not untaken:
                del self._flows[connection]
            elif untaken != flow.untaken:
                flow.untaken, flow.since, flow.look_at = untaken, now, now + NEXT_LOOK_S
            elif now < flow.since + FROZEN_S:
                flow.look_at = now + NEXT_LOOK_S
            else:
                del self._flows[connection]
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
            # libzmq's thread may be kept from running, between what it tells and what it does, for longer.
            if _socket_of(self._descriptors[connection]) == self._sockets[connection]:
                del self._suspects[connection]
            else:
                suspect.probe_at = now + SUSPICION_S
        else:
            suspect.probe_at = now + suspect.pause
            suspect.pause *= 2

    def _forget(self, connection: bytes) -> bool:
        closed_by_peer = self._was_closed_by_peer(connection)
        self._unwatch(connection)
        for kept in (self._retired, self._suspects, self._sent, self._flows):
            kept.pop(connection, None)
        descriptor = self._descriptors.pop(connection, None)
        self._sockets.pop(connection, None)
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


def _socket_of(descriptor: int) -> int | None:
    """What tells this descriptor's socket from others that had or will have its number; None: it has none."""
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return None


def _untaken(duplicate: int | None) -> int:
    """The bytes that were sent over this socket and that its peer has not taken; 0 where nobody knows."""
    if duplicate is None:
        return 0
    try:
        (untaken,) = struct.unpack("i", fcntl.ioctl(duplicate, termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return 0
    return int(untaken)
