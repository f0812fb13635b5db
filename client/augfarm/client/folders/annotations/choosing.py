"""The forms of annotations that the command line asks for."""

from __future__ import annotations

import hashlib
import importlib.util
import posixpath
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..names import shown
from ..places import Places
from .beside import Beside
from .coco import Coco
from .form import Form
from .masks import Masks
from .voc import Voc
from .yolo import Yolo

__all__ = ["Chosen", "Wishes", "choose"]


@dataclass(frozen=True)
class Wishes:
    """What the command line says of annotations."""

    coco: str | None = None
    yolo: str | None = None
    yolo_keypoints: str | None = None
    voc: str | None = None
    masks: Sequence[str] = ()
    min_visible: float = 0.0


@dataclass(frozen=True)
class Chosen:
    """The forms; what decides about them, in plain data; and folders below SRC that hold mask images."""

    forms: tuple[Form, ...]
    settings: dict[str, Any]
    left_out: tuple[str, ...]


def choose(wishes: Wishes, places: Places, copies: int) -> Chosen:
    """The forms of a run.

    Raises:
        ValueError: where they cannot be used; the text says which and why.
    """
    forms: list[Form] = []
    settings: dict[str, Any] = {}
    left_out: list[str] = []
    if wishes.coco is not None:
        forms.append(_coco(wishes, places, copies))
        settings["coco"] = hashlib.sha256(Path(wishes.coco).read_bytes()).hexdigest()
    if wishes.yolo is not None:
        keypoints = None if wishes.yolo_keypoints is None else _keypoints(wishes.yolo_keypoints)
        forms.append(
            Yolo(Beside(wishes.yolo, places.src, places.dst, "--yolo"), keypoints, wishes.min_visible)
        )
        settings["yolo"] = [wishes.yolo, keypoints and list(keypoints)]
    elif wishes.yolo_keypoints is not None:
        raise ValueError("--yolo-keypoints is for --yolo")
    if wishes.voc is not None:
        forms.append(Voc(Beside(wishes.voc, places.src, places.dst, "--voc"), wishes.min_visible))
        settings["voc"] = wishes.voc
    for number, folder in enumerate(wishes.masks):
        place = Beside(folder, places.src, places.dst, "--masks")
        if place.below_src == "":
            raise ValueError(f"--masks {shown(folder)} is SRC: masks need a folder of their own")
        if place.below_src is not None:
            left_out.append(place.below_src)
        forms.append(Masks(place, number))
        settings.setdefault("masks", []).append(folder)
    if forms and importlib.util.find_spec("PIL") is None:
        raise ValueError("annotations need Pillow here: pip install 'augfarm[annotations]'")
    if forms:
        settings["min_visible"] = wishes.min_visible
    return Chosen(tuple(forms), settings, tuple(left_out))


def _coco(wishes: Wishes, places: Places, copies: int) -> Coco:
    assert wishes.coco is not None
    path = Path(wishes.coco).resolve()
    below = places.src in path.parents
    last = path.relative_to(places.src).as_posix() if below else path.name
    if not below and (places.dst / last).resolve() == path:
        raise ValueError(f"--coco {shown(wishes.coco)} would be overwritten: choose another DST")
    form = Coco(wishes.coco, posixpath.normpath(last), copies, wishes.min_visible)
    missing = form.missing(places.src)
    if missing:
        many = f"{len(missing)} images" if len(missing) > 1 else "an image"
        text = f"{shown(wishes.coco)} names {many} that SRC does not have, such as {shown(missing[0])}"
        print(f"augfarm run: {text}", file=sys.stderr)
    return form


def _keypoints(given: str) -> tuple[int, int]:
    try:
        k, d = map(int, given.split(","))
        if k < 1 or d not in (2, 3):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"expected --yolo-keypoints to be K,2 or K,3 for K points of x y or x y v, got {given}"
        ) from None
    return k, d
