"""The broker's shell: two sockets, a clock and a log round the core. One thread; it decides nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

import zmq

from augfarm.protocol import limits
from augfarm.protocol.keys import BrokerKeys

from .addresses import is_tcp
from .core import Core
from .events import (
    Action,
    CommandReceived,
    ConnectionLost,
    Event,
    KeysRead,
    Log,
    MemoryAttached,
    OpenMemory,
    Retire,
    Send,
    Side,
    StopRequested,
    Watch,
)
from .heap import Heap
from .memories import Memories
from .port import CannotBind, Port

if TYPE_CHECKING:
    from .gate import Gate

__all__ = ["STATUS_ADDRESS", "CannotBind", "Service"]

#: Where threads of this process may ask for a Report.
STATUS_ADDRESS = "inproc://status"
#: How long peers that do not read may keep a stopping broker, in milliseconds.
GOODBYE_LINGER_MS = 1000
#: Threads of libzmq's that move bytes: one for each side.
IO_THREADS = 2

#: How often the folders of keys are looked at, in seconds: a revoked key's sessions end within one second.
KEYS_INTERVAL_S = 0.5

log = logging.getLogger("augfarm.broker")


class Service:
    """A broker that listens. Call :meth:`run`, which returns after :meth:`stop`, and then :meth:`close`.

    Args:
        clients, workers: where to listen for each; ``tcp://HOST:PORT`` or ``ipc://PATH``. Port ``*`` is any
            free one: see :attr:`endpoints`.
        max_attempts: processes that may die of a batch before it is given up.
        memory_bytes: what clients may have here together, in bytes.
        software: what the broker calls itself.
        keys: who is let in; None: everybody who reaches the sockets.
        parent_fd: the read end of a pipe; at its end of file the broker leaves at once.

    Raises:
        CannotBind: if it cannot listen there.
    """

    def __init__(
        self,
        *,
        clients: str,
        workers: str,
        max_attempts: int = limits.DEFAULT_MAX_ATTEMPTS,
        memory_bytes: int = limits.DEFAULT_MEMORY_BYTES,
        software: str = "augfarm",
        parent_fd: int | None = None,
        keys: BrokerKeys | None = None,
    ) -> None:
        tcp = is_tcp(clients) or is_tcp(workers)
        self._frame_bytes = frame_bytes = limits.MAX_TCP_FRAME_BYTES if tcp else limits.MAX_IPC_FRAME_BYTES
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(IO_THREADS)
        self._ports: dict[Side, Port] = {}
        self._keys = keys
        self._poller = zmq.Poller()
        self._heap = Heap()
        self._memories = Memories()
        self._keys_at = 0.0
        self._gate = None if keys is None else _open_gate(self.context, keys)
        #: Whatever is written to it makes :meth:`run` return as :meth:`stop` does.
        self._wake_reader, self.wake_writer = os.pipe()
        os.set_blocking(self.wake_writer, False)
        self._parent_fd = parent_fd
        #: Nobody waits for the last words of a broker that never ran, or whose parent is gone.
        self._linger_ms = 0
        try:
            addresses: dict[Side, str] = {"client": clients, "worker": workers}
            for side, address in addresses.items():
                self._ports[side] = Port(self.context, side, address, frame_bytes, keys)
            self._ports["client"].socket.bind(STATUS_ADDRESS)
        except CannotBind:
            self.close()
            raise
        self._core = Core(
            frame_bytes=frame_bytes,
            max_attempts=max_attempts,
            memory_bytes=memory_bytes,
            software=software,
            secret=secrets.token_bytes(32),
            now=time.monotonic(),
        )
        self._look_at_keys()

    @property
    def endpoints(self) -> dict[Side, str]:
        """Where it listens for each side."""
        return {side: port.endpoint for side, port in self._ports.items()}

    def run(self) -> None:
        """Serve until :meth:`stop`, or until the parent is gone."""
        poller = self._poller = self._make_poller()
        while True:
            ready = dict(poller.poll(self._wait_ms()))
            if self._parent_fd in ready:
                return
            if self._wake_reader in ready:
                self._linger_ms = GOODBYE_LINGER_MS
                self._handle([StopRequested()])
                return
            self._turn(ready)
            self._handle(MemoryAttached(c) for c in self._memories.hear(ready, poller))

    def stop(self) -> None:
        """Make :meth:`run` say goodbye to all peers and return. From any thread, and from signal handlers."""
        # A full pipe or a closed one: it is stopping already.
        with contextlib.suppress(OSError):
            os.write(self.wake_writer, b"!")

    def close(self) -> None:
        """Close the sockets; last words may take a second to leave. Other users of the context go first."""
        for port in self._ports.values():
            port.close(self._linger_ms)
        if self._gate is not None:
            self._gate.close()
        self._memories.close()
        os.close(self._wake_reader)
        writer, self.wake_writer = self.wake_writer, -1  # the number may soon be another file's
        os.close(writer)
        self.context.term()

    def _turn(self, ready: Container[object]) -> None:
        for port in self._ports.values():
            if port.monitor in ready:
                port.read_monitor(time.monotonic())
            self._handle(port.receive(time.monotonic()))
        for port in self._ports.values():
            self._handle(port.lost(time.monotonic()))
        self._look_at_keys()
        self._heap.give_back(time.monotonic())
        deadline = self._core.deadline()
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            self._do(self._core.expire(now), now)

    def _handle(self, events: Iterable[Event]) -> None:
        for event in events:
            now = time.monotonic()
            if isinstance(event, CommandReceived):
                self._heap.came_in(event.body_bytes, now)
                if not self._core.admits(event.side, event.user_id):
                    self._look_at_keys(at_once=True)  # it may have been added since the last look
            elif isinstance(event, ConnectionLost) and event.side == "client":
                self._memories.drop(event.connection, self._poller)
            self._do(self._core.handle(event, now), now)

    def _do(self, actions: Iterable[Action], now: float) -> None:
        for action in actions:
            match action:
                case Send(memory_of=None):
                    self._ports[action.side].send(action, now)
                case Send():
                    self._ports[action.side].send(self._memories.unplaced(action, self._frame_bytes), now)
                case OpenMemory(connection, name, secret):
                    self._memories.open(connection, name, secret, self._poller)
                case Watch(connection):
                    self._ports["worker"].watch(connection)
                case Retire(side, connection, unread):
                    if side == "client":
                        self._memories.drop(connection, self._poller)
                    self._ports[side].retire(connection, unread, now)
                case Log(level, text):
                    log.log(getattr(logging, level), "%s", text)

    def _look_at_keys(self, *, at_once: bool = False) -> None:
        """ZAP asks at the handshake only, so open sessions are compared with the folders of keys."""
        now = time.monotonic()
        if self._keys is None or (now < self._keys_at and not at_once):
            return
        self._keys_at = now + KEYS_INTERVAL_S
        for side in self._ports:
            # This process itself, over inproc, has no key.
            self._handle([KeysRead(side, self._keys.allowed(side) | {""})])

    def _wait_ms(self) -> int | None:
        deadlines = [
            self._core.deadline(),
            self._heap.deadline(),
            *(port.deadline() for port in self._ports.values()),
        ]
        if self._keys is not None:
            deadlines.append(self._keys_at)
        times = [time for time in deadlines if time is not None]
        if not times:
            return None
        # Rounded up: a wait of 0.4 ms must not become a busy loop of waits of 0.
        return int(max(0.0, min(times) - time.monotonic()) * 1000 + 0.999)

    def _make_poller(self) -> zmq.Poller:
        poller = zmq.Poller()
        for port in self._ports.values():
            poller.register(port.socket, zmq.POLLIN)
            poller.register(port.monitor, zmq.POLLIN)
        poller.register(self._wake_reader, zmq.POLLIN)
        if self._parent_fd is not None:
            poller.register(self._parent_fd, zmq.POLLIN)
        return poller


def _open_gate(context: zmq.Context[zmq.Socket[bytes]], keys: BrokerKeys) -> Gate:
    # Only with keys: zmq.auth's thread brings asyncio, which takes longer to import than the broker.
    from .gate import Gate

    return Gate(context, keys)
