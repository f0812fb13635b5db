"""What users write themselves, in a module that the workers allow."""

from __future__ import annotations

from typing import Any

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import imgaug.augmenters as iaa
import imgaug.parameters as iap
import imgaug.random
import numpy as np


class Stripes(iaa.IBatchwiseMaskGenerator):
    """Rows that are in or out, as drawn for each image."""

    def __init__(self, share: float) -> None:
        self.share = share

    def draw_masks(self, batch: Any, random_state: Any = None) -> list[np.ndarray[Any, Any]]:
        rng = imgaug.random.RNG(random_state)
        return [
            np.repeat(rng.random(shape[0]) < self.share, shape[1]).reshape(shape[:2]).astype(np.float32)
            for shape in batch.get_rowwise_shapes()
        ]


class Diagonal(iaa.IPointsSampler):
    """Points from corner to corner, as many as a parameter says."""

    def __init__(self, count: Any) -> None:
        self.count = iap.handle_discrete_param(count, "count")

    def sample_points(self, images: Any, random_state: Any) -> list[np.ndarray[Any, Any]]:
        rng = imgaug.random.RNG(random_state)
        counts = self.count.draw_samples((len(images),), random_state=rng)
        return [
            np.linspace((0, 0), (image.shape[1], image.shape[0]), int(count), dtype=np.float32)
            for image, count in zip(images, counts, strict=True)
        ]


class Fade(iaa.IBinaryImageColorizer):
    """Edges in a grey of their own."""

    def colorize(self, image_binary: Any, image_original: Any, nth_image: int, random_state: Any) -> Any:
        grey = random_state.integers(100, 256)
        return np.where(image_binary[..., np.newaxis], np.uint8(grey), image_original // 2)


class Steps(iap.StochasticParameter):
    """Multiples of a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def _draw_samples(self, size: Any, random_state: Any) -> Any:
        return random_state.integers(-9, 9, size=size) * self.step


def darken(images: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
    """Each image by an amount of its own, drawn from the augmenter's generator."""
    amounts = random_state.integers(1, 90, size=len(images))
    return [image - np.minimum(image, amount) for image, amount in zip(images, amounts, strict=True)]


def shift(keypoints: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
    """All keypoints of an image."""
    return [each.shift(x=random_state.uniform(-3, 3), y=1) for each in keypoints]


def images_are_bytes(images: Any, random_state: Any, parents: Any, hooks: Any) -> bool:
    """Whether all are of 8 bits."""
    return all(image.dtype == np.uint8 for image in images)


def are_keypoints(keypoints: Any, random_state: Any, parents: Any, hooks: Any) -> bool:
    """Whether there is a list for each image."""
    return all(hasattr(each, "keypoints") for each in keypoints)
