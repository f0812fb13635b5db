"""Multiply of uint8 images: the tables of a whole batch at once, looked up in place. Bit for bit imgaug's.

Source: imgaug/augmenters/arithmetic.py, Multiply, multiply_scalar and _multiply_scalar_to_uint8.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from imgaug.augmenters import arithmetic, meta

__all__ = ["Multiply"]

_LEVELS = np.arange(0, 256, dtype=np.float32)


class Multiply(arithmetic.Multiply):  # type: ignore[misc]
    """imgaug's Multiply by tables of the batch."""

    def _augment_batch_(self, batch: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
        images = batch.images
        if images is None:
            return batch
        rss = random_state.duplicate(2)
        channels = meta.estimate_max_number_of_channels(images)
        each = self.per_channel.draw_samples((len(images),), random_state=rss[0]) > 0.5
        factors = self.mul.draw_samples((len(images), channels), random_state=rss[1])
        tables = np.clip(_LEVELS * factors[:, :1].astype(np.float32), 0, 255).astype(np.uint8)
        for i, image in enumerate(images):
            if not each[i] and image.dtype == np.uint8 and image.size and image.flags.c_contiguous:
                flat = image.reshape(len(image), -1)
                if isinstance(images, np.ndarray):
                    cv2.LUT(flat, tables[i], dst=flat)
                else:  # as with imgaug, a list gets another array
                    images[i] = cv2.LUT(flat, tables[i]).reshape(image.shape)
            else:
                factor = factors[i, : image.shape[2]] if each[i] else factors[i, 0]
                images[i] = arithmetic.multiply_scalar(image, factor)
        return batch
