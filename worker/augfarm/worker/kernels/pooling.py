"""Max-, min- and average pooling: one operation on whole arrays for each place in a window.

Bit for bit imgaug's: the greatest and the least do not depend on the order, and neither do sums of whole
numbers. Averages of floats do, and stay imgaug's.

Source: imgaug/imgaug.py, pool, max_pool, min_pool and avg_pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from imgaug.augmenters import pooling
from imgaug.augmenters import size as iasize

__all__ = ["AveragePooling", "MaxPooling", "MinPooling"]

Array = Any

#: What pool() takes; for others it says so itself.
_DTYPES = frozenset(
    ["bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64"]
)
#: Beyond that many places in a window, one reduction of each is as fast.
_LARGEST_WINDOW = 256


def _places(image: Array, height: int, width: int, mode: str, cval: int) -> Iterator[Array]:
    """For each place in a window, the values of all windows there."""
    padded = iasize.pad_to_multiples_of(
        image, height_multiple=height, width_multiple=width, mode=mode, cval=cval
    )
    for y in range(height):
        for x in range(width):
            yield padded[y::height, x::width]


def _here(image: Array, height: int, width: int, kinds: str) -> bool:
    return (
        image.ndim == 3
        and image.size > 0
        and image.dtype.name in _DTYPES
        and image.dtype.kind in kinds
        and height * width <= _LARGEST_WINDOW
    )


class _Extreme:
    _extreme: Any
    _cval = 0

    def _pool_image(self: Any, image: Array, height: Any, width: Any) -> Array:
        height, width = int(height), int(width)
        if not _here(image, height, width, "buif"):
            return super()._pool_image(image, height, width)  # type: ignore[misc]
        places = _places(image, height, width, "edge", self._cval)
        result = next(places).copy()
        for place in places:
            self._extreme(result, place, out=result)
        return result


class MaxPooling(_Extreme, pooling.MaxPooling):  # type: ignore[misc]
    """imgaug's MaxPooling by whole arrays."""

    _extreme = np.maximum


class MinPooling(_Extreme, pooling.MinPooling):  # type: ignore[misc]
    """imgaug's MinPooling by whole arrays."""

    _extreme = np.minimum
    _cval = 255


class AveragePooling(pooling.AveragePooling):  # type: ignore[misc]
    """imgaug's AveragePooling by whole arrays."""

    def _pool_image(self, image: Array, height: Any, width: Any) -> Array:
        height, width = int(height), int(width)
        if not _here(image, height, width, "ui") or image.dtype.itemsize > 2:
            return super()._pool_image(image, height, width)
        places = _places(image, height, width, "reflect", 128)
        total = next(places).astype(np.int32)  # up to 256 numbers of 16 bits
        for place in places:
            total += place
        return (total / (height * width)).astype(image.dtype)
