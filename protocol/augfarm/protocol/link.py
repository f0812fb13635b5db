"""The connection of a client or a worker to its broker: made, watched and made again. For one thread.

libzmq never reconnects here: what was queued for the old connection would be sent on the new one before the
greeting. Instead a connection that ends, or on which the broker says nothing for WELCOME_TIMEOUT_S, is thrown
away with all that is queued on it, and after a wait that doubles up to RECONNECT_MAX_S another is made. The
greeting (HELLO or JOIN) is the first command on each.

    link = Link("tcp://broker:5555", Hello(...), TO_CLIENT)
    while True:
        ready = link.poll(timeout)        # waits; also for descriptors given to link.watch()
        for event in link.receive():      # CommandArrived, ConnectionEnded, GarbageArrived
            ...
        link.send(command, body)
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import zmq
from zmq.utils.monitor import recv_monitor_message

from . import limits, messages
from .codec import Buffer
from .errors import ProtocolError
from .keys import PeerKeys
from .messages import Command
from .sockets import configure, receive_frames, send_frames

__all__ = ["CommandArrived", "ConnectionEnded", "GarbageArrived", "Link", "LinkEvent", "check_address"]

#: The kernel's own back-off for a lost SYN is far longer than a broker's restart; in milliseconds.
CONNECT_TIMEOUT_MS = 2000
#: Messages taken from the socket before other events get their turn.
RECEIVE_BURST = 64

_NO_HANDSHAKE = "the handshake failed: is that an augfarm broker, and do both sides use keys, or neither?"
_ENDS = {
    zmq.EVENT_DISCONNECTED: "the connection was lost",
    zmq.EVENT_CLOSED: "nothing answers there",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: _NO_HANDSHAKE,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: _NO_HANDSHAKE,
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "the broker refused the key for this role",
}
_WATCHED_EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED
for _event in _ENDS:
    _WATCHED_EVENTS |= _event


@dataclass(frozen=True)
class CommandArrived:
    """The broker sent this. `body` holds views of the received frames; they are the receiver's to keep."""

    command: Command
    body: list[Buffer]


@dataclass(frozen=True)
class ConnectionEnded:
    """The connection is gone, with all that was queued on it. The link makes another by itself."""

    reason: str
    #: Whether the broker refused the key: it would again, until somebody lets it in.
    final: bool = False


@dataclass(frozen=True)
class GarbageArrived:
    """The broker sent what the protocol does not allow; it was dropped."""

    reason: str


LinkEvent = CommandArrived | ConnectionEnded | GarbageArrived


def check_address(address: str) -> str:
    """The address, if a link can try it.

    Raises:
        ValueError: if it is neither ``tcp://HOST:PORT`` nor ``ipc://PATH``.
    """
    scheme, _, rest = str(address).partition("://")
    if scheme == "ipc" and rest:
        return address
    host, _, port = rest.rpartition(":")
    if scheme == "tcp" and host and "*" not in host and port.isdigit() and 0 < int(port) < 65536:
        return address
    raise ValueError(f"expected an address such as tcp://HOST:PORT or ipc://PATH, got {address!r}")


class Link:
    """One peer's way to its broker.

    Args:
        address: ``tcp://HOST:PORT`` or ``ipc://PATH``.
        greeting: the first command of every connection; assign to :attr:`greeting` to change it.
        allowed: the commands that the broker may send, ``TO_CLIENT`` or ``TO_WORKER``.
        keys: what to prove oneself with, and the broker's key; None without encryption.
        context: the ZeroMQ context to use; the link makes and ends one of its own otherwise.

    Raises:
        ValueError: for an address that ZeroMQ cannot use.
    """

    def __init__(
        self,
        address: str,
        greeting: Command,
        allowed: frozenset[type[Command]],
        *,
        keys: PeerKeys | None = None,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        self.address = check_address(address)
        self.greeting = greeting
        self._allowed = allowed
        self._keys = keys
        self._own_context = context is None
        self._context = context if context is not None else zmq.Context()
        self._watched: set[int] = set()
        #: Made when what it waits for has changed.
        self._poller = zmq.Poller()
        self._polled: tuple[object, ...] = ()
        self._wait = limits.RECONNECT_MIN_S
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._ended: list[ConnectionEnded] = []
        self._heard = False
        #: Whether there is somebody at the other end at all, whatever they say.
        self._connected = False
        #: When to try again (no socket) or when to give up waiting for a first word (nothing heard yet).
        self._deadline: float = 0.0
        self._connect(time.monotonic())

    def watch(self, descriptor: int) -> None:
        """Let :meth:`poll` wait for this descriptor to become readable as well."""
        self._watched.add(descriptor)

    def unwatch(self, descriptor: int) -> None:
        """Wait for it no more. Call it before the descriptor is closed."""
        self._watched.discard(descriptor)

    def poll(self, timeout: float | None, also: Iterable[int] = ()) -> set[int]:
        """Wait until something can be received, a watched descriptor is readable, or `timeout` seconds.

        Args:
            also: descriptors to watch this time.

        Returns:
            The watched descriptors that are readable.
        """
        now = time.monotonic()
        wait = timeout
        if self._socket is None or not self._heard:
            left = max(0.0, self._deadline - now)
            wait = left if wait is None else min(wait, left)
        watched = {*self._watched, *also}
        wanted = (self._socket, self._monitor, watched)
        if wanted != self._polled:
            self._poller, self._polled = self._poller_for(watched), wanted
        # Rounded up: a wait of 0.4 ms must not become a busy loop of waits of 0.
        ready = self._poller.poll(None if wait is None else int(wait * 1000 + 0.999))
        if self._socket is None or not self._heard:
            self._keep_trying(time.monotonic())
        return {which for which, _ in ready if isinstance(which, int)}

    def _poller_for(self, watched: set[int]) -> zmq.Poller:
        poller = zmq.Poller()
        for descriptor in watched:
            poller.register(descriptor, zmq.POLLIN)
        if self._socket is not None and self._monitor is not None:
            poller.register(self._socket, zmq.POLLIN)
            poller.register(self._monitor, zmq.POLLIN)
        return poller

    def receive(self) -> list[LinkEvent]:
        """What has arrived, in order, without waiting. An end comes after what arrived before it."""
        events: list[LinkEvent] = []
        socket = self._socket
        for _ in range(RECEIVE_BURST if socket is not None else 0):
            try:
                frames = receive_frames(socket)  # type: ignore[arg-type]
            except zmq.Again:
                self._read_monitor()
                break
            events.append(self._read(frames))
        if self._ended:
            events += self._ended
            self._ended.clear()
        return events

    def send(self, command: Command, body: Sequence[Buffer] = ()) -> None:
        """Queue a message without waiting. With no connection it is dropped: the end was or will be told.

        Args:
            body: frames; large ones are not copied and must not change until they are sent.
        """
        if self._socket is None:
            return
        try:
            send_frames(self._socket, [messages.encode(command), *body])
        except zmq.Again:
            self._drop("the connection was lost")

    def reconnect(self, reason: str) -> None:
        """Throw this connection away and make another after the usual wait."""
        self._drop(reason)

    def close(self, linger: float = 0.0) -> None:
        """End the connection; wait up to `linger` seconds for what is queued to leave."""
        self._discard(int(linger * 1000))
        if self._own_context:
            self._context.term()

    # --- one connection ------------------------------------------------------------------------------------

    def _connect(self, now: float) -> None:
        socket = self._context.socket(zmq.DEALER)
        ipc = self.address.startswith("ipc:")
        frame_bytes = limits.MAX_IPC_FRAME_BYTES if ipc else limits.MAX_TCP_FRAME_BYTES
        configure(socket, frame_bytes=frame_bytes, encrypted=self._keys is not None)
        socket.setsockopt(zmq.RECONNECT_IVL, -1)
        socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS)
        socket.setsockopt(zmq.IPV6, 1)
        if self._keys is not None:
            self._keys.apply(socket)
        self._monitor = socket.get_monitor_socket(_WATCHED_EVENTS)
        self._socket, self._heard, self._connected = socket, False, False
        self._deadline = now + limits.WELCOME_TIMEOUT_S
        try:
            socket.connect(self.address)
        except zmq.ZMQError as error:
            self._discard(0)
            raise ValueError(f"cannot connect to {self.address!r}: {error}") from None
        socket.send_multipart([messages.encode(self.greeting)], zmq.NOBLOCK)

    def _read(self, frames: Sequence[zmq.Frame]) -> LinkEvent:
        try:
            command = messages.decode(frames[0].buffer, self._allowed)
        except ProtocolError as error:
            return GarbageArrived(str(error))
        self._heard, self._wait = True, limits.RECONNECT_MIN_S
        return CommandArrived(command, [frame.buffer for frame in frames[1:]])

    def _read_monitor(self) -> None:
        while self._monitor is not None and self._monitor.poll(0):
            event = zmq.Event(recv_monitor_message(self._monitor)["event"])
            self._connected = self._connected or event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            if event in _ENDS:
                self._drop(_ENDS[event], final=event == zmq.EVENT_HANDSHAKE_FAILED_AUTH)

    def _keep_trying(self, now: float) -> None:
        if self._socket is not None and not self._heard and now >= self._deadline:
            self._read_monitor()
            self._drop(self._why_silent())
        if self._socket is None and now >= self._deadline:
            self._connect(now)

    def _why_silent(self) -> str:
        if self._connected:
            return f"no answer for {limits.WELCOME_TIMEOUT_S:g} s"
        # libzmq says nothing of a name that it cannot resolve, nor of a broker that cannot read us.
        hint = "" if self._keys is None else "; with a wrong broker.key it would be the same"
        return f"no connection for {limits.WELCOME_TIMEOUT_S:g} s: is the host's name right{hint}?"

    def _drop(self, reason: str, *, final: bool = False) -> None:
        if self._socket is None:
            return
        self._discard(0)
        self._ended.append(ConnectionEnded(reason, final))
        self._deadline = time.monotonic() + self._wait
        self._wait = min(self._wait * 2, limits.RECONNECT_MAX_S)

    def _discard(self, linger_ms: int) -> None:
        socket, monitor = self._socket, self._monitor
        self._socket = self._monitor = None
        if socket is not None:
            socket.disable_monitor()
            socket.close(linger_ms)
        if monitor is not None:
            monitor.close(0)
