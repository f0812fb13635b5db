"""PiecewiseAffine: one map for an image from a few small products, instead of an SVD for each triangle.

Images of uint8 with order 1 go through ``cv2.remap``, whose coordinates are in steps of 1/32 pixel. All other
dtypes and orders go through the same interpolation as imgaug's, channel by channel, and differ by rounding.
Points are looked for as imgaug does, as the brightest pixel of a warped map of distances, but only where it
can be.

Source: imgaug/augmenters/geometric.py, PiecewiseAffine.
"""

from __future__ import annotations

from typing import Any

import cv2
import imgaug as ia
import numpy as np
from imgaug import dtypes as iadt
from imgaug.augmenters import geometric
from scipy import ndimage

from .mesh import Mesh, mesh_of
from .points import brightest

__all__ = ["PiecewiseAffine"]

Array = Any

#: What scikit-image's warp calls scipy's modes.
_MODES = {
    "constant": "grid-constant",
    "edge": "nearest",
    "symmetric": "reflect",
    "reflect": "mirror",
    "wrap": "grid-wrap",
}
#: OpenCV counts pixels in 16 bits here.
_LONGEST_SIDE = 32_766
#: imgaug's threshold below which a point counts as lost.
_DARKEST = 0.01
#: As imgaug.
_DTYPES = frozenset(
    ["bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64"]
)
#: For whatever cannot be done here.
_ORIGINAL = object()


class PiecewiseAffine(geometric.PiecewiseAffine):  # type: ignore[misc]
    """imgaug's PiecewiseAffine by maps of a regular grid."""

    def _augment_images_by_samples(self, images: Any, samples: Any) -> Any:
        if any(image.dtype.name not in _DTYPES for image in images):
            return super()._augment_images_by_samples(images, samples)  # it says what it does not take
        for i, image in enumerate(images):
            warp = self._warp_of(image.shape, image.shape, samples, i)
            if warp is None:
                continue
            if warp is _ORIGINAL:
                images[i] = super()._augment_images_by_samples([image], _only(samples, i))[0]
                continue
            cval = samples.get_clipped_cval(i, image.dtype)
            images[i] = _warp_image(image, warp[0], warp[1], int(samples.order[i]), samples.mode[i], cval)
        return images

    def _augment_maps_by_samples(
        self, augmentables: Any, arr_attr_name: str, samples: Any, cval: Any, mode: Any, order: Any
    ) -> Any:
        for i, augmentable in enumerate(augmentables):
            array = getattr(augmentable, arr_attr_name)
            warp = self._warp_of(array.shape, augmentable.shape, samples, i)
            if warp is None:
                continue
            if warp is _ORIGINAL or None in (cval, mode, order):
                augmentables[i] = super()._augment_maps_by_samples(
                    [augmentable], arr_attr_name, _only(samples, i), cval, mode, order
                )[0]
                continue
            warped = _interpolated(array, warp[0], warp[1], order, mode, cval).astype(array.dtype, copy=False)
            if order >= 3 and isinstance(augmentable, ia.HeatmapsOnImage):
                np.clip(warped, 0.0, 1.0, out=warped)
            setattr(augmentable, arr_attr_name, warped)
        return augmentables

    def _augment_keypoints_by_samples(self, kpsois: Any, samples: Any) -> Any:
        for i, kpsoi in enumerate(kpsois):
            height, width = kpsoi.shape[0:2]
            if not kpsoi.keypoints:
                continue
            warp = self._warp_of(kpsoi.shape, kpsoi.shape, samples, i)
            if warp is None:
                continue
            if warp is _ORIGINAL:
                kpsois[i] = super()._augment_keypoints_by_samples([kpsoi], _only(samples, i))[0]
                continue
            inside = [kp for kp in kpsoi.keypoints if 0 <= kp.x < width and 0 <= kp.y < height]
            if inside:
                mesh, targets = warp
                at = np.array([(kp.x, kp.y) for kp in inside], np.float64)
                for kp, (x, y) in zip(inside, brightest(mesh, targets, at, _DARKEST), strict=True):
                    kp.x, kp.y = x, y
        return list(kpsois)

    def _warp_of(self, shape: Any, image_shape: Any, samples: Any, i: int) -> Any:
        """The mesh of this shape and where image i's points come from; None: nothing moves; or _ORIGINAL.

        The same for pixels, points and boxes of one shape, so it is kept with the batch's samples.
        """
        held = vars(samples).setdefault("_augfarm_warps", {})
        key = (i, shape, image_shape)
        if key not in held:
            rows, columns = int(samples.nb_rows[i]), int(samples.nb_cols[i])
            held[key] = self._new_warp(shape, image_shape, rows, columns, samples.jitter[i])
        return held[key]

    def _new_warp(self, shape: Any, image_shape: Any, rows: int, columns: int, jitter: Array) -> Any:
        height, width = shape[0:2]
        if not (jitter > 0).any() or height <= 1 or width <= 1:
            return None
        if any(len(each) == 3 and each[-1] == 0 for each in (shape, image_shape)):
            return None
        if max(height, width) > _LONGEST_SIDE:
            return _ORIGINAL
        mesh = mesh_of(height, width, rows, columns)
        if not mesh.whole:
            return _ORIGINAL
        scale = np.array([height, width], np.float64)
        if self.absolute_scale:
            jitter = np.divide(
                jitter, image_shape[0:2], out=np.zeros(jitter.shape), where=np.array(image_shape[0:2]) > 0
            )
        targets = np.clip(mesh.points + jitter * scale, 0, scale - 1)
        # A triangle that shrinks to a point has no affine map there, and some other result.
        corners = targets[mesh.triangles]
        if (corners == corners[:, :1]).all(axis=(1, 2)).any():
            return _ORIGINAL
        return mesh, targets


def _warp_image(image: Array, mesh: Mesh, targets: Array, order: int, mode: str, cval: Any) -> Array:
    if image.dtype == np.uint8 and order == 1:
        return _remapped(image, mesh.render(targets, np.float32))
    if image.dtype == bool:
        # scikit-image takes the nearest pixel of what is boolean; imgaug makes it float64 first.
        return _interpolated(image.astype(np.float64), mesh, targets, order, mode, cval) > 0.5
    return iadt.restore_dtypes_(_interpolated(image, mesh, targets, order, mode, cval), image.dtype)


def _remapped(image: Array, coordinates: Array) -> Array:
    """The uint8 image at these coordinates, which lie in it: no mode matters."""
    out = np.empty_like(image, order="C")
    channels = image.shape[2]
    map_x, map_y = coordinates
    if not image.flags.c_contiguous:
        image = np.ascontiguousarray(image)
    for first in range(0, channels, 4):  # cv2.remap takes no more at once
        few = image[..., first : first + 4]
        if channels <= 4:
            cv2.remap(few, map_x, map_y, cv2.INTER_LINEAR, dst=out, borderMode=cv2.BORDER_REPLICATE)
        else:
            part = cv2.remap(
                np.ascontiguousarray(few), map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            out[..., first : first + 4] = part.reshape(few.shape)
    return out


def _interpolated(array: Array, mesh: Mesh, targets: Array, order: int, mode: str, cval: Any) -> Array:
    """As scikit-image's warp with preserve_range, channel by channel.

    Its splines run through the channels, too, but at whole numbers, where they are the values themselves.
    """
    coordinates = mesh.render(targets, np.float64)
    if order == 0:
        rows, columns = (np.floor(each + 0.5).astype(np.intp) for each in coordinates[::-1])
        np.clip(rows, 0, array.shape[0] - 1, out=rows)
        np.clip(columns, 0, array.shape[1] - 1, out=columns)
        return array[rows, columns]
    source = array.astype(np.float32) if array.dtype == np.float16 else array
    if source.dtype.char not in "df":
        source = source.astype(np.float64)
    out = np.empty_like(source, order="C")
    np.clip(coordinates[0], 0, array.shape[1] - 1, out=coordinates[0])
    np.clip(coordinates[1], 0, array.shape[0] - 1, out=coordinates[1])
    for channel in range(array.shape[2]):
        out[..., channel] = ndimage.map_coordinates(
            source[..., channel],
            coordinates[::-1],
            order=order,
            mode=_MODES[mode],
            cval=cval,
            prefilter=order > 1,
        )
    if order > 1:
        _clip(out, source, mode, cval)
    return out


def _clip(out: Array, source: Array, mode: str, cval: Any) -> None:
    """Clip what a spline swings beyond the source's values; cval is one of them where it is reached."""
    low, high = np.nanmin(source), np.nanmax(source)
    if mode == "constant" and not low <= cval <= high and out.min() <= cval <= out.max():
        low, high = min(low, cval), max(high, cval)
    np.clip(out, low, high, out=out)


def _only(samples: Any, i: int) -> Any:
    """The samples of one image."""
    return geometric._PiecewiseAffineSamplingResult(
        *(
            getattr(samples, name)[i : i + 1]
            for name in ("nb_rows", "nb_cols", "jitter", "order", "cval", "mode")
        )
    )
