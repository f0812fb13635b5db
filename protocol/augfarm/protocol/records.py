"""imgaug's objects as records, and back; plain values as they are. Pure; never imports imgaug.

A record of one of imgaug's objects holds its attributes in the order of the table below: the whole state,
set again without the object's constructor, which would normalise what is normalised already. Three more
records stand for other values:

``Record("list", (name, column, ...))``
    a list of items of one class, such as Keypoint, attribute by attribute: a column is the list of their
    values, or one array (n,) where they are numpy numbers of one dtype. An image can have many keypoints,
    and a record for each would take longer than to augment it;
``Record("dtype", (text,))``
    a numpy dtype that may travel, as its ``dtype.str``;
``Record("str_", (text,))``
    a ``numpy.str_``, as labels often are.

A record comes from a peer, so each attribute's value is checked by one rule before an object is built of it,
and by the same rule before it is sent. imgaug's classes are looked up among the modules that this process
has imported already.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import arrays, limits
from .codec import Record, Tree
from .errors import ProtocolError

__all__ = ["Misfit", "Records", "describe", "item_name"]

_LIST, _DTYPE, _NUMPY_TEXT = "list", "dtype", "str_"
_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
_CONTAINERS = frozenset({Record, dict, list, tuple})
#: Containers that imgaug reads like a list.
_SEQUENCES = (list, tuple, deque)


class Misfit(Exception):
    """A value that a tree cannot hold or a record should not; becomes an error of the caller or the peer.

    Attributes:
        message: what is there, and what was expected.
        where: the place below the value that was converted, for example ``"[0].keypoints[2].x"``.
    """

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where

    def inside(self, place: str) -> Misfit:
        """The same, as seen from one level further out."""
        self.where = place + self.where
        return self


# --- what an attribute may be ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rule:
    expected: str
    #: Whether a tree is one that the attribute may hold.
    admits: Callable[[Tree], bool]


def _is_number(tree: Tree) -> bool:
    return type(tree) in (int, float, bool) or isinstance(tree, (np.integer, np.floating))


def _is_shape(tree: Tree) -> bool:
    return (
        type(tree) in (tuple, list)
        and len(tree) <= limits.MAX_ARRAY_DIMENSIONS
        and all(map(_is_number, tree))
    )


def _is_label(tree: Tree) -> bool:
    if isinstance(tree, (str, bytes)):
        return len(tree) <= limits.MAX_TEXT_LENGTH
    if isinstance(tree, (list, tuple)):
        return all(map(_is_label, tree))
    if isinstance(tree, dict):
        return all(map(_is_label, tree.values()))
    return not isinstance(tree, Record) or (tree.name == _NUMPY_TEXT and all(map(_is_label, tree.values)))


def _is_original(tree: Tree) -> bool:
    return (
        type(tree) is tuple
        and len(tree) == 2
        and type(tree[0]) is Record
        and tree[0].name == _DTYPE
        and type(tree[1]) is int
        and tree[1] in (2, 3)
    )


def _array(expected: str, kinds: str, dimensions: int, last: int | None = None) -> _Rule:
    return _Rule(
        expected,
        lambda tree: (
            isinstance(tree, np.ndarray)
            and tree.dtype.kind in kinds
            and tree.ndim == dimensions
            and (last is None or tree.shape[-1] == last)
        ),
    )


def _items(name: str) -> _Rule:
    def admits(tree: Tree) -> bool:
        if type(tree) is Record:
            return item_name(tree) == name
        return type(tree) in (list, tuple) and all(
            type(item) is Record and item.name == name for item in tree
        )

    return _Rule(f"a list of imgaug's {name}", admits)


def item_name(tree: Tree) -> str | None:
    """The class of the items, where the tree is a list of imgaug's items as one record."""
    if type(tree) is Record and tree.name == _LIST and tree.values and isinstance(tree.values[0], str):
        return tree.values[0]
    return None


_NUMBER = _Rule("a number", _is_number)
_SHAPE = _Rule("an image shape, a tuple of numbers", _is_shape)
_LABEL = _Rule(
    f"None, a number, text of at most {limits.MAX_TEXT_LENGTH} characters, or lists and dicts of these",
    _is_label,
)
_POINTS = _array("an array of shape (P,2)", "fiu", 2, last=2)

#: imgaug's objects: the module under imgaug.augmentables, and the attributes in the order of the record.
_OBJECTS: dict[str, tuple[str, dict[str, _Rule]]] = {
    "Keypoint": ("kps", {"x": _NUMBER, "y": _NUMBER}),
    "KeypointsOnImage": ("kps", {"keypoints": _items("Keypoint"), "shape": _SHAPE}),
    "BoundingBox": ("bbs", {"x1": _NUMBER, "y1": _NUMBER, "x2": _NUMBER, "y2": _NUMBER, "label": _LABEL}),
    "BoundingBoxesOnImage": ("bbs", {"bounding_boxes": _items("BoundingBox"), "shape": _SHAPE}),
    "Polygon": ("polys", {"exterior": _POINTS, "label": _LABEL}),
    "PolygonsOnImage": ("polys", {"polygons": _items("Polygon"), "shape": _SHAPE}),
    "LineString": ("lines", {"coords": _POINTS, "label": _LABEL}),
    "LineStringsOnImage": ("lines", {"line_strings": _items("LineString"), "shape": _SHAPE}),
    "HeatmapsOnImage": (
        "heatmaps",
        {
            "arr_0to1": _array("an array of floats of shape (H,W,C)", "f", 3),
            "shape": _SHAPE,
            "min_value": _NUMBER,
            "max_value": _NUMBER,
            "arr_was_2d": _Rule("True or False", lambda tree: type(tree) is bool),
        },
    ),
    "SegmentationMapsOnImage": (
        "segmaps",
        {
            "arr": _array("an array of whole numbers of shape (H,W,C)", "iu", 3),
            "shape": _SHAPE,
            "_input_was": _Rule("the dtype and dimensions (2 or 3) it was made of", _is_original),
        },
    ),
}
_ITEMS = frozenset({"Keypoint", "BoundingBox", "Polygon", "LineString"})


_MODULES = [f"imgaug.augmentables.{module}" for module in sorted({module for module, _ in _OBJECTS.values()})]
#: The modules that had all classes, and these by name and the other way round: to look for them takes longer
#: than all else for a batch of arrays.
_last: tuple[list[Any], dict[str, type], dict[type, str]] = ([], {}, {})


def _imported() -> tuple[dict[str, type], dict[type, str]]:
    """imgaug's classes, as far as they are imported."""
    global _last
    modules = list(map(sys.modules.get, _MODULES))
    if modules == _last[0]:
        return _last[1:]
    found = {
        name: getattr(sys.modules.get(f"imgaug.augmentables.{module}"), name, None)
        for name, (module, _) in _OBJECTS.items()
    }
    classes: dict[str, type] = {name: kind for name, kind in found.items() if kind is not None}
    names = {kind: name for name, kind in classes.items()}
    if len(classes) == len(_OBJECTS):
        _last = (modules, classes, names)
    return classes, names


class Records:
    """Converts values to trees and back, with the imgaug classes that are imported at this moment."""

    def __init__(self) -> None:
        self._classes, self._names = _imported()
        #: Items in lists by columns so far. A column may be a buffer that others name too, so its size in
        #: bytes bounds nothing.
        self._listed = 0

    def to_tree(self, value: Any, depth: int = 1) -> Tree:
        """The value as a tree: imgaug's objects as records, containers as lists and tuples.

        Raises:
            Misfit: where something in it cannot travel.
        """
        kind = type(value)
        if kind in _PLAIN:
            return value
        if isinstance(value, (np.ndarray, np.generic)):
            return _numpy_to_tree(value)
        if depth > limits.MAX_NESTING:
            raise Misfit(f"nested more than {limits.MAX_NESTING} deep")
        if kind in self._names:
            return self._object_to_tree(value, self._names[kind], depth)
        if kind is list and (columns := self._list_to_columns(value, depth)) is not None:
            return columns
        if isinstance(value, _SEQUENCES):
            items = self._each(value, self.to_tree, depth)
            return tuple(items) if isinstance(value, tuple) else items
        if isinstance(value, dict):
            return self._each_value(value, self.to_tree, depth)
        if isinstance(value, np.dtype):
            if not arrays.allows(value):
                raise Misfit(f"dtype {value} cannot travel")
            return Record(_DTYPE, (value.str,))
        raise Misfit(self._unknown(value))

    def from_tree(self, tree: Tree, depth: int = 1) -> Any:
        """The value that a peer's tree stands for; arrays are the tree's own.

        Raises:
            Misfit: where the tree is not one that :meth:`to_tree` gives.
        """
        kind = type(tree)
        if kind not in _CONTAINERS:
            return tree
        if depth > limits.MAX_NESTING:
            raise Misfit(f"nested more than {limits.MAX_NESTING} deep")
        if kind is Record:
            return self._object_from_tree(tree, depth)
        if kind is dict:
            return self._each_value(tree, self.from_tree, depth)
        items = self._each(tree, self.from_tree, depth)
        return tuple(items) if kind is tuple else items

    def _each(self, values: Any, convert: Callable[[Any, int], Any], depth: int) -> list[Any]:
        if len(values) > limits.MAX_LIST_ITEMS:
            raise Misfit(f"{len(values)} items, more than {limits.MAX_LIST_ITEMS}")
        converted: list[Any] = []
        try:
            for value in values:
                converted.append(convert(value, depth + 1))
        except Misfit as misfit:
            raise misfit.inside(f"[{len(converted)}]") from None
        return converted

    def _each_value(self, values: dict[Any, Any], convert: Callable[[Any, int], Any], depth: int) -> Any:
        converted: dict[str, Any] = {}
        for key, value in values.items():
            if type(key) is not str:
                raise Misfit(f"a dict with the key {key!r:.80}: expected keys of text")
            try:
                converted[key] = convert(value, depth + 1)
            except Misfit as misfit:
                raise misfit.inside(f"[{key!r:.80}]") from None
        return converted

    def _object_to_tree(self, value: Any, name: str, depth: int) -> Record:
        trees: list[Tree] = []
        for attribute, rule in _OBJECTS[name][1].items():
            try:
                tree = self.to_tree(getattr(value, attribute, None), depth + 1)
                if not rule.admits(tree):
                    raise Misfit(f"got {describe(getattr(value, attribute, None))}, expected {rule.expected}")
            except Misfit as misfit:
                raise misfit.inside(f".{attribute}") from None
            trees.append(tree)
        return Record(name, tuple(trees))

    def _list_to_columns(self, values: list[Any], depth: int) -> Record | None:
        """The list as one record, or None where it is no list of items, or where one is not valid."""
        kinds = set(map(type, values))
        name = self._names.get(kinds.pop()) if len(kinds) == 1 else None
        if name not in _ITEMS or self._listed + len(values) > limits.MAX_LIST_ITEMS:
            return None
        self._listed += len(values)
        columns: list[Tree] = []
        for attribute, rule in _OBJECTS[name][1].items():
            column: Tree = [getattr(value, attribute, None) for value in values]
            if rule is _NUMBER:
                column = _numbers_to_tree(column)
            else:
                try:
                    column = [self.to_tree(value, depth + 2) for value in column]
                except Misfit:
                    return None
                column = column if all(map(rule.admits, column)) else None
            if column is None:
                return None
            columns.append(column)
        return Record(_LIST, (name, *columns))

    def _list_from_columns(self, record: Record, depth: int) -> list[Any]:
        name = item_name(record)
        if name not in _ITEMS:
            raise Misfit("a list of what are no items of imgaug's")
        rules = _OBJECTS[name][1]
        if len(record.values) != len(rules) + 1:
            raise Misfit(f"a list of {name} of {len(record.values) - 1} columns, expected {len(rules)}")
        # Before anything is converted.
        self._listed += max(map(_length, record.values[1:]))
        if self._listed > limits.MAX_LIST_ITEMS:
            raise Misfit(f"more than {limits.MAX_LIST_ITEMS} items in lists by columns")
        columns: list[list[Any]] = []
        for (attribute, rule), column in zip(rules.items(), record.values[1:], strict=True):
            values = _numbers_from_tree(column) if rule is _NUMBER else None
            if values is None:
                # Converted first, since that limits how deep a rule has to look.
                values = self._each(column, self.from_tree, depth + 1) if type(column) is list else None
                if values is None or not all(map(rule.admits, column)):
                    raise Misfit(f"expected {rule.expected} in each item", f".{attribute}")
            columns.append(values)
        if len(set(map(len, columns))) != 1:
            raise Misfit("columns of different lengths")
        return [self._rebuild(name, zip(rules, item, strict=True)) for item in zip(*columns, strict=True)]

    def _object_from_tree(self, record: Record, depth: int) -> Any:
        if record.name in (_DTYPE, _NUMPY_TEXT):
            return _leaf_from_tree(record)
        if record.name == _LIST:
            return self._list_from_columns(record, depth)
        if record.name not in _OBJECTS:
            raise Misfit("a record of an unknown name")
        rules = _OBJECTS[record.name][1]
        if len(record.values) != len(rules):
            raise Misfit(f"a {record.name} of {len(record.values)} values, expected {len(rules)}")
        attributes: dict[str, Any] = {}
        for (attribute, rule), tree in zip(rules.items(), record.values, strict=True):
            try:
                # Converted first, since that limits how deep a rule has to look.
                attributes[attribute] = self.from_tree(tree, depth + 1)
                if not rule.admits(tree):
                    raise Misfit(f"expected {rule.expected}")
            except Misfit as misfit:
                raise misfit.inside(f".{attribute}") from None
        return self._rebuild(record.name, attributes)

    def _rebuild(self, name: str, attributes: Any) -> Any:
        kind: Any = self._classes.get(name)
        if kind is None:
            raise Misfit(f"a {name}, but imgaug is not imported here")
        rebuilt = kind.__new__(kind)
        rebuilt.__dict__.update(attributes)
        return rebuilt

    def _unknown(self, value: Any) -> str:
        for kind, name in self._names.items():
            if isinstance(value, kind):
                return (
                    f"got {describe(value)}, a subclass of imgaug's {name} whose own state would be lost: "
                    f"expected {name} itself"
                )
        return f"got {describe(value)}, expected arrays, numbers, text, imgaug's objects, or lists of these"


def describe(value: Any) -> str:
    """The value's type, for error messages."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _numpy_to_tree(value: Any) -> Tree:
    if isinstance(value, np.str_):
        return Record(_NUMPY_TEXT, (str(value),))
    if isinstance(value, np.ma.MaskedArray):
        raise Misfit("got a masked array, whose mask would be lost: expected a plain array")
    if not arrays.allows(value.dtype):
        raise Misfit(
            f"got {describe(value)}, expected a dtype of bool, int, uint, float or complex up to 64 bits each"
        )
    return value


def _numbers_to_tree(values: list[Any]) -> Tree:
    """The numbers as a column, or None where they are not all Python's or all of one numpy dtype."""
    kinds = set(map(type, values))
    if kinds <= {int, float, bool}:
        return values
    kind = kinds.pop() if len(kinds) == 1 else object
    if issubclass(kind, (np.integer, np.floating)) and arrays.allows(np.dtype(kind)):
        return np.array(values)
    return None


def _length(column: Tree) -> int:
    if isinstance(column, np.ndarray):
        return int(column.size)
    return len(column) if isinstance(column, list) else 0


def _numbers_from_tree(column: Tree) -> list[Any] | None:
    """The column's numbers, or None where it is none that :func:`_numbers_to_tree` gives."""
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "iuf":
        return list(column)  # numpy's numbers
    if type(column) is list and set(map(type, column)) <= {int, float, bool}:
        return column
    return None


def _leaf_from_tree(record: Record) -> Any:
    if len(record.values) != 1 or type(record.values[0]) is not str:
        raise Misfit(f"a {record.name} that is not one text")
    if record.name == _NUMPY_TEXT:
        return np.str_(record.values[0])
    try:
        arrays.expected_bytes(record.values[0], (), "C")
    except ProtocolError as error:
        raise Misfit(str(error)) from None
    return np.dtype(record.values[0])
