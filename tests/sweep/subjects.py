"""Batches for the sweep: photographs and every kind of annotation, as imgaug's own objects."""

from __future__ import annotations

from typing import Any

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import imgaug as ia
import numpy as np
from imgaug.augmentables.batches import UnnormalizedBatch

__all__ = ["ANNOTATIONS", "BATCHES", "batch_of", "batches_of"]

#: The kinds of annotations that a batch may have besides images.
ANNOTATIONS = ("heatmaps", "segmentation_maps", "keypoints", "bounding_boxes", "polygons", "line_strings")

#: The widths of the images of each batch; all are HEIGHT pixels high.
BATCHES = ((64, 64, 64), (32, 64, 32), (64,))
HEIGHT = 48

_CURVE = [(3.0, 4.0), (24.5, 6.0), (27.0, 30.25), (9.0, 40.0)]


def batches_of(columns: tuple[str, ...]) -> list[UnnormalizedBatch]:
    """All batches, with these annotations."""
    return [batch_of(number, columns) for number in range(len(BATCHES))]


def batch_of(number: int, columns: tuple[str, ...]) -> UnnormalizedBatch:
    """Batch `number` of BATCHES with the images and these annotations, all its own.

    The first and last hold an array of images, the others a list of images of several sizes.
    """
    widths = BATCHES[number]
    photograph = ia.quokka(size=(HEIGHT, 64))
    images = [np.roll(photograph, 7 * number + 3 * n, axis=1)[:, :width] for n, width in enumerate(widths)]
    listed = len(set(widths)) > 1
    return UnnormalizedBatch(
        images=[image.copy() for image in images] if listed else np.array(images),
        **{name: [_ANNOTATE[name](image) for image in images] for name in columns},
    )


def _heatmap(image: np.ndarray[Any, Any]) -> Any:
    grey = image[::2, ::2, :1].astype(np.float32) / 255
    return ia.HeatmapsOnImage(grey * 2 - 1, shape=image.shape, min_value=-1.0, max_value=1.0)


def _segmap(image: np.ndarray[Any, Any]) -> Any:
    return ia.SegmentationMapsOnImage((image[..., :1] // 64).astype(np.int32), shape=image.shape)


def _keypoints(image: np.ndarray[Any, Any]) -> Any:
    return ia.KeypointsOnImage([ia.Keypoint(x=x, y=y) for x, y in (*_CURVE, (-4, 90))], shape=image.shape)


def _boxes(image: np.ndarray[Any, Any]) -> Any:
    boxes = [ia.BoundingBox(2, 3, 20.5, 22, label="cat"), ia.BoundingBox(-9, 30, 26, 60, label="dog")]
    return ia.BoundingBoxesOnImage(boxes, shape=image.shape)


def _polygons(image: np.ndarray[Any, Any]) -> Any:
    return ia.PolygonsOnImage([ia.Polygon(_CURVE, label="sea"), ia.Polygon(_CURVE[:3])], shape=image.shape)


def _line_strings(image: np.ndarray[Any, Any]) -> Any:
    return ia.LineStringsOnImage([ia.LineString(_CURVE, label=7), ia.LineString([])], shape=image.shape)


_ANNOTATE = {
    "heatmaps": _heatmap,
    "segmentation_maps": _segmap,
    "keypoints": _keypoints,
    "bounding_boxes": _boxes,
    "polygons": _polygons,
    "line_strings": _line_strings,
}
