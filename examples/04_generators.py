"""Batches from a generator: they are made as the farm needs them, and the generator need not end.

    python examples/04_generators.py [--batches 100]

imap_batches takes any iterable and gives batches in order; imap_batches_unordered gives what is done first.
The farm is one of this script's own; or, with AUGFARM_BROKER=tcp://HOST:5555, one that runs.
Writes 04_generators.png: an image of each of the first batches, before and after.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from typing import Any

import augfarm.compat  # isort: skip  # noqa: F401  before imgaug, which needs it on numpy 2
import imageio.v3 as iio
import imgaug as ia
import imgaug.augmenters as iaa
import numpy as np

from augfarm.client import Client
from augfarm.client.sheet import Tile, contact_sheet

augmenter = iaa.Sequential(
    [
        iaa.Affine(rotate=(-20, 20), mode="edge"),
        iaa.Fliplr(0.5),
        iaa.AdditiveGaussianNoise(scale=(0, 20)),
    ]
)


def batches() -> Iterator[dict[str, Any]]:
    """Batches without end: windows of one photograph. A real one would read files."""
    photograph = ia.quokka(size=0.5)
    rng = np.random.default_rng(1)
    for number in itertools.count():
        tops = rng.integers(photograph.shape[0] - 128, size=16)
        lefts = rng.integers(photograph.shape[1] - 128, size=16)
        images = [
            photograph[top : top + 128, left : left + 128] for top, left in zip(tops, lefts, strict=True)
        ]
        # Only "images" is a name of imgaug's; the others are ours, and what they hold stays in this process.
        yield {"images": np.stack(images), "number": number, "before": images[0]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, default=100)
    count = parser.parse_args().batches

    tiles: list[Tile] = []
    with Client(augmenter, seed=1) as client:
        for batch in client.imap_batches(batches()):
            if batch["number"] < 6:
                tiles += [Tile(batch["before"], "before"), Tile(batch["images"][0], "after")]
            if batch["number"] == count - 1:
                break  # what is under way is cancelled, and nothing more is taken from the generator
    print(f"{count} batches of {len(batch['images'])} images taken from a generator without end")
    iio.imwrite("04_generators.png", contact_sheet(tiles, columns=4))


if __name__ == "__main__":
    main()
