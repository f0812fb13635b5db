"""Augmenters of one's own, in a module of their own, which workers can import. See 08_custom_augmenter.py."""

from __future__ import annotations

from typing import Any

import augfarm.compat  # isort: skip  # noqa: F401  before imgaug, which needs it on numpy 2
import imgaug.augmenters as iaa
import imgaug.parameters as iap
import numpy as np


class Curtain(iaa.Augmenter):  # type: ignore[misc]
    """Darkens vertical stripes of the images; annotations stay as they are.

    Args:
        stripes: how many, an int or a stochastic parameter.
    """

    def __init__(self, stripes: Any = 5, **base: Any) -> None:
        super().__init__(**base)
        self.stripes = iap.handle_discrete_param(stripes, "stripes", value_range=(1, None))

    def _augment_batch_(self, batch: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
        if batch.images is not None:
            # All that is random comes from random_state; numpy's own functions would not follow the seed.
            counts = self.stripes.draw_samples((len(batch.images),), random_state=random_state)
            for image, count in zip(batch.images, counts, strict=True):
                width = image.shape[1]
                wave = np.sin(np.arange(width) * 2 * np.pi * count / width)
                image[:, wave > 0.5] //= 3
        return batch

    def get_parameters(self) -> list[Any]:
        return [self.stripes]


class Odd(iap.StochasticParameter):  # type: ignore[misc]
    """An odd whole number from 1 to `most`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def _draw_samples(self, size: Any, random_state: Any) -> Any:
        return random_state.integers(0, (self.most + 1) // 2, size=size) * 2 + 1


def swap_colours(images: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
    """For iaa.Lambda: red becomes blue and blue red."""
    return [np.ascontiguousarray(image[..., ::-1]) for image in images]
