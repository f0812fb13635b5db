"""Whose pipelines the broker has, and which each worker holds. Pure.

A spec is kept once however many clients have sent it, as long as one of them is there. What a worker holds
is mirrored here: its channel is ordered and it obeys, so both sides know the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from augfarm.protocol import limits, messages
from augfarm.protocol.messages import Command

from .events import Body
from .jobs import Client, Worker

__all__ = ["MAX_LIBRARY_BYTES", "Library", "lend", "settle"]

#: All specs together, in bytes: 64 of the largest allowed, and a hundred thousand of a usual size.
MAX_LIBRARY_BYTES = 64 * limits.MAX_SPEC_BYTES


@dataclass(slots=True)
class _Volume:
    body: Body
    octets: int
    readers: int = 0


class Library:
    """The specs of all clients, by digest."""

    def __init__(self) -> None:
        self._volumes: dict[bytes, _Volume] = {}
        self.octets = 0

    def add(self, client: Client, digest: bytes, body: Body, octets: int) -> str:
        """The client has sent this spec. Why it cannot be kept, or ""."""
        if digest in client.pipelines:
            return ""
        if len(client.pipelines) >= limits.MAX_PIPELINES:
            return f"more than {limits.MAX_PIPELINES} pipelines"
        volume = self._volumes.get(digest)
        if volume is None:
            if self.octets + octets > MAX_LIBRARY_BYTES:
                return f"the pipelines at this broker have more than {MAX_LIBRARY_BYTES} bytes already"
            volume = self._volumes[digest] = _Volume(body, octets)
            self.octets += octets
        volume.readers += 1
        client.pipelines.add(digest)
        return ""

    def drop(self, client: Client) -> None:
        """The client has gone."""
        for digest in client.pipelines:
            volume = self._volumes[digest]
            volume.readers -= 1
            if not volume.readers:
                self.octets -= volume.octets
                del self._volumes[digest]
        client.pipelines = set()

    def body(self, digest: bytes) -> Body:
        """The spec's frames; a client that is here has sent it."""
        return self._volumes[digest].body

    def check(self, clients: list[Client]) -> None:
        """Raise AssertionError where a law is broken. `clients`: all that there are."""
        readers: dict[bytes, int] = {}
        for client in clients:
            assert len(client.pipelines) <= limits.MAX_PIPELINES
            for digest in client.pipelines:
                readers[digest] = readers.get(digest, 0) + 1
        assert readers == {digest: volume.readers for digest, volume in self._volumes.items()}
        assert self.octets == sum(v.octets for v in self._volumes.values()) <= MAX_LIBRARY_BYTES


def lend(worker: Worker, digest: bytes, body: Body) -> list[tuple[Command, Body]]:
    """A lease of the worker's names this pipeline: what to tell the worker before it gets the batch."""
    worker.uses[digest] = worker.uses.get(digest, 0) + 1
    if digest in worker.pipelines:
        worker.pipelines.move_to_end(digest)
        return []
    told: list[tuple[Command, Body]] = []
    # None may be free: a worker that takes more batches than pipelines may need more than usual for a while.
    free = [d for d in worker.pipelines if d not in worker.uses]
    for old in free[: max(0, len(worker.pipelines) + 1 - limits.MAX_WORKER_PIPELINES)]:
        del worker.pipelines[old]
        told.append((messages.Forget(old), ()))
    worker.pipelines[digest] = None
    return [*told, (messages.Pipeline(digest), body)]


def settle(worker: Worker, digest: bytes) -> None:
    """A lease that named this pipeline has ended."""
    worker.uses[digest] -= 1
    if not worker.uses[digest]:
        del worker.uses[digest]
