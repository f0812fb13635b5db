"""Images of any dtype and number of channels as colours that a screen can show. Pure.

One image's levels serve for all its variants, so that what became brighter looks brighter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Levels", "shown"]

Array = np.ndarray[Any, Any]
Image = np.ndarray[Any, np.dtype[np.uint8]]

#: The squares that are seen through transparent pixels: their size in pixels, and their two greys.
SQUARE = 8
SQUARE_GREYS = (204, 255)


@dataclass(frozen=True)
class Levels:
    """The values of an image that are shown as black and as white."""

    black: float
    white: float

    @staticmethod
    def of(image: Array) -> Levels:
        """Levels that suit this image, and what augmenters make of it.

        White is 255 for uint8, 1 for bool and for floats up to 1. Otherwise it is the largest value of as
        many bits as the image's largest value needs: many a 16-bit image fills 10 or 12 of them. Black is 0,
        or the smallest value where there are negative ones.
        """
        if image.dtype == np.bool_:
            return Levels(0.0, 1.0)
        if image.dtype == np.uint8 or image.size == 0:
            return Levels(0.0, 255.0)
        values = image[np.isfinite(image)] if image.dtype.kind in "fc" else image
        if image.dtype.kind == "c":
            values = np.abs(values)
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        if high <= 1.0 and image.dtype.kind in "fc":
            white = 1.0
        elif high < 2.0**63:
            white = float(2 ** max(8, int(high).bit_length()) - 1)
        else:
            white = high
        return Levels(min(0.0, low), white)


def shown(image: Array, levels: Levels) -> Image:
    """The image as colours, (H,W,3) uint8.

    Args:
        image: (H,W) or (H,W,C) of any dtype. C=1 is grey, 2 grey and alpha, 3 colours, 4 colours and alpha;
            what is transparent is shown over squares. Of more channels the first three are shown.
    """
    values = image[..., np.newaxis] if image.ndim == 2 else image
    channels = values.shape[2]
    if channels > 4 or channels == 0:
        values = values[..., :3] if channels else np.zeros((*values.shape[:2], 1), np.uint8)
        channels = values.shape[2]
    octets = _octets(values, levels)
    if channels in (2, 4):
        return _over_squares(octets[..., :-1], octets[..., -1:])
    return np.ascontiguousarray(np.broadcast_to(octets, (*octets.shape[:2], 3)))


def _octets(values: Array, levels: Levels) -> Image:
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "c":
        values = np.abs(values)
    scaled = (values.astype(np.float32) - levels.black) * (255.0 / max(levels.white - levels.black, 1e-30))
    octets: Image = np.clip(np.nan_to_num(scaled) + 0.5, 0, 255).astype(np.uint8)
    return octets


def _over_squares(colours: Image, alpha: Image) -> Image:
    height, width = colours.shape[:2]
    odd = (np.arange(height)[:, None] // SQUARE + np.arange(width)[None, :] // SQUARE) % 2
    squares = np.where(odd, *SQUARE_GREYS)[..., np.newaxis].astype(np.uint16)
    weight = alpha.astype(np.uint16)
    blended = (colours * weight + squares * (255 - weight) + 127) // 255
    return np.ascontiguousarray(np.broadcast_to(blended.astype(np.uint8), (height, width, 3)))
