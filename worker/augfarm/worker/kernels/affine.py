"""Affine and its family: matrices without five objects for each, and the warp straight into the result.

Bit for bit imgaug's: the same products of the same numbers, in the same order and types. Only images are
moved here; annotations go through imgaug's own matrices.

Source: imgaug/augmenters/geometric.py, Affine, _AffineSamplingResult.to_matrix and _warp_affine_arr_cv2;
scikit-image's AffineTransform, whose meaning of shear has changed between versions: where the matrices are
not the same, imgaug's own code serves.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import cv2
import numpy as np
from imgaug.augmenters import geometric

__all__ = ["Affine", "Rotate", "ScaleX", "ScaleY", "ShearX", "ShearY", "TranslateX", "TranslateY"]

Array = Any

#: A matrix whose numbers are on average so near to those of the identity is taken for it: imgaug's.
_IDENTITY_EPS = 1e-4
#: OpenCV counts pixels in 16 bits here.
_LONGEST_SIDE = 32_766


class _Quick:
    def _augment_images_by_samples(
        self: Any, images: Any, samples: Any, image_shapes: Any = None, return_matrices: bool = False
    ) -> Any:
        ours = (
            image_shapes is None
            and not return_matrices
            and not self.fit_output
            and self.backend in ("auto", "cv2")
            and _matrices_are_scikits()
            and all(_is_ours(image) for image in images)
            and all(order in geometric._AFFINE_INTERPOLATION_ORDER_SKIMAGE_TO_CV2 for order in samples.order)
            and all(order in (0, 1, 3) for order in samples.order)
        )
        if not ours:
            return super()._augment_images_by_samples(images, samples, image_shapes, return_matrices)  # type: ignore[misc]
        matrices = np.array([_matrix(samples, i, image.shape) for i, image in enumerate(images)]).reshape(
            -1, 3, 3
        )
        moves = np.abs(np.eye(3) - matrices).mean(axis=(1, 2)) > _IDENTITY_EPS
        # Where there is one array, the result is another; imgaug's images of a list that do not move stay as
        # they are.
        result = np.empty_like(images) if isinstance(images, np.ndarray) else list(images)
        for i, image in enumerate(images):
            if not moves[i]:
                result[i] = image
                continue
            if not isinstance(result, np.ndarray):
                result[i] = np.empty_like(image, order="C")
            _warp(image, matrices[i, :2], samples.order[i], samples.mode[i], samples.cval[i], result[i])
        return result


def _is_ours(image: Array) -> bool:
    return (
        image.dtype == np.uint8
        and image.ndim == 3
        and 1 <= image.shape[2] <= 3
        and image.size > 0
        and max(image.shape[0:2]) <= _LONGEST_SIDE
        and bool(image.flags.c_contiguous)
    )


def _warp(image: Array, matrix: Array, order: Any, mode: Any, cval: Any, out: Array) -> None:
    height, width, channels = image.shape
    flat = (image[..., 0], out[..., 0]) if channels == 1 else (image, out)
    cv2.warpAffine(
        flat[0],
        matrix,
        dsize=(width, height),
        dst=flat[1],
        flags=geometric._AFFINE_INTERPOLATION_ORDER_SKIMAGE_TO_CV2.get(order, order),
        borderMode=geometric._AFFINE_MODE_SKIMAGE_TO_CV2.get(mode, mode),
        borderValue=tuple(int(value) for value in cval),
    )


def _matrix(samples: Any, i: int, shape: Any) -> Array:
    """The matrix of image i: as to_matrix() without fit_output."""
    given = samples.get_affine_parameters(i, arr_shape=shape, image_shape=shape)
    shift_y, shift_x = shape[0] / 2.0 - 0.5, shape[1] / 2.0 - 0.5
    made = _ASIDE @ _shift(-shift_x, -shift_y)
    made = _transform(1, 1, 0, given["shear_y_rad"], 0, 0) @ made
    made = _BACK @ made
    made = (
        _transform(
            given["scale_x"],
            given["scale_y"],
            given["rotate_rad"],
            given["shear_x_rad"],
            given["translate_x_px"],
            given["translate_y_px"],
        )
        @ made
    )
    return _shift(shift_x, shift_y) @ made


def _transform(sx: Any, sy: Any, angle: Any, shear: Any, dx: Any, dy: Any) -> Array:
    sine, cosine, slope = math.sin(angle), math.cos(angle), math.tan(shear)
    return np.array(
        [
            [sx * cosine, -sy * (slope * cosine + sine), dx],
            [sx * sine, -sy * (slope * sine - cosine), dy],
            [0, 0, 1],
        ],
        np.float64,
    )


def _shift(dx: float, dy: float) -> Array:
    return np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]])


#: imgaug writes pi as 3.141592.
_ASIDE = _transform(1, 1, -3.141592 / 2, 0, 0, 0)
_BACK = _transform(1, 1, 3.141592 / 2, 0, 0, 0)


@functools.lru_cache(maxsize=1)
def _matrices_are_scikits() -> bool:
    """Whether the scikit-image that is here makes the same of scales, angles and shears, to the bit."""
    for mode, unit in (("px", 9.0), ("percent", 0.1)):
        for dtype in (np.float32, np.float64):
            samples = geometric._AffineSamplingResult(
                scale=(np.array([1.2], dtype), np.array([0.7], dtype)),
                translate=(np.array([unit], dtype), np.array([-2 * unit], dtype)),
                translate_mode=mode,
                rotate=np.array([33.0], dtype),
                shear=(np.array([11.0], dtype), np.array([-7.0], dtype)),
            )
            shape = (40, 60, 3)
            theirs, _ = samples.to_matrix(0, shape, shape, False)
            if not np.array_equal(theirs.params, _matrix(samples, 0, shape)):
                return False
    return True


class Affine(_Quick, geometric.Affine):  # type: ignore[misc]
    """imgaug's Affine with quicker matrices."""


class Rotate(_Quick, geometric.Rotate):  # type: ignore[misc]
    """imgaug's Rotate with quicker matrices."""


class ScaleX(_Quick, geometric.ScaleX):  # type: ignore[misc]
    """imgaug's ScaleX with quicker matrices."""


class ScaleY(_Quick, geometric.ScaleY):  # type: ignore[misc]
    """imgaug's ScaleY with quicker matrices."""


class ShearX(_Quick, geometric.ShearX):  # type: ignore[misc]
    """imgaug's ShearX with quicker matrices."""


class ShearY(_Quick, geometric.ShearY):  # type: ignore[misc]
    """imgaug's ShearY with quicker matrices."""


class TranslateX(_Quick, geometric.TranslateX):  # type: ignore[misc]
    """imgaug's TranslateX with quicker matrices."""


class TranslateY(_Quick, geometric.TranslateY):  # type: ignore[misc]
    """imgaug's TranslateY with quicker matrices."""
