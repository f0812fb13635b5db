"""COCO: one JSON file for all images, with boxes, polygons, run-length masks and keypoints.

Only what the pipeline moved is written anew; all else, other keys included, stays as it was. Of an object
that has polygons or a mask, the box is then the box round what is left of them, and the area theirs.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..names import shown
from .bundle import AnnotationError, Augmented, Bundle
from .clipping import area_of, bounds_of, clip_box, clip_polygon, inside, visible_part
from .form import Later, Written
from .rle import decode_rle, encode_rle, needs_pycocotools

__all__ = ["Coco"]

#: Decimals of a pixel in what is written anew.
DECIMALS = 2


@dataclass(frozen=True)
class _Object:
    """An annotation, and the numbers of its shapes in the bundle."""

    annotation: dict[str, Any]
    box: int | None
    polygons: tuple[int, ...]
    #: The map and the value in it that is this object's mask.
    mask: tuple[int, int] | None
    #: For each keypoint its number, or None where it is not marked.
    points: tuple[int | None, ...]


class Coco:
    """See :class:`.form.Form`.

    Args:
        file: the JSON file.
        last: what is written at the end, below DST.
        copies: of each image. A single one keeps its id and those of its annotations; more are numbered anew.
        min_visible: see :mod:`.clipping`.

    Raises:
        ValueError: where it is no such file.
    """

    name = "coco"
    by_stem = False

    def __init__(self, file: str, last: str, copies: int, min_visible: float) -> None:
        self.last: str | None = last
        self._file = file
        self._copies = copies
        self._min_visible = min_visible
        document = _read(file)
        images, annotations = document.pop("images"), document.pop("annotations")
        self._rest = document
        self._images = _by_name(images, file)
        self._annotations: dict[Any, list[dict[str, Any]]] = {}
        known = {image["id"] for image in images}
        packed = False
        for number, annotation in enumerate(annotations):
            if not isinstance(annotation, dict) or annotation.get("image_id") not in known:
                raise ValueError(f"{shown(file)}: annotations[{number}] has no image_id of its images")
            self._annotations.setdefault(annotation["image_id"], []).append(annotation)
            packed = packed or needs_pycocotools(annotation.get("segmentation"))
        if packed:
            _need_pycocotools(file)

    def missing(self, src: Path) -> list[str]:
        """The images that it names and SRC does not have."""
        return [name for name in self._images if not (src / name).is_file()]

    def read(self, path: str, bundle: Bundle) -> Any:
        """See :class:`.form.Form`."""
        image = self._images.get(path)
        if image is None:
            return None
        said = image.get("height"), image.get("width")
        if None not in said and said != bundle.size:
            raise AnnotationError(
                f"{self._file} says {said[1]}x{said[0]}, and the image is {bundle.size[1]}x{bundle.size[0]} "
                "when it stands upright"
            )
        packer = _Packer()
        objects: list[_Object] = []
        for annotation in self._annotations.get(image["id"], ()):
            try:
                objects.append(_object_of(annotation, bundle, packer))
            except (TypeError, ValueError, AttributeError) as error:
                raise AnnotationError(f"{self._file}, annotation {annotation.get('id')}: {error}") from None
        first = [bundle.add_map(values) for values in packer.maps][:1]
        # Numbers of maps were counted from 0; others may have some already.
        base = first[0] if first else 0
        return image, [_shifted(each, base) for each in objects]

    def write(self, path: str, copy: int, output: str, token: Any, augmented: Augmented) -> Written:
        """See :class:`.form.Form`."""
        image, objects = token
        height, width = augmented.size
        named = {**image, "file_name": output}
        if "width" in image:
            named["width"] = width
        if "height" in image:
            named["height"] = height
        written = [self._written(each, augmented) for each in objects]
        return Written(later=[named, [each for each in written if each is not None]])

    def fill(self, later: Later, file: BinaryIO) -> None:
        """See :class:`.form.Form`. Image by image, so that it need not fit into memory."""
        renumber = self._copies > 1
        file.write(b"{")
        for key, value in self._rest.items():
            file.write(f"{json.dumps(key)}: {json.dumps(value)},\n".encode())
        file.write(b'"images": [')
        for number, (image, _) in enumerate(later(), 1):
            given = {**image, "id": number} if renumber else image
            file.write((b",\n" if number > 1 else b"\n") + json.dumps(given).encode())
        file.write(b'],\n"annotations": [')
        count = 0
        for number, (_, objects) in enumerate(later(), 1):
            for annotation in objects:
                count += 1
                given = {**annotation, "id": count, "image_id": number} if renumber else annotation
                file.write((b",\n" if count > 1 else b"\n") + json.dumps(given).encode())
        file.write(b"]}\n")

    def _written(self, each: _Object, augmented: Augmented) -> dict[str, Any] | None:
        """The annotation for the copy, or None where it is dropped."""
        if _stayed(each, augmented):
            return each.annotation
        size = augmented.size
        box = None if each.box is None else augmented.boxes[each.box]
        polygons = [augmented.polygons[number] for number in each.polygons]
        mask = None if each.mask is None else augmented.maps[each.mask[0]] == each.mask[1]
        points = [None if number is None else augmented.points[number] for number in each.points]
        if box is None and not polygons and mask is None:
            visible = float(any(point is not None and inside(point, size) for point in points))
        else:
            visible = visible_part(box, polygons, size)
            if mask is not None:
                visible = (visible or 1.0) if box is None else visible
                visible = visible if mask.any() else 0.0
        if visible <= 0 or visible < self._min_visible:
            return None
        return _moved(each, size, box, polygons, mask, points)


def _moved(
    each: _Object,
    size: tuple[int, int],
    box: Any,
    polygons: Sequence[Any],
    mask: Any,
    points: Sequence[Any],
) -> dict[str, Any]:
    """The annotation with its shapes where they are now."""
    annotation = dict(each.annotation)
    if box is not None:
        box = clip_box(box, size)
        area = annotation.get("area")
        if not polygons and mask is None and isinstance(area, (int, float)):
            before = annotation["bbox"]
            # Areas need not be those of boxes: this one shrinks and grows along with its box.
            if before[2] * before[3] > 0:
                scale = (box[2] - box[0]) * (box[3] - box[1]) / (before[2] * before[3])
                annotation["area"] = round(area * scale, DECIMALS)
    if polygons:
        left = [polygon for polygon in (clip_polygon(p, size) for p in polygons) if area_of(polygon) > 0]
        annotation["segmentation"] = [_rounded(polygon.ravel()) for polygon in left]
        if left:
            box = bounds_of(left)
            annotation["area"] = round(sum(map(area_of, left)), DECIMALS)
    if mask is not None:
        annotation["segmentation"] = encode_rle(mask, packed=needs_pycocotools(annotation["segmentation"]))
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        annotation["area"] = int(mask.sum())
    if box is not None and "bbox" in annotation:
        annotation["bbox"] = _rounded([box[0], box[1], box[2] - box[0], box[3] - box[1]])
    if each.points:
        marks = annotation["keypoints"]
        moved: list[Any] = []
        for position, point in enumerate(points):
            if point is None:
                moved += marks[3 * position : 3 * position + 3]
            elif inside(point, size):
                moved += [*_rounded(point), marks[3 * position + 2]]
            else:
                moved += [0, 0, 0]
        annotation["keypoints"] = moved
        if "num_keypoints" in annotation:
            annotation["num_keypoints"] = sum(1 for mark in moved[2::3] if mark)
    return annotation


def _stayed(each: _Object, augmented: Augmented) -> bool:
    if augmented.size != augmented.before.size:
        return False
    if each.mask is not None:
        number, value = each.mask
        before, now = augmented.before.maps[number], augmented.maps[number]
        if not np.array_equal(before == value, now == value):
            return False
    return (
        (each.box is None or augmented.box_stayed(each.box))
        and all(map(augmented.polygon_stayed, each.polygons))
        and all(number is None or augmented.point_stayed(number) for number in each.points)
    )


class _Packer:
    """Puts masks that do not overlap into one map, each with a value of its own, so that maps are few."""

    def __init__(self) -> None:
        self.maps: list[Any] = []
        self._count = 0

    def add(self, mask: Any) -> tuple[int, int]:
        """Returns the number of the map, and the mask's value in it."""
        self._count += 1
        for number, values in enumerate(self.maps):
            if not values[mask].any():
                values[mask] = self._count
                return number, self._count
        values = np.zeros(mask.shape, np.int32)
        values[mask] = self._count
        self.maps.append(values)
        return len(self.maps) - 1, self._count


def _object_of(annotation: dict[str, Any], bundle: Bundle, packer: _Packer) -> _Object:
    box, mask = None, None
    polygons: list[int] = []
    given = annotation.get("bbox")
    if given:
        x, y, w, h = map(float, given)
        box = bundle.add_box((x, y, x + w, y + h))
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        mask = packer.add(decode_rle(segmentation, bundle.size))
    elif segmentation:
        for polygon in segmentation:
            if len(polygon) < 6 or len(polygon) % 2:
                raise ValueError(f"a polygon of {len(polygon)} numbers, expected an even one, 6 or more")
            polygons.append(bundle.add_polygon(polygon))
    points: list[int | None] = []
    marks = annotation.get("keypoints") or ()
    if len(marks) % 3:
        raise ValueError(f"keypoints of {len(marks)} numbers, expected three for each")
    for start in range(0, len(marks), 3):
        x, y, mark = marks[start : start + 3]
        points.append(bundle.add_point((x, y)) if mark else None)
    return _Object(annotation, box, tuple(polygons), mask, tuple(points))


def _shifted(each: _Object, base: int) -> _Object:
    if each.mask is None or not base:
        return each
    return _Object(each.annotation, each.box, each.polygons, (each.mask[0] + base, each.mask[1]), each.points)


def _rounded(values: Iterable[Any]) -> list[float]:
    return [round(float(value), DECIMALS) for value in values]


def _read(file: str) -> dict[str, Any]:
    try:
        with open(file, encoding="utf-8") as opened:
            document: dict[str, Any] = json.load(opened)
    except OSError as error:
        raise ValueError(f"--coco {shown(file)} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"--coco {shown(file)} is no JSON: {error}") from None
    for key in ("images", "annotations"):
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise ValueError(
                f"--coco {shown(file)} has no list {key!r}: expected COCO's instances or keypoints"
            )
    return document


def _by_name(images: list[Any], file: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for number, image in enumerate(images):
        if not isinstance(image, dict) or "id" not in image or not isinstance(image.get("file_name"), str):
            raise ValueError(f"{shown(file)}: images[{number}] has no id or no file_name")
        name = posixpath.normpath(image["file_name"])
        if name in found:
            raise ValueError(f"{shown(file)}: two images have the file_name {shown(name)}")
        found[name] = image
    return found


def _need_pycocotools(file: str) -> None:
    try:
        import pycocotools.mask  # noqa: F401
    except ImportError:
        raise ValueError(
            f"{shown(file)} has packed run-length masks, which need pycocotools: "
            "pip install 'augfarm[annotations]'"
        ) from None
