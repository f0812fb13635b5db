"""Shapes that leave the image: how much of them is left, and what. Pure.

The rule: an object that the pipeline left where it was is written as it stands, even where it sticks out of
the image. Any other is dropped where nothing of its area is left inside the image, or less than `min_visible`
of it; otherwise it is clipped. The area is that of its polygons where it has some, or else of its box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["area_of", "bounds_of", "clip_box", "clip_polygon", "inside", "visible_part"]

Array = np.ndarray[Any, np.dtype[Any]]
Box = tuple[float, float, float, float]


def area_of(polygon: Array) -> float:
    """The area of a polygon (P,2)."""
    if len(polygon) < 3:
        return 0.0
    x, y = polygon[:, 0], polygon[:, 1]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def bounds_of(polygons: Sequence[Array]) -> Box:
    """The box (x1, y1, x2, y2) round polygons, at least one point."""
    points = np.concatenate(list(polygons))
    (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
    return float(x1), float(y1), float(x2), float(y2)


def clip_box(box: Sequence[float], size: tuple[int, int]) -> Box:
    """What of a box (x1, y1, x2, y2) is inside of an image (H,W); of no area where it is outside."""
    height, width = size
    x1, x2 = (min(max(float(x), 0.0), float(width)) for x in (box[0], box[2]))
    y1, y2 = (min(max(float(y), 0.0), float(height)) for y in (box[1], box[3]))
    return x1, y1, x2, y2


def clip_polygon(polygon: Array, size: tuple[int, int]) -> Array:
    """What of a polygon (P,2) is inside of an image (H,W), as one polygon; empty where it is outside.

    Parts of a polygon that falls apart stay joined along the image's border, where that adds no area.
    Source: Sutherland and Hodgman, "Reentrant Polygon Clipping", 1974.
    """
    height, width = size
    for axis, limit, keep_below in ((0, 0.0, False), (0, width, True), (1, 0.0, False), (1, height, True)):
        if len(polygon) == 0:
            break
        polygon = _clip_at(polygon, axis, float(limit), keep_below)
    return polygon


def _clip_at(polygon: Array, axis: int, limit: float, keep_below: bool) -> Array:
    values = polygon[:, axis]
    kept = values <= limit if keep_below else values >= limit
    if kept.all():
        return polygon
    points: list[Any] = []
    for number, (point, is_kept) in enumerate(zip(polygon, kept, strict=True)):
        before = polygon[number - 1]
        if is_kept != kept[number - 1]:
            share = (limit - before[axis]) / (point[axis] - before[axis])
            crossing = before + share * (point - before)
            crossing[axis] = limit
            points.append(crossing)
        if is_kept:
            points.append(point)
    return np.array(points, np.float64).reshape(-1, 2)


def inside(point: Sequence[float], size: tuple[int, int]) -> bool:
    """Whether a point (x, y) is on an image (H,W)."""
    return 0 <= point[0] < size[1] and 0 <= point[1] < size[0]


def visible_part(box: Sequence[float] | None, polygons: Sequence[Array], size: tuple[int, int]) -> float:
    """How much of an object's area is inside of an image (H,W), from 0 to 1.

    An object without area counts as visible where the middle of it is inside.
    """
    whole = sum(map(area_of, polygons))
    if whole > 0:
        return sum(area_of(clip_polygon(polygon, size)) for polygon in polygons) / whole
    if box is None:
        if not polygons:
            return 0.0
        box = bounds_of(polygons)
    x1, y1, x2, y2 = box
    whole = (x2 - x1) * (y2 - y1)
    if whole <= 0:
        return float(inside(((x1 + x2) / 2, (y1 + y2) / 2), size))
    left, top, right, bottom = clip_box(box, size)
    return (right - left) * (bottom - top) / whole
