"""Pascal VOC: an XML file for each image, with a ``bndbox`` for each object and each of its parts.

Its numbers are those of pixels counted from 1, the last one included: a box from xmin to xmax covers what
lies between xmin - 1 and xmax, measured from the image's edge.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Any, BinaryIO
from xml.etree import ElementTree

from .beside import Beside
from .bundle import AnnotationError, Augmented, Bundle
from .clipping import clip_box, visible_part
from .form import Later, Written

__all__ = ["Voc"]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
#: Shapes that some programs write into such files. Left as they are they would be wrong.
_UNKNOWN = ("robndbox", "polygon", "segmentation", "point", "points", "keypoints")


@dataclass(frozen=True)
class _Document:
    octets: bytes
    #: The boxes' numbers in the bundle, in the order of the document.
    boxes: tuple[int, ...]


class Voc:
    """See :class:`.form.Form`.

    Args:
        place: where XML files are.
        min_visible: see :mod:`.clipping`.
    """

    name = "voc"
    by_stem = True
    last: str | None = None

    def __init__(self, place: Beside, min_visible: float) -> None:
        self._place = place
        self._min_visible = min_visible

    def read(self, path: str, bundle: Bundle) -> Any:
        """See :class:`.form.Form`."""
        found = self._place.find(path, ".xml")
        if found is None:
            return None
        with open(found, "rb") as file:
            octets = file.read()
        try:
            root = _parsed(octets)
            _check_size(root, bundle.size)
            boxes = tuple(bundle.add_box(_box_of(box)) for box in _boxes(root))
        except (ElementTree.ParseError, ValueError) as error:
            raise AnnotationError(f"{found}: {error}") from None
        return _Document(octets, boxes)

    def write(self, path: str, copy: int, output: str, token: Any, augmented: Augmented) -> Written:
        """See :class:`.form.Form`."""
        root = _parsed(token.octets)
        _set(root, "filename", posixpath.basename(output))
        _set(root, "path", output)
        _set(root, "size/width", str(augmented.size[1]))
        _set(root, "size/height", str(augmented.size[0]))
        numbers = {id(box): number for box, number in zip(_boxes(root), token.boxes, strict=True)}
        for thing in root.findall("object"):
            if not self._move(thing, numbers, augmented):
                root.remove(thing)
        text = ElementTree.tostring(root, encoding="utf-8", xml_declaration=token.octets.startswith(b"<?xml"))
        return Written([(self._place.output(path, copy, ".xml"), text + b"\n")])

    def fill(self, later: Later, file: BinaryIO) -> None:
        """See :class:`.form.Form`."""

    def _move(self, thing: Any, numbers: dict[int, int], augmented: Augmented) -> bool:
        """Set an object's boxes to what became of them; False where it is dropped."""
        for box in thing.findall("bndbox"):
            number = numbers[id(box)]
            if not augmented.box_stayed(number):
                now = augmented.boxes[number]
                visible = visible_part(now, (), augmented.size)
                if visible <= 0 or visible < self._min_visible:
                    return False
                _place(box, clip_box(now, augmented.size))
                if visible < 1:
                    _set(thing, "truncated", "1")
        for part in thing.findall("part"):
            if not self._move(part, numbers, augmented):
                thing.remove(part)
        return True


def _parsed(octets: bytes) -> Any:
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    return ElementTree.fromstring(octets, parser)


def _boxes(root: Any) -> list[Any]:
    """All boxes of objects and their parts, in the order of the document."""
    found: list[Any] = []
    for thing in root.findall("object"):
        for each in thing.iter():
            if each.tag in _UNKNOWN:
                raise ValueError(f"an object has a {each.tag}, expected bndbox alone")
        for owner in (thing, *thing.iter("part")):
            found += owner.findall("bndbox")
    return found


def _box_of(box: Any) -> tuple[float, float, float, float]:
    texts = [box.findtext(corner) for corner in _CORNERS]
    if None in texts:
        raise ValueError(f"a bndbox without {_CORNERS[texts.index(None)]}")
    try:
        x1, y1, x2, y2 = map(float, texts)
    except ValueError:
        raise ValueError(f"a bndbox with {texts}, expected numbers") from None
    return x1 - 1, y1 - 1, x2, y2


def _place(box: Any, corners: tuple[float, float, float, float]) -> None:
    x1, y1, x2, y2 = corners
    fractions = any("." in box.findtext(corner) for corner in _CORNERS)
    for corner, value in zip(_CORNERS, (x1 + 1, y1 + 1, x2, y2), strict=True):
        box.find(corner).text = f"{value:.2f}" if fractions else str(round(value))
    # Whole numbers may have met: a box has at least a pixel.
    for first, last in (("xmin", "xmax"), ("ymin", "ymax")):
        if float(box.findtext(first)) > float(box.findtext(last)):
            box.find(first).text = box.findtext(last)


def _set(root: Any, path: str, text: str) -> None:
    element = root.find(path)
    if element is not None:
        element.text = text


def _check_size(root: Any, size: tuple[int, int]) -> None:
    said = root.findtext("size/height"), root.findtext("size/width")
    if None not in said and all(float(text) for text in said) and tuple(map(float, said)) != size:
        raise ValueError(
            f"its size is {said[1]}x{said[0]}, and the image is {size[1]}x{size[0]} when it stands upright"
        )
