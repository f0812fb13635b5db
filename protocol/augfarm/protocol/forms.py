"""The forms in which imgaug takes annotations, and how many images each needs. Pure; works on trees.

imgaug judges a column by its first value that is not an empty container and by how many containers that lies
in (``find_first_nonempty`` in imgaug/augmentables/normalization.py). A form has

- one annotation group *each* for the images ("each"): an array (N,K,2), a list of arrays, ...;
- all for a single image ("one"): a tuple (x,y), a list of Keypoint, ...;
- its own shapes ("free"): objects such as KeypointsOnImage, in any number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .codec import Record, Tree
from .records import Misfit, item_name

__all__ = ["check_form"]

_Need = Literal["each", "one", "free"]


@dataclass(frozen=True)
class _Column:
    #: How users know the form.
    expected: str
    dtypes: frozenset[str] | None
    dimensions: int
    last: int | None
    #: What is needed for a leaf in so many containers.
    needs: dict[tuple[str, int], _Need]


_HEATMAP_DTYPES = frozenset({"float32"})
_SEGMAP_DTYPES = frozenset({"bool", "uint8", "uint16", "int8", "int16", "int32"})


def _maps(name: str, expected: str, dtypes: frozenset[str]) -> _Column:
    needs: dict[tuple[str, int], _Need] = {
        ("array", 0): "each", ("array", 1): "each",
        (name, 0): "free", (name, 1): "free",
        ("empty", 0): "free",
    }  # fmt: skip
    return _Column(expected, dtypes, 4, None, needs)


def _points(item: str, coordinates: int, expected: str) -> _Column:
    many = {"Keypoint": "KeypointsOnImage", "BoundingBox": "BoundingBoxesOnImage"}[item]
    needs: dict[tuple[str, int], _Need] = {
        ("array", 0): "each", ("array", 1): "each",
        (many, 0): "free", (many, 1): "free",
        ("empty", 0): "free", ("empty", 1): "free",
    }  # fmt: skip
    for leaf in (f"tuple{coordinates}", item):
        needs |= {(leaf, 0): "one", (leaf, 1): "one", (leaf, 2): "each"}
    return _Column(expected, None, 3, coordinates, needs)


def _curves(item: str, expected: str) -> _Column:
    needs: dict[tuple[str, int], _Need] = {
        ("array", 0): "each", ("array", 1): "each", ("array", 2): "each",
        (item, 0): "one", (item, 1): "one", (item, 2): "each",
        (f"{item}sOnImage", 0): "free", (f"{item}sOnImage", 1): "free",
        ("empty", 0): "free", ("empty", 1): "free", ("empty", 2): "free",
    }  # fmt: skip
    for leaf in ("tuple2", "Keypoint"):
        needs |= {(leaf, 1): "one", (leaf, 2): "one", (leaf, 3): "each"}
    return _Column(expected, None, 4, 2, needs)


_COLUMNS = {
    "heatmaps": _maps(
        "HeatmapsOnImage",
        "an array (N,H,W,C) of float32, a list of arrays (H,W,C) of float32, or HeatmapsOnImage objects",
        _HEATMAP_DTYPES,
    ),
    "segmentation_maps": _maps(
        "SegmentationMapsOnImage",
        "an array (N,H,W,C) of bool, uint8, uint16, int8, int16 or int32, a list of arrays (H,W,C) of "
        "these, or SegmentationMapsOnImage objects",
        _SEGMAP_DTYPES,
    ),
    "keypoints": _points(
        "Keypoint",
        2,
        "an array (N,K,2), a list of arrays (K,2), tuples (x,y), or Keypoint or KeypointsOnImage objects",
    ),
    "bounding_boxes": _points(
        "BoundingBox",
        4,
        "an array (N,B,4), a list of arrays (B,4), tuples (x1,y1,x2,y2), or BoundingBox or "
        "BoundingBoxesOnImage objects",
    ),
    "polygons": _curves(
        "Polygon",
        "an array (N,#polygons,#points,2), lists of arrays, lists of tuples (x,y), or Keypoint, Polygon or "
        "PolygonsOnImage objects",
    ),
    "line_strings": _curves(
        "LineString",
        "an array (N,#lines,#points,2), lists of arrays, lists of tuples (x,y), or Keypoint, LineString or "
        "LineStringsOnImage objects",
    ),
}


def check_form(field: str, tree: Tree, images: int | None) -> None:
    """Checks that imgaug takes the column in this form.

    Args:
        field: the column's name, for example ``"keypoints"``.
        tree: the column, not None.
        images: how many images the batch has, or None where it has no images column.

    Raises:
        Misfit: where the form is unknown, or needs another number of images.
    """
    column = _COLUMNS[field]
    leaf, depth = _first(tree, 0)
    if leaf == "None":  # imgaug takes the column as missing
        return
    need = column.needs.get((leaf, depth))
    if need is None:
        raise Misfit(f"got {_in_words(leaf, depth)}, expected {column.expected}")
    if leaf == "array":
        _check_arrays(tree, column, column.dimensions)
    if need == "free":
        return
    got = len(tree) if need == "each" else 1
    if images is None:
        raise Misfit(
            f"got {_in_words(leaf, depth)} without images: expected objects such as KeypointsOnImage"
        )
    if got != images:
        raise Misfit(f"got annotations of {got} image(s) for {images} image(s), expected as many as images")


def _first(tree: Tree, depth: int) -> tuple[str, int]:
    """The first leaf that is no empty container, and the containers round it."""
    if type(tree) is tuple and tree and all(map(_is_number, tree)):
        return f"tuple{len(tree)}", depth
    if type(tree) in (list, tuple):
        deepest = ("empty", depth)
        for item in tree:
            found = _first(item, depth + 1)
            if found[0] != "empty":
                return found
            deepest = max(deepest, found)
        return deepest
    if tree is None:
        return "None", depth
    if isinstance(tree, np.ndarray):
        return "array", depth
    items = item_name(tree)
    if items is not None:
        return items, depth + 1
    return (tree.name if type(tree) is Record else type(tree).__name__), depth


def _is_number(value: Any) -> bool:
    """imgaug.is_single_number"""
    return type(value) in (int, float) or isinstance(value, (np.integer, np.floating))


def _check_arrays(tree: Tree, column: _Column, dimensions: int) -> None:
    if type(tree) in (list, tuple):
        for position, item in enumerate(tree):
            try:
                _check_arrays(item, column, dimensions - 1)
            except Misfit as misfit:
                raise misfit.inside(f"[{position}]") from None
    elif isinstance(tree, np.ndarray):
        dtype_fits = tree.dtype.kind in "fiu" if column.dtypes is None else tree.dtype.name in column.dtypes
        if not dtype_fits or tree.ndim != dimensions or (column.last and tree.shape[-1] != column.last):
            raise Misfit(
                f"got an array of shape {tree.shape} and dtype {tree.dtype}, expected {column.expected}"
            )


def _in_words(leaf: str, depth: int) -> str:
    words = "an empty list" if leaf == "empty" else leaf.replace("tuple", "a tuple of ")
    return words + " in a list" * min(depth, 1) + " of lists" * max(depth - 1, 0)
