"""What fast kernels gain: the tutorial's job and a middle one, beside plain imgaug on one core, in one run.

    python bench/kernels.py                 # under two minutes; writes bench/results/kernels.json

The three ways take turns, so that what else the machine does falls on all of them. BLAS has one thread in
each.
"""

from __future__ import annotations

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[name] = "1"  # before numpy is loaded

import json  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from typing import Any  # noqa: E402

from scaffold import RESULTS, machine  # noqa: E402

# isort: split
import cv2  # noqa: E402
import imgaug as ia  # noqa: E402
import numpy as np  # noqa: E402
from imgaug import augmenters as iaa  # noqa: E402
from imgaug.augmentables.batches import UnnormalizedBatch  # noqa: E402

from augfarm.client import Client  # noqa: E402
from augfarm.client.demo import IMAGE_SIZE, IMAGES_PER_BATCH, quokka_batches, tutorial_pipeline  # noqa: E402
from augfarm.compat import hush  # noqa: E402
from augfarm.protocol import batches as forms  # noqa: E402
from augfarm.protocol import pipelines  # noqa: E402
from augfarm.protocol.augment import Recipe  # noqa: E402
from augfarm.protocol.seeds import Seed  # noqa: E402
from augfarm.worker import kernels  # noqa: E402

WORKERS = 2
ROUNDS = 4
#: Batches of one turn by plain imgaug, by the farm, and by the farm with fast kernels; and of the middle job.
TURNS = {"tutorial": (1, 2, 40), "images": (3, 4, 60)}
MIDDLE = 40


def middle_pipeline() -> Any:
    """What many training jobs do to their images."""
    return iaa.Sequential(
        [
            iaa.Fliplr(0.5),
            iaa.Affine(rotate=(-20, 20), scale=(0.8, 1.2)),
            iaa.Multiply((0.8, 1.2)),
            iaa.GaussianBlur((0, 1.0)),
        ]
    )


def main() -> None:
    """Measure both, write bench/results/kernels.json and print it in words."""
    hush()
    cv2.setNumThreads(0)
    began = time.monotonic()
    found = {
        "machine": machine(),
        "workers": WORKERS,
        "tutorial": tutorial("tutorial", quokka_batches),
        "images": tutorial("images", image_batches),
        "middle": middle(),
    }
    found["seconds"] = round(time.monotonic() - began, 1)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "kernels.json").write_text(json.dumps(found, indent=1) + "\n")
    show(found)


def image_batches(count: int) -> Iterator[Any]:
    """The tutorial's batches without their annotations."""
    image = ia.quokka(size=(IMAGE_SIZE, IMAGE_SIZE), extract="square")
    for _ in range(count):
        yield UnnormalizedBatch(images=[image] * IMAGES_PER_BATCH)


def tutorial(name: str, batches: Callable[[int], Iterator[Any]]) -> dict[str, Any]:
    """Batches a second of the tutorial's job: imgaug on one core, a farm, a farm with fast kernels."""
    pipeline = tutorial_pipeline()
    alone, few, many = TURNS[name]
    rates: dict[str, list[float]] = {"plain": [], "exact": [], "fast": []}
    with (
        Client(pipeline, processes=WORKERS, seed=1, seeding="batch") as exact,
        Client(pipeline, processes=WORKERS, seed=1, seeding="batch", kernels="fast") as fast,
    ):
        for client in (exact, fast):  # their start is not counted
            client.map_batches(batches(2 * WORKERS))
        for _ in range(ROUNDS):
            rates["plain"].append(_rate(alone, lambda: _plain(pipeline, batches(alone))))
            rates["exact"].append(_rate(few, lambda: _through(exact, batches(few))))
            rates["fast"].append(_rate(many, lambda: _through(fast, batches(many))))
    result: dict[str, Any] = {name: statistics.median(each) for name, each in rates.items()}
    ratios = [fast / plain for fast, plain in zip(rates["fast"], rates["plain"], strict=True)]
    return {**result, "rates": rates, "ratio": statistics.median(ratios), "ratios": ratios}


def middle() -> dict[str, Any]:
    """Milliseconds of CPU for a batch of the middle pipeline: imgaug, and what a worker does with kernels."""
    plain = middle_pipeline()
    quick = middle_pipeline()
    kernels.install(quick)
    worker = Recipe(pipelines.load(middle_pipeline(), "fast"))
    image = ia.quokka(size=(IMAGE_SIZE, IMAGE_SIZE))
    images = np.array([image] * IMAGES_PER_BATCH)
    request = forms.pack(images, 0).tree
    ways: dict[str, Callable[[], Any]] = {
        "plain": lambda: plain(images=images),
        "kernels": lambda: quick(images=images),
        "worker": lambda: worker.augment(request, Seed("batch", 1, 0)),
        **_opencv_alone(images),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS * MIDDLE):
        for name, way in ways.items():
            before = time.process_time()
            way()
            times[name].append(1e3 * (time.process_time() - before))
    # The least of many: what the machine's other work adds is never less than nothing.
    least = {name: min(each) for name, each in times.items()}
    medians = {name: statistics.median(each) for name, each in times.items()}
    return {"least_ms": least, "median_ms": medians, "ratio": least["plain"] / least["kernels"]}


def _opencv_alone(images: Any) -> dict[str, Callable[[], Any]]:
    """What of it is OpenCV's: one warp, one table and half of the blurs for each image."""
    matrix = cv2.getRotationMatrix2D((IMAGE_SIZE / 2, IMAGE_SIZE / 2), 10, 1.1)
    table = np.arange(256, dtype=np.uint8)
    out = np.empty_like(images[0])

    def warp() -> None:
        for image in images:
            cv2.warpAffine(image, matrix, (IMAGE_SIZE, IMAGE_SIZE), dst=out)

    def look_up() -> None:
        for image in images:
            cv2.LUT(image, table, dst=out)

    def blur() -> None:
        for image in images:
            cv2.GaussianBlur(image, (5, 5), sigmaX=0.5, dst=out)

    return {"opencv_warp": warp, "opencv_table": look_up, "opencv_blur": blur}


def _rate(count: int, work: Callable[[], Any]) -> float:
    before = time.perf_counter()
    work()
    return count / (time.perf_counter() - before)


def _plain(pipeline: Any, batches: Iterator[Any]) -> None:
    for batch in batches:
        pipeline.augment_batch_(batch)


def _through(client: Client, batches: Iterator[Any]) -> None:
    for _ in client.imap_batches_unordered(batches):
        pass


def show(found: dict[str, Any]) -> None:
    """Print what was found."""
    middle_job = found["middle"]
    print(found["machine"])
    for name, what in (("tutorial", "tutorial"), ("images", "its images alone")):
        job = found[name]
        print(f"{what}, batches a second: imgaug on one core {job['plain']:.2f}, {WORKERS} workers", end=" ")
        print(f"{job['exact']:.2f}, with fast kernels {job['fast']:.1f}: {job['ratio']:.1f} times one core")
    least = {name: f"{ms:.2f}" for name, ms in middle_job["least_ms"].items()}
    print(f"middle, ms a batch: imgaug {least['plain']}, kernels {least['kernels']}: ", end="")
    print(f"{middle_job['ratio']:.2f} times; in a worker, with its copy and seeding, {least['worker']}")
    print(
        f"OpenCV alone: warp {least['opencv_warp']}, table {least['opencv_table']}, "
        f"blur {least['opencv_blur']}"
    )
    print(f"{found['seconds']} s")


if __name__ == "__main__":
    main()
