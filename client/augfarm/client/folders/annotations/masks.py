"""Mask images in a folder beside that of the images: each pixel's value or colour says what is there."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from .beside import Beside
from .bundle import AnnotationError, Augmented, Bundle
from .form import Later, Written

__all__ = ["Masks"]

#: Formats that keep every pixel.
_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
_MODES = ("1", "L", "P", "I;16", "I", "RGB", "RGBA")


@dataclass(frozen=True)
class _Mask:
    octets: bytes
    suffix: str
    #: Of the map in the bundle, which holds positions in `table`.
    number: int
    #: The values or colours that there are; the first is what comes in from outside.
    table: Any


class Masks:
    """See :class:`.form.Form`. What comes in from outside of the image is 0, or black.

    Args:
        place: where mask images are.
        number: of this folder, where there are several.
    """

    by_stem = True
    last: str | None = None

    def __init__(self, place: Beside, number: int) -> None:
        self._place = place
        self.name = f"masks-{number}"

    def read(self, path: str, bundle: Bundle) -> Any:
        """See :class:`.form.Form`."""
        found = self._place.find(path, *_SUFFIXES)
        if found is None:
            return None
        with open(found, "rb") as file:
            octets = file.read()
        try:
            values = _values(_opened(octets))
        except Exception as error:  # Pillow's readers raise anything
            raise AnnotationError(f"{found} cannot be used as a mask: {error}") from None
        if values.shape != bundle.size:
            raise AnnotationError(
                f"{found} is {values.shape[1]}x{values.shape[0]}, and the image is "
                f"{bundle.size[1]}x{bundle.size[0]} when it stands upright"
            )
        table, indices = _indexed(values)
        return _Mask(octets, os.path.splitext(found)[1], bundle.add_map(indices), table)

    def write(self, path: str, copy: int, output: str, token: Any, augmented: Augmented) -> Written:
        """See :class:`.form.Form`."""
        octets = token.octets
        if not augmented.map_stayed(token.number):
            octets = _encoded(token.table[augmented.maps[token.number]], token.octets)
        return Written([(self._place.output(path, copy, token.suffix), octets)])

    def fill(self, later: Later, file: BinaryIO) -> None:
        """See :class:`.form.Form`."""


def _opened(octets: bytes) -> Any:
    from PIL import Image

    image = Image.open(io.BytesIO(octets))
    if image.mode not in _MODES:
        raise ValueError(f"its mode is {image.mode}, expected one of {', '.join(_MODES)}")
    return image


def _values(image: Any) -> np.ndarray[Any, Any]:
    """(H,W) of whole numbers; a colour is one number."""
    values = np.asarray(image)
    if values.ndim == 2:
        return values.astype(np.int32)
    padded = np.zeros((*values.shape[:2], 4), np.uint8)
    padded[..., : values.shape[2]] = values
    return padded.view(np.int32)[..., 0]


def _indexed(values: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The values that there are, 0 first, and for each pixel which. Colours are beyond what imgaug takes."""
    found, which = np.unique(values, return_inverse=True)
    table = np.concatenate([[0], found]).astype(np.int32)
    return table, np.where(values == 0, 0, which.reshape(values.shape) + 1)


def _encoded(values: np.ndarray[Any, Any], before: bytes) -> bytes:
    """The values as an image of the same kind as there was before."""
    from PIL import Image

    was = _opened(before)
    if was.mode in ("RGB", "RGBA"):
        channels = len(was.mode)
        colours = np.ascontiguousarray(values.astype(np.int32))[..., np.newaxis].view(np.uint8)
        image = Image.fromarray(np.ascontiguousarray(colours[..., :channels]))
    elif was.mode == "1":
        image = Image.fromarray(values.astype(bool))
    else:
        dtype = {"I;16": np.uint16, "I": np.int32}.get(was.mode, np.uint8)
        image = Image.fromarray(np.ascontiguousarray(values.astype(dtype)))
    options: dict[str, Any] = {}
    if was.mode == "P":
        image.putpalette(was.getpalette("RGB"))
        if "transparency" in was.info:
            options["transparency"] = was.info["transparency"]
    if was.format == "TIFF":
        options["compression"] = "tiff_adobe_deflate"
    sink = io.BytesIO()
    image.save(sink, was.format, **options)
    return sink.getvalue()
