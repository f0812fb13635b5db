"""Pillow's filter kernels by OpenCV.

Both round half of a grey level up, but for two kernels whose divisors are no powers of two (SmoothMore,
Detail): Pillow adds them in float32, and a result that is half of a level may come out one lower.

Source: imgaug/augmenters/pillike.py, _filter_by_kernel; Pillow, src/libImaging/Filter.c.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import PIL.ImageFilter
from imgaug.augmenters import pillike

__all__ = [
    "FilterBlur",
    "FilterContour",
    "FilterDetail",
    "FilterEdgeEnhance",
    "FilterEdgeEnhanceMore",
    "FilterEmboss",
    "FilterFindEdges",
    "FilterSharpen",
    "FilterSmooth",
    "FilterSmoothMore",
]

Array = Any

#: Makes OpenCV, which rounds half to even, round it up: less than any kernel's steps of 1/100 of a level.
_UPWARDS = 0.002


class _Filter:
    _kernel: Any

    def _augment_batch_(self: Any, batch: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
        if batch.images is None:
            return batch
        (width, height), divisor, offset, weights = self._kernel.filterargs
        # Pillow's rows count from below.
        matrix = (np.array(weights, np.float64).reshape(height, width)[::-1] / divisor).astype(np.float32)
        for image in batch.images:
            if _is_ours(image, height, width):
                _filter(image, matrix, offset + _UPWARDS)
            else:
                image[...] = self.func(image)
        return batch


def _is_ours(image: Array, height: int, width: int) -> bool:
    return (
        image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[0] >= height
        and image.shape[1] >= width
        and image.shape[2] in (1, 3, 4)
    )


def _filter(image: Array, matrix: Array, offset: float) -> None:
    """Filter the image in place; as with Pillow, its border stays as it is."""
    edge_y, edge_x = matrix.shape[0] // 2, matrix.shape[1] // 2
    result = cv2.filter2D(np.ascontiguousarray(image), -1, matrix, delta=offset).reshape(image.shape)
    inner = np.s_[edge_y : image.shape[0] - edge_y, edge_x : image.shape[1] - edge_x]
    image[inner] = result[inner]


def _kernel(name: str, pil: Any) -> Any:
    original = getattr(pillike, name)
    body = {"_kernel": pil, "__doc__": f"imgaug's {name} by OpenCV.", "__module__": __name__}
    return type(name, (_Filter, original), body)


FilterBlur = _kernel("FilterBlur", PIL.ImageFilter.BLUR)
FilterContour = _kernel("FilterContour", PIL.ImageFilter.CONTOUR)
FilterDetail = _kernel("FilterDetail", PIL.ImageFilter.DETAIL)
FilterEdgeEnhance = _kernel("FilterEdgeEnhance", PIL.ImageFilter.EDGE_ENHANCE)
FilterEdgeEnhanceMore = _kernel("FilterEdgeEnhanceMore", PIL.ImageFilter.EDGE_ENHANCE_MORE)
FilterEmboss = _kernel("FilterEmboss", PIL.ImageFilter.EMBOSS)
FilterFindEdges = _kernel("FilterFindEdges", PIL.ImageFilter.FIND_EDGES)
FilterSharpen = _kernel("FilterSharpen", PIL.ImageFilter.SHARPEN)
FilterSmooth = _kernel("FilterSmooth", PIL.ImageFilter.SMOOTH)
FilterSmoothMore = _kernel("FilterSmoothMore", PIL.ImageFilter.SMOOTH_MORE)
