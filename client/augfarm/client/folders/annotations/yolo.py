"""YOLO: a text file for each image, a line for each object, in fractions of the image's width and height.

``class x y w h`` is a box by its middle; ``class x1 y1 x2 y2 ...`` a polygon of three points or more; with
`keypoints` of K points in D numbers ``class x y w h`` and then K times ``x y`` or ``x y v`` is a pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from .beside import Beside
from .bundle import AnnotationError, Augmented, Bundle
from .clipping import clip_box, clip_polygon, inside, visible_part
from .form import Later, Written

__all__ = ["Yolo"]

#: Objects may stick out of their image, but values beyond these are no fractions of it.
_LOWEST, _HIGHEST = -1.0, 2.0


@dataclass(frozen=True)
class _Object:
    """A line, and the numbers of its shapes in the bundle."""

    line: str
    kind: str
    box: int | None = None
    polygon: int | None = None
    #: For each keypoint its number, or None where it is not marked.
    points: tuple[int | None, ...] = ()


class Yolo:
    """See :class:`.form.Form`.

    Args:
        place: where label files are.
        keypoints: (K,D) of poses, or None where there are none.
        min_visible: see :mod:`.clipping`.
    """

    name = "yolo"
    by_stem = True
    last: str | None = None

    def __init__(self, place: Beside, keypoints: tuple[int, int] | None, min_visible: float) -> None:
        self._place = place
        self._keypoints = keypoints
        self._min_visible = min_visible

    def read(self, path: str, bundle: Bundle) -> Any:
        """See :class:`.form.Form`."""
        found = self._place.find(path, ".txt")
        if found is None:
            return None
        with open(found, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        objects: list[_Object] = []
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    objects.append(self._object(line.strip(), bundle))
                except ValueError as error:
                    raise AnnotationError(f"{found}, line {number}: {error}") from None
        return objects

    def write(self, path: str, copy: int, output: str, token: Any, augmented: Augmented) -> Written:
        """See :class:`.form.Form`."""
        lines = [line for line in (self._line(each, augmented) for each in token) if line is not None]
        text = "".join(f"{line}\n" for line in lines)
        return Written([(self._place.output(path, copy, ".txt"), text.encode())])

    def fill(self, later: Later, file: BinaryIO) -> None:
        """See :class:`.form.Form`."""

    def _object(self, line: str, bundle: Bundle) -> _Object:
        words = line.split()
        values = [float(word) for word in words[1:]]
        if not all(_LOWEST <= value <= _HIGHEST for value in self._coordinates(values)):
            raise ValueError("expected fractions of the image's width and height, 0 to 1")
        height, width = bundle.size
        if self._keypoints is not None and len(values) == 4 + self._keypoints[0] * self._keypoints[1]:
            box = bundle.add_box(_corners(values, bundle.size))
            points = tuple(
                bundle.add_point((mark[0] * width, mark[1] * height)) if _is_marked(mark) else None
                for mark in self._marks(values)
            )
            return _Object(line, "pose", box, points=points)
        if len(values) == 4:
            return _Object(line, "box", bundle.add_box(_corners(values, bundle.size)))
        if self._keypoints is None and len(values) >= 6 and len(values) % 2 == 0:
            points_ = np.array(values).reshape(-1, 2) * (width, height)
            return _Object(line, "polygon", polygon=bundle.add_polygon(points_))
        expected = "a class and 4 numbers, or 6 or more in pairs"
        if self._keypoints is not None:
            k, d = self._keypoints
            expected = f"a class and 4 numbers, or 4 and {k} times {d}, as --yolo-keypoints {k},{d} says"
        raise ValueError(f"{len(words)} words, expected {expected}")

    def _coordinates(self, values: Sequence[float]) -> Sequence[float]:
        """Without marks of visibility."""
        if self._keypoints is None or self._keypoints[1] == 2:
            return values
        return [*values[:4], *(v for mark in self._marks(values) for v in mark[:2])]

    def _marks(self, values: Sequence[float]) -> list[Sequence[float]]:
        assert self._keypoints is not None
        size = self._keypoints[1]
        return [values[start : start + size] for start in range(4, len(values), size)]

    def _line(self, each: _Object, augmented: Augmented) -> str | None:
        """The object as a line again, or None where it is dropped."""
        stayed = all(
            [
                each.box is None or augmented.box_stayed(each.box),
                each.polygon is None or augmented.polygon_stayed(each.polygon),
                *(point is None or augmented.point_stayed(point) for point in each.points),
            ]
        )
        if stayed:
            return each.line
        height, width = size = augmented.size
        box = None if each.box is None else augmented.boxes[each.box]
        polygons = [] if each.polygon is None else [augmented.polygons[each.polygon]]
        visible = visible_part(box, polygons, size)
        if visible <= 0 or visible < self._min_visible:
            return None
        words = each.line.split()
        values: list[float] = []
        if each.polygon is not None:
            values += (clip_polygon(polygons[0], size) / (width, height)).ravel().tolist()
        if box is not None:
            x1, y1, x2, y2 = clip_box(box, size)
            values += [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
        text = [words[0], *map(_number, values)]
        if each.kind == "pose":
            text += self._pose_words(each, words, augmented)
        return " ".join(text)

    def _pose_words(self, each: _Object, words: list[str], augmented: Augmented) -> list[str]:
        """The keypoints; those that left the image are no longer marked."""
        assert self._keypoints is not None
        height, width = augmented.size
        size = self._keypoints[1]
        text: list[str] = []
        for position, number in enumerate(each.points):
            was = words[5 + position * size : 5 + (position + 1) * size]
            if number is None:
                text += was
            elif inside(point := augmented.points[number], augmented.size):
                text += [_number(point[0] / width), _number(point[1] / height), *was[2:]]
            else:
                text += ["0", "0", "0"][:size]
        return text


def _corners(values: Sequence[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    height, width = size
    x, y, w, h = values[:4]
    return ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)


def _is_marked(mark: Sequence[float]) -> bool:
    return mark[2] > 0 if len(mark) == 3 else bool(mark[0] or mark[1])


def _number(value: float) -> str:
    return f"{value:.6f}"
