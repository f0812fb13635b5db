"""Voronoi and its family: cells' mean colours by counting, instead of a Python loop over the pixels.

Bit for bit imgaug's: the cells are found by the same tree, and sums of whole numbers are exact in float64 in
any order.

Source: imgaug/augmenters/segmentation.py, segment_voronoi.
"""

from __future__ import annotations

from typing import Any

import imgaug as ia
import numpy as np
from imgaug.augmenters import segmentation

__all__ = ["RegularGridVoronoi", "RelativeRegularGridVoronoi", "UniformVoronoi", "Voronoi"]

Array = Any


class _Counting:
    def _augment_single_image(self: Any, image: Array, random_state: Any) -> Array:
        rss = random_state.duplicate(2)
        shape = image.shape
        image = segmentation._ensure_image_max_size(image, self.max_size, self.interpolation)
        cells = self.points_sampler.sample_points([image], rss[0])[0]
        replaced = self.p_replace.draw_samples((len(cells),), rss[1]) > 0.5
        if image.ndim != 3 or image.size == 0 or len(cells) == 0:
            result = segmentation.segment_voronoi(image, cells, replaced)
        else:
            result = _segmented(image, cells, replaced)
        if shape != result.shape:
            result = ia.imresize_single_image(result, shape[0:2], interpolation=self.interpolation)
        return result


def _segmented(image: Array, cells: Array, replaced: Array) -> Array:
    height, width, channels = image.shape
    _, nearest = segmentation._match_pixels_with_voronoi_cells(height, width, cells)
    flat = image.reshape(-1, channels)
    counts = np.maximum(np.bincount(nearest, minlength=len(cells)), 1)
    colours = np.empty((len(cells), channels), np.uint8)
    for channel in range(channels):
        total = np.bincount(nearest, weights=flat[:, channel], minlength=len(cells))
        colours[:, channel] = total / counts
    result = colours[nearest]
    if not replaced.all():
        kept = ~replaced[nearest]
        result[kept] = flat[kept]
    return result.reshape(image.shape)


class Voronoi(_Counting, segmentation.Voronoi):  # type: ignore[misc]
    """imgaug's Voronoi by counting."""


class UniformVoronoi(_Counting, segmentation.UniformVoronoi):  # type: ignore[misc]
    """imgaug's UniformVoronoi by counting."""


class RegularGridVoronoi(_Counting, segmentation.RegularGridVoronoi):  # type: ignore[misc]
    """imgaug's RegularGridVoronoi by counting."""


class RelativeRegularGridVoronoi(_Counting, segmentation.RelativeRegularGridVoronoi):  # type: ignore[misc]
    """imgaug's RelativeRegularGridVoronoi by counting."""
