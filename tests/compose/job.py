"""A job whose result is known: by plain imgaug, in a worker's container, without a farm.

This file is also run there, from standard input, so it imports nothing from the tests.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import augfarm.compat  # isort: skip  # noqa: F401
import imgaug
import numpy as np
from imgaug import augmenters as iaa

from augfarm.protocol.seeds import Seed

SEED = 7
#: Longer than a frame of the wire, and cheap.
SHAPE = (6, 128, 128, 3)


def pipeline() -> iaa.Augmenter:
    return iaa.Sequential(
        [iaa.Fliplr(0.5), iaa.Affine(rotate=(-20, 20)), iaa.AdditiveGaussianNoise(scale=(0, 20))]
    )


def batch(number: int) -> np.ndarray[Any, Any]:
    return ((np.arange(np.prod(SHAPE)) * (number % 7 + 3)) % 251).astype(np.uint8).reshape(SHAPE)


def digest(images: Any) -> str:
    return hashlib.sha256(np.asarray(images).tobytes()).hexdigest()


def main() -> None:
    """Prints the digest of each batch, augmented as imgaug's own Pool would."""
    augmenter = pipeline()
    for number in range(int(sys.argv[1])):
        seed = Seed("batch", SEED, number)
        imgaug.random.seed(seed.global_generator())
        augmenter.seed_(seed.augmenter())
        print(digest(augmenter.augment_images(batch(number))))


if __name__ == "__main__":
    main()
