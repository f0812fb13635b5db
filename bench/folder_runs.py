"""A folder through a pipeline: `augfarm run`, a plain loop on one core, and multiprocessing.Pool.

    python bench/folder_runs.py            # speed: 3 rounds, alternating
    python bench/folder_runs.py --files    # memory and start: 1,000 files and 100,000

Writes bench/results/folders.json or folders-files.json.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy: all three have one thread a process

from scaffold import machine, save  # noqa: E402  first: it makes imgaug importable, and finds tests/

# isort: split
import cv2  # noqa: E402
import imageio.v3 as iio  # noqa: E402
import numpy as np  # noqa: E402
from imgaug import augmenters as iaa  # noqa: E402
from PIL import Image  # noqa: E402

from augfarm.protocol import pipelines  # noqa: E402
from farms import running_farm, wait_until  # noqa: E402
from folders.dataset import draw  # noqa: E402

WORKERS = 2
IMAGES = 800
SIZE = (375, 500)
ROUNDS = 3
QUALITY = 95
AUGFARM = Path(sys.executable).with_name("augfarm")


def pipeline() -> Any:
    return iaa.Sequential(
        [
            iaa.Fliplr(0.5),
            iaa.Affine(rotate=(-20, 20), scale=(0.8, 1.2)),
            iaa.Multiply((0.8, 1.2)),
            iaa.GaussianBlur((0, 1.0)),
        ]
    )


# --- speed -------------------------------------------------------------------------------------------------


def one(augmenter: Any, source: Path, target: Path) -> None:
    iio.imwrite(target, augmenter(image=iio.imread(source)), quality=QUALITY)


def loop(src: Path, dst: Path, spec: Path) -> dict[str, float]:
    cv2.setNumThreads(1)
    augmenter = pipeline()
    began = time.perf_counter()
    for source in sorted(src.iterdir()):
        one(augmenter, source, dst / source.name)
    return {"seconds": time.perf_counter() - began}


_augmenter: Any = None


def _begin() -> None:
    """In each process of the pool; without it all would draw the same."""
    global _augmenter
    cv2.setNumThreads(1)
    _augmenter = pipeline()
    _augmenter.seed_(os.getpid())


def _pooled(paths: tuple[Path, Path]) -> None:
    one(_augmenter, *paths)


def pool(src: Path, dst: Path, spec: Path) -> dict[str, float]:
    began = time.perf_counter()
    tasks = [(source, dst / source.name) for source in sorted(src.iterdir())]
    with multiprocessing.get_context("fork").Pool(WORKERS, initializer=_begin) as processes:
        for _ in processes.imap_unordered(_pooled, tasks, chunksize=8):
            pass
    return {"seconds": time.perf_counter() - began}


def run(src: Path, dst: Path, spec: Path) -> dict[str, float]:
    words = [AUGFARM, "run", spec, src, dst, "--seed", 1, "--processes", WORKERS, "--quality", QUALITY]
    began = time.perf_counter()
    subprocess.run([str(word) for word in words], check=True, capture_output=True)
    seconds = time.perf_counter() - began
    report = json.loads((dst / ".augfarm" / "report.json").read_text())
    return {
        "seconds": seconds,
        "rate_once_started": report["images_per_second"],
        "busy": report["seconds_augmenting"] / report["worker_seconds"],
    }


def cpu_seconds() -> float:
    """Of this process and all that have ended below it."""
    whole = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in whole)


CONTENDERS = {"plain loop, one core": loop, "multiprocessing.Pool(2)": pool, "augfarm run, 2 workers": run}


def speed(directory: Path) -> None:
    src = directory / "src"
    src.mkdir()
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        draw(rng, SIZE).convert("RGB").save(src / f"{number:05}.jpg", quality=QUALITY)
    spec = directory / "spec.json"
    spec.write_bytes(pipelines.encode(pipeline()))
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for number in range(ROUNDS):
        for name, contender in CONTENDERS.items():
            dst = directory / "dst"
            dst.mkdir()
            before = cpu_seconds()
            found[name].append(contender(src, dst, spec) | {"cpu_seconds": cpu_seconds() - before})
            assert len(list(dst.glob("*.jpg"))) == IMAGES
            shutil.rmtree(dst)
            print(number, name, found[name][-1], flush=True)
    save("folders", {"images": IMAGES, "size": SIZE, "load": os.getloadavg(), "rounds": found})
    for name, rounds in found.items():
        rates = [IMAGES / each["seconds"] for each in rounds]
        started = [each["rate_once_started"] for each in rounds if "rate_once_started" in each]
        busy = [each["busy"] for each in rounds if "busy" in each]
        text = f"{name:26} {statistics.median(rates):6.1f} images/s ({min(rates):.1f} to {max(rates):.1f})"
        cpu = statistics.median(each["cpu_seconds"] for each in rounds)
        text += f", {1000 * cpu / IMAGES:.1f} CPU seconds per 1,000"
        if started:
            text += (
                f", {statistics.median(started):.1f} once started, workers busy {statistics.median(busy):.0%}"
            )
        print(text)


# --- memory and start --------------------------------------------------------------------------------------


def files(directory: Path) -> None:
    spec = directory / "spec.json"
    spec.write_bytes(pipelines.encode(iaa.Identity()))
    sink = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(sink, "PNG")
    found = {}
    with running_farm(directory, WORKERS) as farm:
        for count in (1_000, 100_000):
            src, dst = directory / f"src-{count}", directory / f"dst-{count}"
            for number in range(count):
                folder = src / f"{number // 10_000}"
                if number % 10_000 == 0:
                    folder.mkdir(parents=True)
                (folder / f"{number:06}.png").write_bytes(sink.getvalue())
            words = [AUGFARM, "run", spec, src, dst, "--broker", farm.clients, "--batch-size", 64]
            began = time.perf_counter()
            child = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL)
            wait_until(lambda dst=dst: any(dst.glob("0/*.png")), "the first file", 60)
            first = time.perf_counter() - began
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = status
            assert status == 0
            found[str(count)] = {
                "first_file_after_s": first,
                "seconds": time.perf_counter() - began,
                "client_peak_mb": usage.ru_maxrss / 1024,
                "client_cpu_s": usage.ru_utime + usage.ru_stime,
            }
            print(count, found[str(count)], flush=True)
    save("folders-files", {"load": os.getloadavg(), "runs": found})


if __name__ == "__main__":
    print(machine())
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as scratch:
        (files if "--files" in sys.argv else speed)(Path(scratch))
