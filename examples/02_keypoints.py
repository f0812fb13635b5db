"""Keypoints go with their images: 100 batches of 16 images with 7 keypoints each.

    python examples/02_keypoints.py [--batches 100]

Bounding boxes, heatmaps, segmentation maps, polygons and line strings go the same way, under imgaug's names.
The farm is one of this script's own; or, with AUGFARM_BROKER=tcp://HOST:5555, one that runs.
Writes 02_keypoints.png: an image with its keypoints, and what became of both.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import augfarm.compat  # isort: skip  # noqa: F401  before imgaug, which needs it on numpy 2
import imageio.v3 as iio
import imgaug as ia
import imgaug.augmenters as iaa
from imgaug.augmentables.batches import UnnormalizedBatch

from augfarm.client import Client
from augfarm.client.sheet import Tile, annotated, contact_sheet

augmenter = iaa.Sequential(
    [
        iaa.PiecewiseAffine(scale=0.05, nb_cols=6, nb_rows=6),
        iaa.Fliplr(0.5),
        iaa.CropAndPad(px=(-10, 10)),
    ]
)
image = ia.quokka_square(size=(128, 128))
keypoints = ia.quokka_keypoints(size=(128, 128), extract="square")  # a KeypointsOnImage


def batches(count: int) -> Iterator[UnnormalizedBatch]:
    for _ in range(count):
        yield UnnormalizedBatch(images=[image] * 16, keypoints=[keypoints] * 16)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, default=100)
    count = parser.parse_args().batches

    with Client(augmenter, seed=1) as client:
        batch = client.map_batches(batches(count))[-1]
    print(f"{count} batches augmented; in the last one the noses are at (x,y)")
    print(", ".join(f"{each.keypoints[4].x:.0f},{each.keypoints[4].y:.0f}" for each in batch.keypoints_aug))

    tiles = [Tile(annotated(image, keypoints), "before")]
    for image_aug, keypoints_aug in zip(batch.images_aug[:7], batch.keypoints_aug, strict=False):
        tiles.append(Tile(annotated(image_aug, keypoints_aug), "after"))
    iio.imwrite("02_keypoints.png", contact_sheet(tiles, columns=4))


if __name__ == "__main__":
    main()
