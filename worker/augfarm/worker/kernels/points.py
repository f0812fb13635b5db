"""Where a warped point is brightest: what imgaug finds by warping a whole map of distances for each point.

imgaug draws for each point the map 1 / (1 + distance) in float32, warps it bilinearly, and takes the first of
its brightest pixels. A warped value lies between those of its four neighbours, each at most sqrt(2) nearer or
farther than the pixel's own source. So only pixels whose source is at most 2 sqrt(2) farther than the nearest
one's can win, and these alone are computed, as imgaug would.

Source: imgaug/augmenters/geometric.py, PiecewiseAffine._augment_keypoints_by_samples; augmentables/kps.py,
to_distance_maps and from_distance_maps.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .mesh import Mesh

__all__ = ["brightest"]

Array = Any

#: What a warped value may be from that of its pixel's own source, in pixels, both ways; and a bit for
#: rounding.
_MARGIN = 2 * 2**0.5 + 1e-6
#: Points looked for at once.
_AT_ONCE = 256


def brightest(mesh: Mesh, targets: Array, points: Array, darkest: float) -> list[tuple[Any, Any]]:
    """The pixel where each point is after the warp, (x, y) in whole numbers; (-1, -1) where it is lost.

    Args:
        mesh, targets: the warp; see :meth:`.Mesh.render`.
        points: (K, 2), each (x, y) inside the image.
        darkest: a point whose brightest value is below this is lost.
    """
    found: list[tuple[Any, Any]] = []
    for first in range(0, len(points), _AT_ONCE):
        found += _brightest(mesh, targets, points[first : first + _AT_ONCE], darkest)
    return found


def _brightest(mesh: Mesh, targets: Array, points: Array, darkest: float) -> list[tuple[Any, Any]]:
    width = mesh.shape[1]
    which, y, x = _near(mesh, targets, points)
    sx, sy = mesh.at(targets, y, x)
    distance = np.hypot(sx - points[which, 0], sy - points[which, 1])
    starts = np.flatnonzero(np.r_[True, which[1:] != which[:-1]])
    nearest = np.minimum.reduceat(distance, starts)
    kept = distance <= nearest[which] + _MARGIN
    which, y, x, sx, sy = which[kept], y[kept], x[kept], sx[kept], sy[kept]
    light = _light(points[which], sx, sy, mesh.shape)
    # For each point the greatest value, and the first of equal ones in the order of rows.
    order = np.lexsort((y * width + x, -light, which))
    best = order[np.flatnonzero(np.r_[True, which[order][1:] != which[order][:-1]])]
    lost = light[best] < darkest
    return [(-1, -1) if gone else (x[n], y[n]) for n, gone in zip(best, lost, strict=True)]


def _near(mesh: Mesh, targets: Array, points: Array) -> tuple[Array, Array, Array]:
    """Pixels that may be the brightest, as (point's number, y, x), sorted by points.

    The image is cut into blocks. The best pixel of each point's nearest block says how near a pixel must be,
    and a block whose middle is too far for that has none.
    """
    blocks = _blocks_of(*mesh.shape)
    sx, sy = mesh.at(targets, blocks.middle_y, blocks.middle_x)
    distance = np.hypot(sx[None] - points[:, :1], sy[None] - points[:, 1:])
    everyone = np.arange(len(points))
    which, y, x = blocks.pixels(everyone, distance.argmin(axis=1))
    sx, sy = mesh.at(targets, y, x)
    best = np.hypot(sx - points[which, 0], sy - points[which, 1])
    best = np.minimum.reduceat(best, np.searchsorted(which, everyone))
    reach = mesh.steepness(targets) * blocks.side / 2 * 2**0.5
    return blocks.pixels(*np.nonzero(distance <= best[:, None] + reach + _MARGIN))


class _Blocks:
    """An image of this size, cut into squares; those at its right and lower side may be smaller."""

    def __init__(self, height: int, width: int) -> None:
        self.side = side = 8 if height * width <= 300**2 else 16 if height * width <= 1200**2 else 32
        tops, lefts = np.arange(0, height, side), np.arange(0, width, side)
        self._shape = (height, width)
        self._top, self._left = (each.ravel() for each in np.meshgrid(tops, lefts, indexing="ij"))
        self.middle_y = np.minimum(self._top + side // 2, height - 1)
        self.middle_x = np.minimum(self._left + side // 2, width - 1)
        self._steps_y = np.repeat(np.arange(side), side)
        self._steps_x = np.tile(np.arange(side), side)

    def pixels(self, which: Array, block: Array) -> tuple[Array, Array, Array]:
        """The pixels of these blocks, each with the number `which` of its block."""
        y = (self._top[block][:, None] + self._steps_y).ravel()
        x = (self._left[block][:, None] + self._steps_x).ravel()
        which = np.repeat(which, self.side**2)
        height, width = self._shape
        if height % self.side or width % self.side:
            inside = (y < height) & (x < width)
            which, y, x = which[inside], y[inside], x[inside]
        return which, y, x


_blocks_of = functools.lru_cache(maxsize=32)(_Blocks)


def _light(points: Array, sx: Array, sy: Array, shape: tuple[int, int]) -> Array:
    """The value of each pixel in the warped map of its point, as float32."""
    height, width = shape
    sx, sy = np.clip(sx, 0, width - 1), np.clip(sy, 0, height - 1)
    left, top = np.floor(sx).astype(np.intp), np.floor(sy).astype(np.intp)
    u, v = sx - left, sy - top
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    total = np.zeros(len(sx))
    for y, weight_y in ((top, 1 - v), (below, v)):
        for x, weight_x in ((left, 1 - u), (right, u)):
            squared = ((x - points[:, 0]) ** 2 + (y - points[:, 1]) ** 2).astype(np.float32)
            total += weight_y * weight_x * (1 / (np.sqrt(squared) + 1))
    return total.astype(np.float32)
