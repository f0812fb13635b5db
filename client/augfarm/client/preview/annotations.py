"""Annotations of single images, from the same files that `augfarm run` reads. Needs Pillow, as that does.

There images lie below SRC, and here anywhere: an image is looked for under its own name, and under its path
below the folders above its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ..folders.annotations.beside import Beside
from ..folders.annotations.bundle import Bundle, columns_of
from ..folders.annotations.choosing import _keypoints
from ..folders.annotations.coco import Coco
from ..folders.annotations.masks import Masks
from ..folders.annotations.voc import Voc
from ..folders.annotations.yolo import Yolo

__all__ = ["Annotations", "Found"]

#: A column, a number in it, and what stands there.
_Label = tuple[str, int, Any]

#: So many folders above an image's own may be what its annotations call the root.
MOST_LEVELS = 4
#: There is no DST here; a name that no folder has.
_NOWHERE = Path("/augfarm preview writes no annotations")


@dataclass
class Found:
    """What is annotated on one image: columns of a batch of it alone, and labels by column and number."""

    columns: dict[str, list[Any]] = field(default_factory=dict)
    labels: dict[str, dict[int, Any]] = field(default_factory=dict)


class Annotations:
    """What the command line says of annotations: a COCO file, and folders with a file for each image.

    Raises:
        ValueError: where they cannot be used; the text says which and why.
    """

    def __init__(
        self,
        coco: str | None = None,
        yolo: str | None = None,
        yolo_keypoints: str | None = None,
        voc: str | None = None,
        masks: Sequence[str] = (),
    ) -> None:
        keypoints = None if yolo_keypoints is None else _keypoints(yolo_keypoints)
        if keypoints is not None and yolo is None:
            raise ValueError("--yolo-keypoints is for --yolo")
        self._coco = None if coco is None else Coco(coco, coco, 1, 0.0)
        self._folders: list[tuple[str, str, Callable[[Beside], Any]]] = []
        if yolo is not None:
            self._folders.append(("--yolo", yolo, lambda place: Yolo(place, keypoints, 0.0)))
        if voc is not None:
            self._folders.append(("--voc", voc, lambda place: Voc(place, 0.0)))
        self._folders += [("--masks", folder, lambda place: Masks(place, 0)) for folder in masks]
        for option, folder, _ in self._folders:
            if not Path(folder).is_dir():
                raise ValueError(f"{option} {folder} is no folder: expected one of annotations")

    def __bool__(self) -> bool:
        return self._coco is not None or bool(self._folders)

    def read(self, path: str, size: tuple[int, int]) -> Found:
        """All that is annotated on an image; nothing where no file names it.

        Args:
            path: of the image.
            size: its (H,W), upright.

        Raises:
            AnnotationError: (a ValueError) where annotations cannot be used.
            OSError: where they cannot be read.
        """
        bundle = Bundle(size)
        labels: list[_Label] = []
        for _, below in _places(path) if self._coco is not None else ():
            assert self._coco is not None
            token = self._coco.read(below, bundle)
            if token is not None:
                labels += _labels_of_coco(token[1], self._coco._rest.get("categories", ()))
                break
        for option, folder, make in self._folders:
            for root, below in _places(path):
                try:
                    form = make(Beside(folder, root, _NOWHERE, option))
                except ValueError:  # what would be in the way of writing them
                    continue
                token = form.read(below, bundle)
                if token is not None:
                    labels += _LABELS.get(form.name, lambda token: [])(token)
                    break
        found = Found(columns_of([bundle]))
        for column, number, label in labels:
            found.labels.setdefault(column, {})[number] = label
        return found


def _places(path: str) -> Iterator[tuple[Path, str]]:
    """Folders above an image, and its path below each."""
    resolved = Path(path).resolve()
    for root in resolved.parents[:MOST_LEVELS]:
        yield root, resolved.relative_to(root).as_posix()


# --- what things are called: the forms themselves need no names ---------------------------------------------


def _labels_of_coco(objects: Sequence[Any], categories: Sequence[Any]) -> list[_Label]:
    names = {each.get("id"): each.get("name") for each in categories if isinstance(each, dict)}
    labels: list[_Label] = []
    for each in objects:
        number = each.annotation.get("category_id")
        name = names.get(number, number)
        if each.box is not None:
            labels.append(("bounding_boxes", each.box, name))
        labels += [("polygons", polygon, name) for polygon in each.polygons]
    return labels


def _labels_of_yolo(objects: Sequence[Any]) -> list[_Label]:
    labels: list[_Label] = []
    for each in objects:
        name = each.line.split()[0]
        if each.box is not None:
            labels.append(("bounding_boxes", each.box, name))
        elif each.polygon is not None:
            labels.append(("polygons", each.polygon, name))
    return labels


def _labels_of_voc(document: Any) -> list[_Label]:
    root = ElementTree.fromstring(document.octets)
    owners = [each for thing in root.findall("object") for each in (thing, *thing.iter("part"))]
    names = [owner.findtext("name") for owner in owners for _ in owner.findall("bndbox")]
    pairs = zip(document.boxes, names, strict=True)
    return [("bounding_boxes", number, name) for number, name in pairs if name is not None]


_LABELS: dict[str, Callable[[Any], list[_Label]]] = {"yolo": _labels_of_yolo, "voc": _labels_of_voc}
