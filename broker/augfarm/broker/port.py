"""One of the broker's two sockets, with what watches it: bytes in, events out; actions in, bytes out."""

from __future__ import annotations

import errno
import socket as sockets_of_python
import struct
from collections.abc import Sequence

import zmq

from augfarm.protocol import messages
from augfarm.protocol.errors import ProtocolError
from augfarm.protocol.keys import BrokerKeys
from augfarm.protocol.sockets import configure, receive_frames, send_frames

from .addresses import check_bind, readable
from .events import CommandReceived, ConnectionLost, Event, GarbageReceived, Send, Side
from .liveness import Liveness
from .wire import body_fault

__all__ = ["CannotBind", "Port"]

#: Messages read before other sockets and deadlines get their turn.
BURST = 100
#: Messages to one connection that wait to be sent: more than credit and window allow. A peer that asks and
#: does not read is treated as gone.
UNSENT_MESSAGES = 2048

#: Commands that a peer knows to be about nothing of its own: no pipeline and no request has these names.
_PROBES: dict[Side, messages.Command] = {
    "client": messages.Attempt(2**63 - 1, 0),
    "worker": messages.Forget(bytes(32)),
}
#: What may come in. A greeting of the other side is let through for the core to say what was mixed up.
_ALLOWED: dict[Side, frozenset[type[messages.Command]]] = {
    "client": messages.FROM_CLIENT | {messages.Join},
    "worker": messages.FROM_WORKER | {messages.Hello, messages.Status},
}
#: What the system's own words do not make clear.
_BIND_ERRORS = {
    errno.ENODEV: "this machine has no such address",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EADDRINUSE: "another process does already",
    errno.ENAMETOOLONG: "the path is too long for a socket",
}


class CannotBind(Exception):
    """The operator's: the broker cannot listen where it was told to. The text says why, in one line."""


class Port:
    """The ROUTER to which all clients, or all workers, connect.

    Args:
        address: where to listen.
        frame_bytes: the longest frame that is taken.
        keys: who is let in; None: everybody.

    Raises:
        CannotBind: if it cannot listen there.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        side: Side,
        address: str,
        frame_bytes: int,
        keys: BrokerKeys | None = None,
    ) -> None:
        self.side: Side = side
        self.socket = context.socket(zmq.ROUTER)
        configure(
            self.socket,
            frame_bytes=frame_bytes,
            encrypted=keys is not None,
            send_messages=UNSENT_MESSAGES,
            # A connection that the kernel has ended looks like one that its peer has closed, and a worker
            # that was cut off must not look like one that died. Liveness sees to those.
            kernel_gives_up=side == "client",
        )
        self.socket.router_mandatory = True
        self._has_keys = keys is not None
        if keys is not None:
            keys.apply(self.socket, side)
        self.monitor = self._open_monitor(context)
        self._liveness = Liveness(self._probe)
        self._allowed = _ALLOWED[side]
        self._probe_frame = messages.encode(_PROBES[side])
        self._all_read = True
        try:
            self._bind(address)
        except CannotBind:
            self.close(linger_ms=0)
            raise
        self.endpoint = readable(self.socket.getsockopt_string(zmq.LAST_ENDPOINT))

    # --- in ------------------------------------------------------------------------------------------------

    def receive(self, now: float) -> list[Event]:
        """What has come in, without waiting; at most BURST messages."""
        events: list[Event] = []
        for _ in range(BURST):
            try:
                frames = receive_frames(self.socket)
            except zmq.Again:
                self._all_read = True
                break
            if not self._liveness.is_over(frames[0].bytes):
                events.append(self._read(frames, now))
        else:
            self._all_read = False
        return events

    def lost(self, now: float) -> list[Event]:
        """The connections that have ended. Call it after what :meth:`receive` gave was handled."""
        found = self._liveness.lost(now, all_read=self._all_read)
        return [ConnectionLost(self.side, connection, closed) for connection, closed in found]

    def deadline(self) -> float | None:
        """When :meth:`lost` should be called although nothing came in, or None."""
        return self._liveness.deadline()

    def _read(self, frames: Sequence[zmq.Frame], now: float) -> Event:
        connection = frames[0].bytes
        if not self._liveness.knows(connection):
            descriptor = _descriptor(frames[-1])
            if descriptor >= 0:
                self._liveness.seen(connection, descriptor, now)
        if len(frames) < 2:
            return GarbageReceived(self.side, connection, "a message without frames")
        try:
            command = messages.decode(frames[1].buffer, self._allowed)
        except ProtocolError as error:
            return GarbageReceived(self.side, connection, str(error))
        body = frames[2:]
        octets = sum(map(len, body))
        fault = body_fault(command, len(body), octets)
        if fault:
            return GarbageReceived(self.side, connection, fault)
        user_id = _user_id(frames[-1]) if self._has_keys else ""
        return CommandReceived(self.side, connection, command, body, octets, user_id)

    def read_monitor(self, now: float) -> None:
        """Hear which connections have ended; before :meth:`receive`, where :attr:`monitor` is readable."""
        while True:
            try:
                event, _endpoint = self.monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            _kind, descriptor = struct.unpack("=hi", event)
            self._liveness.descriptor_ended(descriptor, now)

    # --- out -----------------------------------------------------------------------------------------------

    def send(self, action: Send, now: float) -> None:
        """Send it without waiting; a peer that is not there or does not read will be told as lost."""
        error = self._try_to_send([action.connection, messages.encode(action.command), *action.body])
        if error == errno.EHOSTUNREACH:
            self._liveness.unreachable(action.connection, now)
        elif error == errno.EAGAIN:
            self._liveness.overflowed(action.connection, now)
        else:
            self._liveness.sent(action.connection, now)

    def watch(self, connection: bytes) -> None:
        """Keep what tells who closes this connection."""
        self._liveness.watch(connection)

    def retire(self, connection: bytes, unread: int, now: float) -> None:
        """The core is done with this connection: it has had its last word, and so many bytes before."""
        self._liveness.retire(connection, unread, now)

    def close(self, linger_ms: int) -> None:
        """Close the socket; what is still to be sent may take so long."""
        self.socket.disable_monitor()
        self.monitor.close(0)
        self._liveness.close()
        self.socket.close(linger_ms)

    def _probe(self, connection: bytes) -> bool:
        # A queue that is full is one that is there.
        return self._try_to_send([connection, self._probe_frame]) != errno.EHOSTUNREACH

    def _try_to_send(self, frames: Sequence[bytes | zmq.Frame]) -> int:
        """0, EHOSTUNREACH where there is no such connection, or EAGAIN where its queue is full."""
        try:
            # Bodies are the frames that came in: libzmq counts references to them, nothing is copied.
            send_frames(self.socket, frames)
        except zmq.ZMQError as error:
            if error.errno not in (errno.EHOSTUNREACH, errno.EAGAIN):
                raise
            return error.errno
        return 0

    # --- making it -----------------------------------------------------------------------------------------

    def _open_monitor(self, context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
        address = f"inproc://monitor-{self.side}"
        self.socket.monitor(address, zmq.EVENT_DISCONNECTED)
        monitor = context.socket(zmq.PAIR)
        # libzmq's own thread would wait for room, and nothing would move meanwhile.
        monitor.rcvhwm = 0
        monitor.connect(address)
        return monitor

    def _bind(self, address: str) -> None:
        try:
            check_bind(address)
            if address.startswith("ipc://") and _answers(address.removeprefix("ipc://")):
                # libzmq would take the path from whoever listens there.
                raise CannotBind(f"cannot listen at {address}: another process does already")
            self.socket.bind(address)
        except ValueError as error:
            raise CannotBind(f"--{self.side}s: {error}") from None
        except zmq.ZMQError as error:
            text = _BIND_ERRORS.get(error.errno or 0) or zmq.strerror(error.errno or 0)
            raise CannotBind(f"cannot listen at {address}: {text}") from None


def _descriptor(frame: zmq.Frame) -> int:
    """The descriptor that a frame came over, or -1 for one from inside this process."""
    try:
        return int(frame.get(zmq.SRCFD))
    except zmq.ZMQError:
        return -1


def _user_id(frame: zmq.Frame) -> str:
    """The key that this connection has proven, or "" for one from inside this process."""
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return ""


def _answers(path: str) -> bool:
    with sockets_of_python.socket(sockets_of_python.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True
