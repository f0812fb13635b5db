"""The options that every socket of the farm has, on both sides of a connection.

A socket's options apply to the connections made after they are set: configure first, then bind or connect.
"""

from __future__ import annotations

import zmq

from . import limits

__all__ = ["LINGER_MS", "configure"]

#: How long a closed socket may go on sending its last messages (a Goodbye, a result), in milliseconds.
#: A peer that does not read them for longer is told nothing; it finds out by itself.
LINGER_MS = 1000


def configure(socket: zmq.Socket[bytes], *, frame_bytes: int, send_messages: int = 0) -> None:
    """Sets heartbeats, limits and queues of a socket that is neither bound nor connected yet.

    Args:
        socket: a DEALER or ROUTER.
        frame_bytes: the longest frame that is taken; a peer that sends a longer one is disconnected.
        send_messages: messages that may wait to be sent to one peer. 0, no bound: credit bounds them.
    """
    # A full queue would drop on a ROUTER and block on a DEALER: flow is governed by credit alone.
    socket.sndhwm = send_messages
    # No bound: where heartbeats are on and a queue of incoming messages is full, libzmq (4.3.5) aborts the
    # whole process when the connection fails (zeromq/libzmq#4364, #3937).
    socket.rcvhwm = 0
    socket.maxmsgsize = frame_bytes
    socket.linger = LINGER_MS
    # In libzmq's own thread: they pass while Python holds the GIL and stop with the process.
    socket.heartbeat_ivl = limits.HEARTBEAT_INTERVAL_MS
    socket.heartbeat_timeout = limits.HEARTBEAT_TIMEOUT_MS
    # "tcp://localhost" may be either; a name without IPv6 is still reached by IPv4.
    socket.ipv6 = True
    # Heartbeats do what TCP keepalive would do, sooner.
    socket.tcp_keepalive = 0
