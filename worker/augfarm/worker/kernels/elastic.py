"""ElasticTransformation: both shift maps blurred at once, and all points of an image moved together.

The pixels are imgaug's: its random numbers, its blur and its ``cv2.remap``. Points differ by rounding.

Source: imgaug/augmenters/geometric.py, ElasticTransformation; imgaug/augmentables/kps.py and utils.py for the
neighbours of a point and their geometric median.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from imgaug.augmenters import blur, geometric

from .buffers import scratch

__all__ = ["ElasticTransformation"]

Array = Any

#: Up to this, imgaug does not blur.
_SIGMA_OF_NOTHING = 1e-3
#: Where a median that moves less is done, in pixels: imgaug's.
_MEDIAN_EPS = 1e-5
#: A median that is not done by then stays where it is; they take some tens.
_MEDIAN_STEPS = 10_000
#: OpenCV counts pixels in 16 bits here.
_LONGEST_SIDE = 32_766
#: What goes through cv2.remap as it is, for orders of 0 and above.
_DTYPES = frozenset({"uint8", "uint16", "float32"})


class ElasticTransformation(geometric.ElasticTransformation):  # type: ignore[misc]
    """imgaug's ElasticTransformation with quicker maps and points."""

    @classmethod
    def _generate_shift_maps(
        cls, shape: Any, alpha: Any, sigma: Any, random_state: Any
    ) -> tuple[Array, Array]:
        if sigma <= _SIGMA_OF_NOTHING or 0 in shape:
            maps: tuple[Array, Array] = super()._generate_shift_maps(shape, alpha, sigma, random_state)
            return maps
        ksize = blur._compute_gaussian_blur_ksize(sigma)
        ksize = ksize + 1 if ksize % 2 == 0 else ksize
        height, width = shape
        tall, wide = height + 2 * ksize, width + 2 * ksize
        # In the order of imgaug, so that each value rounds as there: remap would show it.
        noise = random_state.random((2 * tall, wide))
        noise *= 2
        noise -= 1
        # Both maps in one: what the blur mixes at their seam is cut off, since no kernel is wider than the
        # padding.
        smooth = scratch("smooth", (2 * tall, wide), np.float32)
        cv2.GaussianBlur(
            noise,
            (ksize, ksize),
            sigmaX=float(sigma),
            sigmaY=float(sigma),
            dst=smooth,
            borderType=cv2.BORDER_REFLECT_101,
        )
        dx, dy = smooth.reshape(2, tall, wide)[:, ksize:-ksize, ksize:-ksize] * np.float32(alpha)
        return dx, dy

    @classmethod
    def _map_coordinates(
        cls, image: Array, dx: Array, dy: Array, order: Any = 1, cval: Any = 0, mode: str = "constant"
    ) -> Array:
        if (
            image.dtype.name not in _DTYPES
            or image.size == 0
            or image.ndim != 3
            or image.shape[2] > 4
            or max(image.shape) > _LONGEST_SIDE
        ):
            return super()._map_coordinates(image, dx, dy, order=order, cval=cval, mode=mode)
        height, width = image.shape[0:2]
        x = np.subtract(np.arange(width, dtype=np.float32), dx)
        y = np.subtract(np.arange(height, dtype=np.float32)[:, None], dy)
        interpolation = cls._MAPPING_ORDER_SCIPY_CV2[order]
        maps = cv2.convertMaps(x, y, cv2.CV_16SC2, nninterpolation=interpolation == cv2.INTER_NEAREST)
        value = float(cval) if image.dtype.kind == "f" else int(cval)
        result = cv2.remap(
            np.ascontiguousarray(image),
            *maps,
            interpolation=interpolation,
            borderMode=cls._MAPPING_MODE_SCIPY_CV2[mode],
            borderValue=(value, value, value),
        )
        return result.reshape(image.shape)

    def _augment_kpsoi_by_samples(self, kpsoi: Any, row_idx: int, samples: Any, dx: Array, dy: Array) -> Any:
        height, width = kpsoi.shape[0:2]
        if (
            kpsoi.empty
            or 0 in kpsoi.shape
            or samples.alphas[row_idx] <= self.KEYPOINT_AUG_ALPHA_THRESH
            or samples.sigmas[row_idx] <= self.KEYPOINT_AUG_SIGMA_THRESH
        ):
            return kpsoi
        inside = [kp for kp in kpsoi.keypoints if 0 <= kp.x < width and 0 <= kp.y < height]
        if not inside:
            return kpsoi
        points = np.array([(kp.x, kp.y) for kp in inside], np.float64)
        steps = _diamond(self.NB_NEIGHBOURING_KEYPOINTS) * self.NEIGHBOURING_KEYPOINTS_DISTANCE
        near = np.round((points[:, None] + steps).astype(np.float32)).astype(np.int32)
        xx, yy = near[..., 0], near[..., 1]
        exists = (xx >= 0) & (xx < width) & (yy >= 0) & (yy < height)
        xx, yy = np.clip(xx, 0, width - 1), np.clip(yy, 0, height - 1)
        moved = np.stack([xx + dx[yy, xx], yy + dy[yy, xx]], axis=-1).astype(np.float32)
        for kp, (x, y) in zip(inside, _medians(moved.astype(np.float64), exists), strict=True):
            kp.x, kp.y = x, y
        return kpsoi


def _diamond(steps: int) -> Array:
    """All (x, y) whose distance along the axes from the middle is at most `steps`, row by row."""
    return np.array(
        [(x, y) for y in range(-steps, steps + 1) for x in range(abs(y) - steps, steps - abs(y) + 1)],
        np.float64,
    )


def _medians(points: Array, exists: Array) -> Array:
    """The geometric median of each row of points, of those that exist: (K, N, 2) and (K, N) to (K, 2)."""
    weight = exists.astype(np.float64)
    median = (points * weight[..., None]).sum(axis=1) / weight.sum(axis=1)[:, None]
    open_ = np.arange(len(points))
    for _ in range(_MEDIAN_STEPS):
        here, there, now = points[open_], exists[open_], median[open_]
        distance = np.linalg.norm(here - now[:, None], axis=2)
        away = there & (distance != 0)
        inverse = np.divide(1.0, distance, out=np.zeros_like(distance), where=away)
        total = inverse.sum(axis=1)
        stuck = total == 0  # all of them are in one place
        mean = (inverse[..., None] * here).sum(axis=1) / np.where(stuck, 1, total)[:, None]
        zeros = there.sum(axis=1) - away.sum(axis=1)
        pull = np.linalg.norm((mean - now) * total[:, None], axis=1)
        share = np.where(zeros == 0, 0.0, np.divide(zeros, pull, out=np.zeros_like(pull), where=pull != 0))
        share = np.minimum(share, 1.0)[:, None]
        new = np.where(stuck[:, None], now, (1 - share) * mean + share * now)
        median[open_] = new
        open_ = open_[np.linalg.norm(new - now, axis=1) >= _MEDIAN_EPS]
        if len(open_) == 0:
            break
    return median
