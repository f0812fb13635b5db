"""The job of imgaug's multicore tutorial from a trainer that has no imgaug: 16 images of 225x225 a batch.

    python examples/09_without_imgaug.py [--batches 100] [--images 16]

The pipeline is 09_without_imgaug.json, which was written where imgaug is, by
`augfarm spec examples/01_one_core_and_a_farm.py:augmenter`. Only the workers need imgaug.
The farm is one that runs, AUGFARM_BROKER=tcp://HOST:5555 (with keys: AUGFARM_KEYS=DIR); or, where imgaug is
after all, one of this script's own. `docker compose run --rm trainer` runs this script in a container.
Prints the SHA-256 of all that came back: it is the same on any farm, whatever fails meanwhile.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from augfarm.client import Client

PIPELINE = Path(__file__).with_suffix(".json")
SIZE = 225
Array = np.ndarray[Any, np.dtype[Any]]


def picture(number: int) -> tuple[Array, Array, Array]:
    """A disc and a square on a gradient; the points of their centres (2,2), and their boxes (2,4)."""
    y, x = np.mgrid[:SIZE, :SIZE]
    image = np.stack([x, y, np.full_like(x, 20 * (number % 10))], axis=2).astype(np.uint8)
    disc, square = np.random.default_rng(number).integers(50, SIZE - 50, (2, 2))
    image[(x - disc[0]) ** 2 + (y - disc[1]) ** 2 < 30**2] = (250, 80, 40)
    image[np.maximum(abs(x - square[0]), abs(y - square[1])) < 25] = (40, 200, 250)
    centres = np.stack([disc, square]).astype(np.float32)
    reach = np.float32([[30], [25]])
    return image, centres, np.hstack([centres - reach, centres + reach])


def batches(count: int, size: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        images, points, boxes = zip(*(picture(size * number + i) for i in range(size)), strict=True)
        yield {"images": np.stack(images), "keypoints": list(points), "bounding_boxes": list(boxes)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--images", type=int, default=16, help="in each batch")
    arguments = parser.parse_args()
    count, size = arguments.batches, arguments.images

    digest, workers = hashlib.sha256(), set()
    began = time.perf_counter()
    with Client(PIPELINE, seed=1, seeding="batch") as client:
        for batch, info in client.imap_batches(batches(count, size), with_info=True, progress=True):
            workers.add(info.worker_id)
            for name in ("images", "keypoints", "bounding_boxes"):
                for part in batch[name]:
                    digest.update(np.asarray(part).tobytes())
    seconds = time.perf_counter() - began
    print(
        f"{count} batches of {size} images in {seconds:.1f} s, augmented by {len(workers)} "
        + ("worker" if len(workers) == 1 else "workers")
    )
    print(f"sha256 {digest.hexdigest()}")


if __name__ == "__main__":
    main()
