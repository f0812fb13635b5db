"""Real farms for tests: processes of this Python, on loopback, ended by pid."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import imgaug as ia
import numpy as np
from imgaug import augmenters as iaa
from imgaug.augmentables.batches import UnnormalizedBatch

from augfarm.client.report import ask

#: How long a test waits for something that should happen soon, in seconds. Never a sleep.
PATIENCE = 30.0


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Poll `condition` until it holds; fail with `what` after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        time.sleep(0.01)


#: How many test processes have ports of their own.
_SHARES = 16


def free_port() -> int:
    """A port that nobody listens on, outside of those that the system gives to outgoing connections.

    Peers that try to reach a broker that is down would in the end be given its own port, and keep it. Each of
    the processes that pytest-xdist shares the tests among (gw0, gw1, ...) has ports of its own: between here
    and the broker's start, and while it is down, another's test could take one.
    """
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    while True:
        port = random.randrange(10_000 + share, 32_000, _SHARES)
        with socket.socket() as probe:
            # Connections of its last owner that linger keep nobody from listening.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def alive(pid: int) -> bool:
    """Whether the process runs: neither gone nor a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


class Farm:
    """A broker and pools of workers, started by hand."""

    def __init__(
        self,
        directory: Path,
        *,
        max_attempts: int = 3,
        extra: tuple[str, ...] = (),
        imports: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self.clients = f"tcp://127.0.0.1:{free_port()}"
        self.workers = f"tcp://127.0.0.1:{free_port()}"
        self.max_attempts = max_attempts
        self.extra = extra
        #: Modules that all workers of this farm may import, from tests/ too.
        self.imports = imports
        self.processes: list[subprocess.Popen[bytes]] = []
        self.broker: subprocess.Popen[bytes] | None = None

    def start_broker(self) -> None:
        self.broker = self._start("augfarm.broker", self.broker_arguments())
        ask(self.clients, PATIENCE)

    def broker_arguments(self) -> list[str]:
        arguments = ["--clients", self.clients, "--workers", self.workers, "--http", ""]
        return [*arguments, "--max-attempts", str(self.max_attempts), *self.extra]

    def start_workers(self, count: int, *arguments: str) -> subprocess.Popen[bytes]:
        """A pool of `count` workers; returns when all have joined."""
        before = len(self.status()["workers"])
        pool = self.begin_workers(count, *arguments)
        wait_until(lambda: len(self.status()["workers"]) >= before + count, f"{count} workers join")
        return pool

    def begin_workers(self, count: int, *arguments: str) -> subprocess.Popen[bytes]:
        """A pool of `count` workers that will join when they can."""
        imports = [word for module in self.imports for word in ("--allow-import", module)]
        return self._start(
            "augfarm.worker",
            ["--broker", self.workers, "--processes", str(count), *imports, *arguments],
        )

    def status(self) -> dict[str, Any]:
        return ask(self.clients, PATIENCE)

    def worker_pids(self) -> list[int]:
        environments = [worker["environment"] for worker in self.status()["workers"]]
        return [int(each["pid"]) for each in environments if "pid" in each]  # strangers may tell none

    def wait_until_idle(self) -> None:
        """Wait until it has neither clients nor batches, and fail if it keeps any."""
        wait_until(lambda: not self.status()["clients"], "the broker has no client")
        wait_until(lambda: not any(w["leases"] for w in self.status()["workers"]), "no worker has a batch")
        status = self.status()
        assert status["memory"]["held"] == status["queued"] == 0

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.directory.glob("*.log")))

    def _start(self, module: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        log = self.directory / f"{len(self.processes)}-{module}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                cwd=self.directory,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())},
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class KeyedFarm(Farm):
    """A farm whose broker asks for keys."""

    def __init__(self, directory: Path, keys: Path, **options: Any) -> None:
        super().__init__(directory, **options)
        self.extra = ("--keys", str(keys), *self.extra)
        self.keys = keys

    def start_broker(self) -> None:
        self.broker = self._start("augfarm.broker", self.broker_arguments())
        self.status()

    def status(self) -> dict[str, Any]:
        return ask(self.clients, PATIENCE, str(self.keys))


def _import_path() -> list[str]:
    """Where children find modules: where this process is told to, and in tests/."""
    told = os.environ.get("PYTHONPATH", "")
    return [*filter(None, told.split(os.pathsep)), str(Path(__file__).parent)]


@contextmanager
def running_farm(directory: Path, workers: int, **options: Any) -> Iterator[Farm]:
    farm = Farm(directory, **options)
    try:
        farm.start_broker()
        if workers:
            farm.start_workers(workers)
        yield farm
    except BaseException:
        print(farm.logs())
        raise
    finally:
        farm.stop()


# --- jobs --------------------------------------------------------------------------------------------------


def tutorial() -> iaa.Augmenter:
    return iaa.Sequential(
        [
            iaa.PiecewiseAffine(scale=0.05, nb_cols=6, nb_rows=6),
            iaa.Fliplr(0.5),
            iaa.CropAndPad(px=(-10, 10)),
        ]
    )


def ten_augmenters() -> iaa.Augmenter:
    return iaa.Sequential(
        [
            iaa.Fliplr(0.5),
            iaa.Affine(rotate=(-20, 20), scale=(0.8, 1.2), shear=(-8, 8)),
            iaa.SomeOf((1, 2), [iaa.Multiply((0.8, 1.2)), iaa.Add((-20, 20), per_channel=0.5)]),
            iaa.Sometimes(0.5, iaa.GaussianBlur((0, 1.0)), iaa.AdditiveGaussianNoise(scale=(0, 12))),
            iaa.OneOf([iaa.Dropout((0.0, 0.05)), iaa.CoarseDropout(0.05, size_percent=0.1)]),
            iaa.LinearContrast((0.7, 1.4)),
            iaa.WithChannels(1, iaa.Add((-10, 10))),
            iaa.AddToHueAndSaturation((-20, 20)),
            iaa.ElasticTransformation(alpha=(0, 10), sigma=2),
            iaa.CropAndPad(percent=(-0.1, 0.1)),
        ],
        random_order=True,
    )


def quokka_batches(count: int, images: int = 3, size: int = 64) -> list[UnnormalizedBatch]:
    """Real images with keypoints and boxes; each batch differs from the others in its pixels."""
    image = ia.quokka(size=(size, size))
    keypoints = ia.quokka_keypoints(size=(size, size))
    boxes = ia.quokka_bounding_boxes(size=(size, size))
    return [
        UnnormalizedBatch(
            images=[np.roll(image, 5 * number + n, axis=1) for n in range(images)],
            keypoints=[keypoints.deepcopy() for _ in range(images)],
            bounding_boxes=[boxes.deepcopy() for _ in range(images)],
            data=("batch", number),
        )
        for number in range(count)
    ]


def fingerprint(batch: UnnormalizedBatch) -> bytes:
    """Everything augmented in a batch, as bytes: equal only for equal results."""
    parts = [image.tobytes() for image in batch.images_aug]
    for keypoints, boxes in zip(batch.keypoints_aug, batch.bounding_boxes_aug, strict=True):
        parts.append(repr([(k.x, k.y) for k in keypoints.keypoints]).encode())
        parts.append(repr([(b.x1, b.y1, b.x2, b.y2, b.label) for b in boxes.bounding_boxes]).encode())
        parts.append(repr((keypoints.shape, boxes.shape)).encode())
    return b"|".join(parts)
