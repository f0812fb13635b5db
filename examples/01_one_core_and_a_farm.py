"""The same work on one core and on a farm: 100 batches of 16 images 128x128, and the time of each.

    python examples/01_one_core_and_a_farm.py [--batches 100]

The farm is one of this script's own, with a worker for each core; or, with AUGFARM_BROKER=tcp://HOST:5555,
one that runs.
Writes 01_one_core_and_a_farm.png: the image, and what became of it in the last batch.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator

# One core must mean one: numpy's BLAS would use them all. It is read when numpy is imported.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import augfarm.compat  # isort: skip  before imgaug, which needs it on numpy 2
import imageio.v3 as iio
import imgaug as ia
import imgaug.augmenters as iaa
from imgaug.augmentables.batches import UnnormalizedBatch

from augfarm.client import Client
from augfarm.client.sheet import Tile, contact_sheet

augfarm.compat.hush()  # imgaug's own deprecation warnings
augmenter = iaa.Sequential(
    [
        iaa.PiecewiseAffine(scale=0.05, nb_cols=6, nb_rows=6),  # slow
        iaa.Fliplr(0.5),  # fast
        iaa.CropAndPad(px=(-10, 10)),  # fast
    ]
)
image = ia.quokka_square(size=(128, 128))


def batches(count: int) -> Iterator[UnnormalizedBatch]:
    for _ in range(count):
        yield UnnormalizedBatch(images=[image] * 16)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, default=100)
    count = parser.parse_args().batches

    began = time.perf_counter()
    list(augmenter.augment_batches(batches(count), background=False))
    one_core = time.perf_counter() - began
    print(f"one core: {count} batches in {one_core:.1f} s")

    with Client(augmenter) as client:
        client.map_batches(batches(1))  # a farm of its own takes a second or two to start, once
        began = time.perf_counter()
        augmented = client.map_batches(batches(count))
        farm = time.perf_counter() - began
    print(f"the farm: {count} batches in {farm:.1f} s, {one_core / farm:.1f} times as fast")

    tiles = [Tile(image, "before")] + [Tile(after, "after") for after in augmented[-1].images_aug[:7]]
    iio.imwrite("01_one_core_and_a_farm.png", contact_sheet(tiles, columns=4))


if __name__ == "__main__":
    main()
