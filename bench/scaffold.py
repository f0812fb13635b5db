"""What the benchmarks share: jobs of a known length, pauses in a stream, and the machine's name."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

import numpy as np  # noqa: E402

from augfarm.compat import import_imgaug  # noqa: E402

import_imgaug()
from imgaug import augmenters as iaa  # noqa: E402

#: What workers must know besides imgaug: `augfarm worker --allow-import paced`.
PACED = ("--allow-import", "paced")


def machine() -> str:
    """The machine in a line."""
    model = platform.processor() or platform.machine()
    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {names[0] if names else model}, Python {platform.python_version()}"


def about() -> dict[str, Any]:
    """The machine and what is installed, for readers who compare."""
    with open("/proc/meminfo") as file:
        kib = int(file.readline().split()[1])
    names = ("augfarm", "pyzmq", "numpy", "imgaug", "opencv-python-headless", "torch", "ray")
    versions = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "machine": machine(),
        "memory_gib": round(kib / 2**20, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
        "load": os.getloadavg(),
    }


def install_paced(directory: Path) -> None:
    """Let workers that start in this directory find :mod:`paced`."""
    shutil.copy(ROOT / "bench" / "paced.py", directory)


def batches() -> Iterator[Any]:
    """Endless small batches."""
    while True:
        yield np.zeros((1, 16, 16, 3), np.uint8)


def flip() -> Any:
    return iaa.Fliplr(0.5)


@dataclass
class Stream:
    """Results of an endless call, and when each came."""

    results: Iterator[Any]

    def __post_init__(self) -> None:
        self.times: list[float] = []

    def run(self, seconds: float) -> None:
        """Take results for so long, and until one comes after that."""
        end = time.monotonic() + seconds
        while not self.times or self.times[-1] < end:
            next(self.results)
            self.times.append(time.monotonic())

    def longest_pause_after(self, moment: float) -> float:
        """The longest time between two results of which the later came after `moment`, in seconds."""
        ahead = [t for t in self.times if t > moment]
        before = [t for t in self.times if t <= moment][-1:] or [moment]
        edges = [*before, *ahead]
        return max(b - a for a, b in itertools.pairwise(edges))

    def first_after(self, moment: float) -> float:
        """From `moment` to the next result, in seconds."""
        return next(t for t in self.times if t > moment) - moment


def save(name: str, data: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({**about(), **data}, indent=1) + "\n")
    print(f"wrote bench/results/{name}.json")


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found
