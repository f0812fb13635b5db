"""The options that every socket of the farm has, on both sides of a connection.

A socket's options apply to the connections made after they are set: configure first, then bind or connect.
"""

from __future__ import annotations

from collections.abc import Sequence

import zmq

from . import limits

__all__ = ["GIVE_UP_MS", "LINGER_MS", "configure", "receive_frames", "send_frames"]

#: How long a closed socket may go on sending its last messages (a Goodbye, a result), in milliseconds.
#: A peer that does not read them for longer is told nothing; it finds out by itself.
LINGER_MS = 1000
#: How long the kernel goes on sending what a peer does not take, in milliseconds: as long as a heartbeat may
#: take to be missed. Heartbeats wait their turn behind what is being sent, and the kernel's own patience is a
#: quarter of an hour.
GIVE_UP_MS = limits.HEARTBEAT_INTERVAL_MS + limits.HEARTBEAT_TIMEOUT_MS

#: What CURVE adds to each frame, in bytes: a command's name, a nonce, the MAC and the flags (RFC 26,
#: MESSAGE). libzmq's limit counts them.
CURVE_OVERHEAD_BYTES = 33

#: As plain numbers: pyzmq's own flags are enumerations, and their | takes as long as a small frame.
_NO_WAIT, _NO_WAIT_AND_MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK) | int(zmq.SNDMORE)


def receive_frames(socket: zmq.Socket[bytes]) -> list[zmq.Frame]:
    """The next message, without waiting and without a copy.

    Raises:
        zmq.Again: where there is none.
    """
    frame = socket.recv(_NO_WAIT, copy=False)
    frames = [frame]
    while frame.more:
        frame = socket.recv(0, copy=False)
        frames.append(frame)
    return frames


def send_frames(
    socket: zmq.Socket[bytes], frames: Sequence[bytes | bytearray | memoryview | zmq.Frame]
) -> None:
    """Queue a message without waiting. Large frames are not copied and must not change until they are sent.

    Raises:
        zmq.ZMQError: as the socket does, with nothing sent.
    """
    last = len(frames) - 1
    for number, frame in enumerate(frames):
        socket.send(
            frame,
            _NO_WAIT if number == last else _NO_WAIT_AND_MORE,
            copy=type(frame) is bytes and len(frame) < zmq.COPY_THRESHOLD,
        )


def configure(
    socket: zmq.Socket[bytes],
    *,
    frame_bytes: int,
    encrypted: bool = False,
    send_messages: int = 0,
    kernel_gives_up: bool = True,
) -> None:
    """Sets heartbeats, limits and queues of a socket that is neither bound nor connected yet.

    Args:
        socket: a DEALER or ROUTER.
        frame_bytes: the longest frame that is taken; a peer that sends a longer one is disconnected.
        encrypted: whether it is going to speak CURVE.
        send_messages: messages that may wait to be sent to one peer. 0, no bound: credit bounds them.
        kernel_gives_up: whether the kernel ends a tcp connection whose peer takes nothing for GIVE_UP_MS.
    """
    # A full queue would drop on a ROUTER and block on a DEALER: flow is governed by credit alone.
    socket.sndhwm = send_messages
    # No bound: where heartbeats are on and a queue of incoming messages is full, libzmq (4.3.5) aborts the
    # whole process when the connection fails (zeromq/libzmq#4364, #3937).
    socket.rcvhwm = 0
    socket.maxmsgsize = frame_bytes + (CURVE_OVERHEAD_BYTES if encrypted else 0)
    socket.linger = LINGER_MS
    # In libzmq's own thread: they pass while Python holds the GIL and stop with the process.
    socket.heartbeat_ivl = limits.HEARTBEAT_INTERVAL_MS
    socket.heartbeat_timeout = limits.HEARTBEAT_TIMEOUT_MS
    if kernel_gives_up:
        socket.tcp_maxrt = GIVE_UP_MS
    # "tcp://localhost" may be either; a name without IPv6 is still reached by IPv4.
    socket.ipv6 = True
    # Heartbeats do what TCP keepalive would do, sooner.
    socket.tcp_keepalive = 0
