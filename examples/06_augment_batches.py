"""imgaug's own calls on a farm: augmenter.augment_batches(background=True) and augmenter.pool().

    python examples/06_augment_batches.py [--batches 100]

The one line that changes is `use_for_imgaug`; the rest of the script is imgaug alone.
The farm is one of this script's own; or, with AUGFARM_BROKER=tcp://HOST:5555, one that runs.
Writes 06_augment_batches.png: images of the first and of the last batch.
"""

from __future__ import annotations

import argparse
import os

import augfarm.compat  # isort: skip  # noqa: F401  before imgaug, which needs it on numpy 2
import imageio.v3 as iio
import imgaug as ia
import imgaug.augmenters as iaa
import imgaug.multicore
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, default=100)
    batches = [UnnormalizedBatch(images=[image] * 16) for _ in range(parser.parse_args().batches)]

    with use_for_imgaug(os.environ.get("AUGFARM_BROKER")):
        print(f"inside the block imgaug's Pool is {imgaug.multicore.Pool.__module__}.Pool")
        augmented = list(augmenter.augment_batches(batches, background=True))
    print(f"{len(augmented)} batches of {len(augmented[0].images_aug)} images augmented")
    print(f"after it, it is {imgaug.multicore.Pool.__module__}.Pool again")

    tiles = [Tile(each, "the first batch") for each in augmented[0].images_aug[:4]]
    tiles += [Tile(each, "the last batch") for each in augmented[-1].images_aug[:4]]
    iio.imwrite("06_augment_batches.png", contact_sheet(tiles, columns=4))


if __name__ == "__main__":
    main()
