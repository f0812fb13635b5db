"""Peers of a real broker that augment nothing: hundreds of them in one process, for the broker's sake."""

from __future__ import annotations

import hashlib
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import zmq
from simulated import BODY, SPEC

from augfarm.protocol import limits
from augfarm.protocol import messages as m
from augfarm.protocol.sockets import configure

__all__ = ["Peers", "broker_on_ipc"]

#: How long to wait for a broker, in seconds.
PATIENCE_S = 30.0


@contextmanager
def broker_on_ipc(directory: Path) -> Iterator[tuple[int, str, str]]:
    """A broker of its own: its process, and where clients and workers reach it."""
    clients, workers = f"ipc://{directory}/clients", f"ipc://{directory}/workers"
    words = ["--clients", clients, "--workers", workers, "--http", "", "--quiet"]
    # It warns when peers are gone in the middle of their batches, as they are in the end.
    broker = subprocess.Popen([sys.executable, "-m", "augfarm.broker", *words], stderr=subprocess.DEVNULL)
    try:
        yield broker.pid, clients, workers
    finally:
        broker.terminate()
        broker.wait()


class Peers:
    """Workers that answer at once and clients that keep a number of batches at the broker.

    Args:
        at_broker: batches of each client that are at the broker at any time.
    """

    def __init__(self, clients: str, workers: str, counts: tuple[int, int], at_broker: int) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.max_sockets = 2048
        self._digest = hashlib.sha256(SPEC).digest()
        self._requests = 0
        self._at_broker = at_broker
        #: Answers that clients have had.
        self.answered = 0
        self._workers = [self._connect(workers) for _ in range(counts[0])]
        self._clients = [self._connect(clients) for _ in range(counts[1])]

    def _connect(self, address: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        configure(socket, frame_bytes=limits.MAX_IPC_FRAME_BYTES)
        socket.connect(address)
        return socket

    def start(self) -> None:
        """Join, and send what there is to send."""
        for client in self._clients:
            self._send(client, m.Hello(limits.PROTOCOL_VERSION, secrets.token_bytes(16), "bench"))
        # Windows shrink as clients come, so all come before the first batch.
        enough = self._at_broker * sum(map(len, BODY))
        windows: dict[zmq.Socket[bytes], int] = {}
        self._until(
            lambda: len(windows) == len(self._clients) and min(windows.values()) >= enough,
            lambda: windows.update(self._hear_windows()),
        )
        for worker in self._workers:
            environment = {"python": "3.11"}
            self._send(
                worker, m.Join(limits.PROTOCOL_VERSION, secrets.token_bytes(16), "bench", 2, environment)
            )
        for client in self._clients:
            self._send(client, m.Pipeline(self._digest), (SPEC,))
        for _ in range(self._at_broker):
            for client in self._clients:
                self._submit(client)

    def wait_for(self, queued: int) -> None:
        """Wait until the broker says that so many batches wait for a worker."""
        reports: list[m.Command] = []
        asker = self._clients[0]
        self._send(asker, m.Status())

        def ask() -> None:
            for command in self._read(asker, m.TO_CLIENT):
                if isinstance(command, m.Report):
                    reports.append(command)
                    self._send(asker, m.Status())

        self._until(lambda: any(r.status["queued"] == queued for r in reports[-1:]), ask)  # type: ignore[attr-defined]

    def run(self, batches: int) -> None:
        """Go on until so many more batches were answered."""
        wanted = self.answered + batches
        self._until(lambda: self.answered >= wanted, self._turn)

    def _until(self, done: Callable[[], bool], turn: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            turn()
            if time.monotonic() > deadline:
                raise RuntimeError("the broker is too slow, or gone")

    def _hear_windows(self) -> Iterable[tuple[zmq.Socket[bytes], int]]:
        for client in self._clients:
            for command in self._read(client, m.TO_CLIENT):
                if isinstance(command, m.Window):
                    self._send(client, m.Adjusted(command.serial))
                    yield client, command.octets

    def _turn(self) -> None:
        for worker in self._workers:
            for command in self._read(worker, m.TO_WORKER):
                if isinstance(command, m.Dispatch):
                    self._send(worker, m.Result(command.ticket, 1, 0.001), BODY)
        for client in self._clients:
            for command in self._read(client, m.TO_CLIENT):
                if isinstance(command, m.Window):
                    self._send(client, m.Adjusted(command.serial))
                elif isinstance(command, m.Deliver):
                    self.answered += 1
                    self._send(client, m.Received((command.receipt,)))
                    self._submit(client)

    def _submit(self, client: zmq.Socket[bytes]) -> None:
        number, self._requests = self._requests, self._requests + 1
        self._send(client, m.Submit(number, 0, number, 1, "worker", self._digest, 0, False), BODY)

    @staticmethod
    def _send(socket: zmq.Socket[bytes], command: m.Command, body: tuple[bytes, ...] = ()) -> None:
        socket.send_multipart([m.encode(command), *body])

    @staticmethod
    def _read(socket: zmq.Socket[bytes], allowed: frozenset[type[m.Command]]) -> Iterator[m.Command]:
        while socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:  # type: ignore[operator]
            command = m.decode(socket.recv_multipart()[0], allowed)
            if isinstance(command, m.Refused):
                raise RuntimeError(f"the broker refuses its peer: {command.text}")
            yield command

    def __enter__(self) -> Peers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.destroy(linger=0)
