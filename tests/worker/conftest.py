"""A broker of a few lines, pipelines and batches as they travel, and worker processes to try them on."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

import augfarm.compat  # noqa: F401
from augfarm.protocol import limits, messages, pipelines
from augfarm.protocol.batches import pack
from augfarm.protocol.codec import decode_body, encode_body
from augfarm.protocol.messages import Command, Dispatch, Join, Joined, Pipeline
from augfarm.protocol.sockets import configure

HERE = Path(__file__).parent
#: No test waits longer than this for anything, in seconds. Six pools that start at once on one core take more
#: than 40 to import what they need.
PATIENCE = 90.0
FRAME_BYTES = 1_000_000


@dataclass(frozen=True)
class Message:
    """What a worker sent."""

    peer: bytes
    command: Any
    body: list[bytes]


@dataclass
class FakeBroker:
    """A ROUTER that does what the test says; messages that nobody asked for yet wait in `backlog`."""

    address: str
    backlog: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        configure(self.socket, frame_bytes=limits.MAX_IPC_FRAME_BYTES)
        self.socket.bind(self.address)

    def expect(self, kind: type[Command], *, peer: bytes | None = None) -> Message:
        """The first message of this kind (from this peer) that came or comes."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for message in self.backlog:
                if isinstance(message.command, kind) and peer in (None, message.peer):
                    self.backlog.remove(message)
                    return message
            if not self.socket.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise AssertionError(f"no {kind.__name__} came; what did: {self.backlog}")
            self._receive()

    def nothing_else(self, kind: type[Command]) -> bool:
        """Whether no message of this kind has come that was not asked for."""
        while self.socket.poll(0):
            self._receive()
        return not any(isinstance(message.command, kind) for message in self.backlog)

    def _receive(self) -> None:
        peer, frame, *body = self.socket.recv_multipart()
        self.backlog.append(Message(peer, messages.decode(frame, messages.FROM_WORKER), body))

    def send(self, peer: bytes, command: Command, *body: Any) -> None:
        """Send a command to a worker."""
        self.socket.send_multipart([peer, messages.encode(command), *body])

    def admit(self, worker_id: int = 0) -> Message:
        """Let the next worker in; its Join."""
        join = self.expect(Join)
        self.send(join.peer, Joined("fake", worker_id, FRAME_BYTES))
        return join

    def load(self, peer: bytes, spec: bytes) -> None:
        """Send a pipeline."""
        self.send(peer, Pipeline(pipelines.digest(spec)), spec)

    def dispatch(self, peer: bytes, spec: bytes, ticket: int, batch: Any) -> None:
        """Send a batch for a pipeline that was sent."""
        command = Dispatch(ticket, ticket, 1, "batch", pipelines.digest(spec))
        self.send(peer, command, *encode_body(pack(batch, ticket).tree, frame_bytes=FRAME_BYTES))

    def restart(self) -> None:
        """Vanish, and come back with no memory."""
        self.close()
        self.backlog.clear()
        self.__post_init__()

    def close(self) -> None:
        """Vanish."""
        self.socket.close(0)
        self.context.term()


@dataclass
class Worker:
    """A ``python -m augfarm.worker`` with one process or more."""

    process: subprocess.Popen[str]

    def wait(self) -> tuple[int, str]:
        """Its exit code and what it said, once it has ended."""
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said

    def terminate(self) -> tuple[int, str]:
        """SIGTERM, then as :meth:`wait`."""
        self.process.terminate()
        return self.wait()


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    directory = tempfile.mkdtemp(prefix="augfarm-test-")  # tmp_path may be too long for a socket's name
    fake = FakeBroker(f"ipc://{directory}/workers")
    yield fake
    fake.close()
    shutil.rmtree(directory)


@pytest.fixture
def start_worker() -> Iterator[Callable[..., Worker]]:
    """Starts worker pools, and kills those that are left."""
    started: list[Worker] = []

    def start(*arguments: str, pass_fds: tuple[int, ...] = ()) -> Worker:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AUGFARM_")}
        paths = (str(HERE), os.environ.get("PYTHONPATH"))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        process = subprocess.Popen(
            [sys.executable, "-m", "augfarm.worker", *arguments],
            env=environment,
            pass_fds=pass_fds,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(Worker(process))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait()
        assert worker.process.stderr is not None
        worker.process.stderr.close()


class Fifo:
    """A named pipe through which an augmenter tells that it is at work."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "at-work")
        os.mkfifo(self.path)
        # Open for both, so that no end of file comes between two writers.
        self._descriptor = os.open(self.path, os.O_RDWR)

    def pid_at_work(self) -> int:
        """The process in which the augmenter is at work, once it is."""
        ready, _, _ = select.select([self._descriptor], [], [], PATIENCE)
        assert ready, "no augmenter began to work"
        return int(os.read(self._descriptor, 4096).split()[0])

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Fifo]:
    fifo = Fifo(tmp_path)
    yield fifo
    fifo.close()


def spec_of(augmenter: Any) -> bytes:
    """The augmenter as it travels."""
    return pipelines.encode(augmenter)


@pytest.fixture(scope="module")
def hostile() -> Iterator[Callable[..., bytes]]:
    """The spec of a Hostile augmenter."""
    sys.path.insert(0, str(HERE))
    try:
        from hostile_augmenters import Hostile
    finally:
        sys.path.remove(str(HERE))
    yield lambda mode, fifo="": spec_of(Hostile(mode, fifo))
    sys.modules.pop("hostile_augmenters", None)


@pytest.fixture(scope="module")
def flip() -> bytes:
    """The spec of a pipeline that turns images upside down."""
    from imgaug import augmenters as iaa

    return spec_of(iaa.Flipud(1.0))


@pytest.fixture(scope="session")
def images() -> np.ndarray[Any, Any]:
    """A batch large enough to travel outside the header."""
    return np.arange(4 * 32 * 32 * 3, dtype=np.uint8).reshape(4, 32, 32, 3)


@pytest.fixture(scope="session")
def result_of() -> Callable[[list[bytes]], Any]:
    """The images in a result's frames."""
    return lambda body: decode_body(body)["columns"]["images"]


@pytest.fixture(scope="session")
def is_gone() -> Callable[[int], bool]:
    """Waits until a process that is not our child is gone."""

    def wait(pid: int) -> bool:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([descriptor], [], [], PATIENCE)[0])
        finally:
            os.close(descriptor)

    return wait
