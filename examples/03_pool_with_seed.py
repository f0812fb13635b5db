"""Pool, as imgaug's: with a seed a run can be repeated to the byte, on any number of workers.

    python examples/03_pool_with_seed.py [--batches 100]

Batch i is seeded by seed + i, so choose seeds that lie far apart: batch 1 of seed 1 equals batch 0 of seed 2.
The farm is one of this script's own; or, with AUGFARM_BROKER=tcp://HOST:5555, one that runs.
Writes 03_pool_with_seed.png: a row of images for each run.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from typing import Any

import augfarm.compat  # isort: skip  # noqa: F401  before imgaug, which needs it on numpy 2
import imageio.v3 as iio
import imgaug as ia
import imgaug.augmenters as iaa
from imgaug.augmentables.batches import UnnormalizedBatch

from augfarm.client import use_for_imgaug
from augfarm.client.sheet import Tile, contact_sheet

augmenter = iaa.Sequential(
    [
        iaa.PiecewiseAffine(scale=0.05, nb_cols=6, nb_rows=6),
        iaa.Fliplr(0.5),
        iaa.CropAndPad(px=(-10, 10)),
    ]
)
image = ia.quokka_square(size=(128, 128))


def run(seed: int, count: int) -> list[Any]:
    batches = [UnnormalizedBatch(images=[image] * 16) for _ in range(count)]
    with augmenter.pool(seed=seed) as pool:  # or augfarm.client.Pool(augmenter, seed=seed)
        augmented: list[Any] = pool.map_batches(batches)
    return augmented


def fingerprint(batches: list[Any]) -> str:
    digest = hashlib.sha256()
    for batch in batches:
        for each in batch.images_aug:
            digest.update(each.tobytes())
    return digest.hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, default=100)
    count = parser.parse_args().batches

    tiles = []
    with use_for_imgaug(os.environ.get("AUGFARM_BROKER")):
        for name, seed in (("seed 1", 1), ("seed 1 again", 1), ("seed 1000", 1000)):
            augmented = run(seed, count)
            print(f"{name}: {fingerprint(augmented)}")
            tiles += [Tile(each, name) for each in augmented[0].images_aug[:5]]
    iio.imwrite("03_pool_with_seed.png", contact_sheet(tiles, columns=5))


if __name__ == "__main__":
    main()
