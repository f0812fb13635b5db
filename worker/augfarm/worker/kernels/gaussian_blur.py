"""GaussianBlur of uint8 images in place: imgaug's ``cv2.GaussianBlur`` without its copies, bit for bit.

Source: imgaug/augmenters/blur.py, GaussianBlur and blur_gaussian_.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from imgaug.augmenters import blur

__all__ = ["GaussianBlur"]


class GaussianBlur(blur.GaussianBlur):  # type: ignore[misc]
    """imgaug's GaussianBlur in place."""

    def _augment_batch_(self, batch: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
        if batch.images is None:
            return batch
        sigmas = self.sigma.draw_samples((len(batch.images),), random_state=random_state)
        for image, sigma in zip(batch.images, sigmas, strict=True):
            if image.dtype == np.uint8 and image.ndim == 3 and image.size and image.flags.c_contiguous:
                if sigma > 0 + self.eps:
                    ksize = blur._compute_gaussian_blur_ksize(sigma)
                    ksize = ksize + 1 if ksize % 2 == 0 else ksize
                    flat = image[..., 0] if image.shape[2] == 1 else image
                    cv2.GaussianBlur(
                        flat,
                        (ksize, ksize),
                        sigmaX=sigma,
                        sigmaY=sigma,
                        dst=flat,
                        borderType=cv2.BORDER_REFLECT_101,
                    )
            else:
                image[...] = blur.blur_gaussian_(image, sigma=sigma, eps=self.eps)
        return batch
