"""What is annotated on one image of a batch: points, boxes, curves and maps as plain numbers. Pure.

A batch holds annotations in imgaug's many forms: objects, arrays, tuples (:mod:`augfarm.protocol.forms`).
They are read by what they are made of, before and after they were augmented, and without imgaug.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from augfarm.protocol.batches import FIELDS

__all__ = ["Box", "Curve", "Marks", "fields_of", "images_of", "marks_of", "read_marks"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Box:
    """A bounding box, in pixels of its image; `label` is None where it has none."""

    x1: float
    y1: float
    x2: float
    y2: float
    label: Any = None


@dataclass(frozen=True)
class Curve:
    """A polygon or line string: `points` (P,2) are x and y in pixels of the image."""

    points: Array
    label: Any = None


@dataclass
class Marks:
    """All annotations of one image.

    Attributes:
        points: x and y in pixels of the image.
        segments: maps of class numbers (h,w,C), 0 being the background; they may be smaller than the image.
        heatmaps: maps (h,w,C) from 0 to 1; they may be smaller than the image.
    """

    points: list[tuple[float, float]] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    polygons: list[Curve] = field(default_factory=list)
    lines: list[Curve] = field(default_factory=list)
    segments: list[Array] = field(default_factory=list)
    heatmaps: list[Array] = field(default_factory=list)


def fields_of(batch: Any, suffix: str = "unaug") -> dict[str, Any]:
    """The fields of a batch by imgaug's names, those that are None left out.

    Args:
        batch: an imgaug batch, a dict, an array or a list of images.
        suffix: which fields of an imgaug batch: ``"unaug"`` or ``"aug"``.
    """
    if isinstance(batch, dict):
        found = {name: batch.get(name) for name in FIELDS}
    elif isinstance(batch, (np.ndarray, list, tuple)):
        found = {"images": batch}
    else:
        found = {name: getattr(batch, f"{name}_{suffix}") for name in FIELDS}
    return {name: value for name, value in found.items() if value is not None}


def images_of(fields: dict[str, Any]) -> list[Any]:
    """The images one by one: arrays (H,W) or (H,W,C), or the bytes of files.

    Raises:
        ValueError: where there are none.
    """
    images = fields.get("images")
    if images is None or len(images) == 0:
        raise ValueError("expected a batch with images: there is nothing to draw annotations on")
    return [images] if isinstance(images, np.ndarray) and images.ndim == 2 else list(images)


def marks_of(fields: dict[str, Any], number: int) -> Marks:
    """The annotations of one image.

    Args:
        fields: from :func:`fields_of`.
        number: which image, from 0.
    """
    marks = Marks()
    for name, value in fields.items():
        if name != "images":
            group = _group(name, value, number)
            if group is not None:
                read_marks(group, marks, name)
    return marks


def read_marks(group: Any, marks: Marks, name: str = "") -> Marks:
    """Add the annotations of one image to `marks`.

    Args:
        group: one of imgaug's ``...OnImage`` objects, or one image's part of a field in any other form.
        name: the field; not needed for objects.
    """
    name = name or next((each for each, kind in _OBJECTS.items() if type(group).__name__ == kind), "")
    match name:
        case "keypoints":
            marks.points += [(float(x), float(y)) for x, y, *_ in _rows(group, ("x", "y"))]
        case "bounding_boxes":
            rows = _rows(group, ("x1", "y1", "x2", "y2", "label"))
            marks.boxes += [Box(*map(float, row[:4]), *row[4:]) for row in rows]
        case "polygons":
            marks.polygons += _curves(group, "exterior")
        case "line_strings":
            marks.lines += _curves(group, "coords")
        case "segmentation_maps":
            marks.segments.append(_map(getattr(group, "arr", group)))
        case "heatmaps":
            marks.heatmaps.append(_map(getattr(group, "arr_0to1", group)))
    return marks


#: imgaug's class of each field's objects, and the attribute that holds their items.
_OBJECTS = {
    "keypoints": "KeypointsOnImage",
    "bounding_boxes": "BoundingBoxesOnImage",
    "polygons": "PolygonsOnImage",
    "line_strings": "LineStringsOnImage",
    "heatmaps": "HeatmapsOnImage",
    "segmentation_maps": "SegmentationMapsOnImage",
}
#: Items and tuples stand in so many lists where there is a list of them for each image; in fewer, all belong
#: to the only image. (Source: augfarm.protocol.forms.)
_LISTS_FOR_EACH = {"Keypoint": 2, "BoundingBox": 2, "tuple": 2, "Polygon": 2, "LineString": 2}
_LISTS_FOR_EACH_CURVE = {**_LISTS_FOR_EACH, "Keypoint": 3, "tuple": 3}


def _group(name: str, value: Any, number: int) -> Any:
    """What of a field belongs to this image, or None."""
    leaf, lists = _first(value, 0)
    if leaf == "array":
        each = True
    elif leaf.endswith("OnImage"):
        each = lists == 1
    else:
        table = _LISTS_FOR_EACH_CURVE if name in ("polygons", "line_strings") else _LISTS_FOR_EACH
        each = lists >= table.get(leaf, 1)
    if not each:
        return value if number == 0 else None
    return value[number] if number < len(value) else None


def _first(value: Any, lists: int) -> tuple[str, int]:
    """The kind of the first thing that is no list of others, and how many lists it is in."""
    if isinstance(value, np.ndarray):
        return "array", lists
    if _is_row(value):
        return "tuple", lists
    if isinstance(value, (list, tuple)):
        kinds = (_first(item, lists + 1) for item in value)
        return next((kind for kind in kinds if kind[0]), ("", lists))
    return type(value).__name__, lists


def _is_row(value: Any) -> bool:
    """Whether it is a tuple of numbers."""
    return isinstance(value, tuple) and bool(value) and all(_is_number(item) for item in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating))


def _rows(group: Any, names: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """The points or boxes in a group: their attributes of these names, or their numbers."""
    if hasattr(group, names[0]):
        yield tuple(getattr(group, name) for name in names)
    elif _is_row(group):
        yield group
    elif isinstance(group, np.ndarray):
        yield from map(tuple, group.reshape(-1, group.shape[-1] or 1))
    else:
        items = getattr(group, "keypoints", getattr(group, "bounding_boxes", group))
        for item in items if isinstance(items, (list, tuple)) else ():
            yield from _rows(item, names)


def _curves(group: Any, attribute: str) -> Iterator[Curve]:
    """The polygons or line strings in a group."""
    if hasattr(group, attribute):
        yield Curve(np.asarray(getattr(group, attribute), np.float64), getattr(group, "label", None))
    elif isinstance(group, np.ndarray):
        yield from map(Curve, group.reshape(-1, *group.shape[-2:]).astype(np.float64))
    elif isinstance(group, (list, tuple)) and group and (_is_row(group[0]) or hasattr(group[0], "x")):
        yield Curve(np.array([row[:2] for row in _rows(list(group), ("x", "y"))], np.float64))
    else:
        items = getattr(group, "polygons", getattr(group, "line_strings", group))
        for item in items if isinstance(items, (list, tuple)) else ():
            yield from _curves(item, attribute)


def _map(array: Any) -> Array:
    values = np.asarray(array)
    return values[..., np.newaxis] if values.ndim == 2 else values
