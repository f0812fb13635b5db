"""All on one image that moves with its pixels, as the batch's columns need it, and what came back. Pure.

Forms put their boxes, polygons and points into a :class:`Bundle` and remember the number of each; in an
:class:`Augmented` they find them again by these numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["AnnotationError", "Augmented", "Bundle", "columns_of", "results_of"]

Array = np.ndarray[Any, np.dtype[Any]]


class AnnotationError(ValueError):
    """An image's annotations cannot be used; the text says why."""


@dataclass
class Bundle:
    """What is on one image, in pixels from its upper left corner.

    Attributes:
        size: (H,W) of the image, upright.
        boxes: (x1, y1, x2, y2) each.
        polygons: lists of (x, y) each.
        points: (x, y) each.
        maps: (H,W) each, of whole numbers, 0 where nothing is.
    """

    size: tuple[int, int]
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    polygons: list[Array] = field(default_factory=list)
    points: list[tuple[float, float]] = field(default_factory=list)
    maps: list[Array] = field(default_factory=list)

    def add_box(self, box: Sequence[float]) -> int:
        """Returns its number."""
        x1, y1, x2, y2 = map(float, box)
        self.boxes.append((x1, y1, x2, y2))
        return len(self.boxes) - 1

    def add_polygon(self, points: Any) -> int:
        """Returns its number. `points` is (P,2)."""
        self.polygons.append(np.asarray(points, np.float64).reshape(-1, 2))
        return len(self.polygons) - 1

    def add_point(self, point: Sequence[float]) -> int:
        """Returns its number."""
        x, y = map(float, point)
        self.points.append((x, y))
        return len(self.points) - 1

    def add_map(self, values: Array) -> int:
        """Returns its number. `values` is (H,W) of whole numbers."""
        self.maps.append(values.astype(np.int32))
        return len(self.maps) - 1


@dataclass(frozen=True)
class Augmented:
    """What became of a bundle.

    Attributes:
        before: the bundle.
        size: (H,W) of the image now.
        boxes: (B,4).
        polygons: (P,2) each.
        points: (K,2).
        maps: (H,W) each.
    """

    before: Bundle
    size: tuple[int, int]
    boxes: Array
    polygons: list[Array]
    points: Array
    maps: list[Array]

    def box_stayed(self, number: int) -> bool:
        """Whether it is where it was, on an image of the same size."""
        return self._stayed(self.before.boxes[number], self.boxes[number])

    def polygon_stayed(self, number: int) -> bool:
        """As box_stayed."""
        return self._stayed(self.before.polygons[number], self.polygons[number])

    def point_stayed(self, number: int) -> bool:
        """As box_stayed."""
        return self._stayed(self.before.points[number], self.points[number])

    def map_stayed(self, number: int) -> bool:
        """As box_stayed, of all its pixels."""
        return self.size == self.before.size and np.array_equal(self.before.maps[number], self.maps[number])

    def _stayed(self, before: Any, now: Array) -> bool:
        # imgaug counts in float32.
        then = np.asarray(before, np.float32)
        return self.size == self.before.size and then.shape == now.shape and np.array_equal(then, now)


def columns_of(bundles: Sequence[Bundle | None]) -> dict[str, list[Any]]:
    """The bundles as columns of a batch, by imgaug's names; those alone that something is in."""
    filled = [bundle if bundle is not None else Bundle((0, 0)) for bundle in bundles]
    columns: dict[str, list[Any]] = {}
    if any(bundle.boxes for bundle in filled):
        columns["bounding_boxes"] = [np.array(b.boxes, np.float32).reshape(-1, 4) for b in filled]
    if any(bundle.polygons for bundle in filled):
        columns["polygons"] = [[p.astype(np.float32) for p in bundle.polygons] for bundle in filled]
    if any(bundle.points for bundle in filled):
        columns["keypoints"] = [np.array(b.points, np.float32).reshape(-1, 2) for b in filled]
    if any(bundle.maps for bundle in filled):
        # An image without needs one too; the smallest does.
        nothing = np.zeros((1, 1, 1), np.int32)
        columns["segmentation_maps"] = [np.dstack(b.maps) if b.maps else nothing for b in filled]
    return columns


def results_of(columns: dict[str, Any], position: int, before: Bundle, shape: Sequence[int]) -> Augmented:
    """What became of one image's bundle.

    Args:
        columns: as a batch of :func:`columns_of` came back.
        position: the image's.
        shape: of the image now, (H,W,...).

    Raises:
        AnnotationError: where the pipeline gave more or fewer of something than there were.
    """

    def column(name: str) -> Any:
        values = columns.get(name)
        return () if values is None else values[position]

    size = (shape[0], shape[1])
    boxes = np.asarray(column("bounding_boxes"), np.float64).reshape(-1, 4)
    polygons = [np.asarray(each, np.float64).reshape(-1, 2) for each in column("polygons")]
    points = np.asarray(column("keypoints"), np.float64).reshape(-1, 2)
    _check("boxes", len(boxes), len(before.boxes))
    _check("polygons", len(polygons), len(before.polygons))
    _check("points", len(points), len(before.points))
    maps: list[Array] = []
    if before.maps:
        stack = np.asarray(column("segmentation_maps"))
        _check("masks", stack.shape[2] if stack.ndim == 3 else 0, len(before.maps))
        if stack.shape[:2] != size:
            raise AnnotationError(
                f"the pipeline gave masks of {_by(stack.shape)} for an image of {_by(size)}"
            )
        maps = [stack[..., channel] for channel in range(stack.shape[2])]
    return Augmented(before, size, boxes, polygons, points, maps)


def _check(what: str, got: int, expected: int) -> None:
    if got != expected:
        raise AnnotationError(
            f"the pipeline gave {got} {what} for {expected}: augmenters that remove some cannot be used "
            "here; what leaves the image is clipped, or dropped by --min-visible"
        )


def _by(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]}"
