"""Contact sheets: pictures with captions in a grid, annotations drawn. Needs imgaug and Pillow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Tile", "annotated", "contact_sheet"]

Image = np.ndarray[Any, np.dtype[np.uint8]]

#: Space round each picture and the height of its caption, in pixels.
MARGIN = 8
CAPTION_HEIGHT = 20
CAPTION_SIZE = 13
BACKGROUND = (255, 255, 255)
INK = (32, 32, 32)
BOX_COLOUR = (0, 200, 80)
POINT_COLOUR = (255, 220, 0)


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet: (H,W,3) uint8, with a line of text below it."""

    image: Image
    caption: str


def annotated(image: Image, *annotations: Any) -> Image:
    """A copy of the image with imgaug annotations (KeypointsOnImage, BoundingBoxesOnImage) drawn on it.

    Args:
        image: (H,W,3) uint8.
    """
    from PIL import Image as pillow
    from PIL import ImageDraw

    # Not with imgaug's own drawing, which needs matplotlib for boxes on a current scikit-image.
    drawn = pillow.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    for annotation in annotations:
        for box in getattr(annotation, "bounding_boxes", ()):
            pen.rectangle((box.x1, box.y1, box.x2, box.y2), outline=BOX_COLOUR, width=2)
        for point in getattr(annotation, "keypoints", ()):
            pen.ellipse((point.x - 3, point.y - 3, point.x + 3, point.y + 3), fill=POINT_COLOUR)
    return np.asarray(drawn)


def contact_sheet(tiles: Sequence[Tile], columns: int) -> Image:
    """The tiles in rows of `columns`, as one (H,W,3) uint8 image. Pictures of other sizes are centred.

    Raises:
        ValueError: without tiles.
    """
    from PIL import Image as pillow
    from PIL import ImageDraw

    if not tiles:
        raise ValueError("a contact sheet needs at least one tile")
    columns = max(1, min(columns, len(tiles)))
    cell_width = max(tile.image.shape[1] for tile in tiles) + MARGIN
    cell_height = max(tile.image.shape[0] for tile in tiles) + CAPTION_HEIGHT + MARGIN
    rows = math.ceil(len(tiles) / columns)
    sheet = pillow.new("RGB", (columns * cell_width + MARGIN, rows * cell_height + MARGIN), BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), _font()
    for number, tile in enumerate(tiles):
        left = MARGIN + (number % columns) * cell_width
        top = MARGIN + (number // columns) * cell_height
        height, width = tile.image.shape[:2]
        picture_area = (cell_width - MARGIN, cell_height - MARGIN - CAPTION_HEIGHT)
        at = (left + (picture_area[0] - width) // 2, top + (picture_area[1] - height) // 2)
        sheet.paste(pillow.fromarray(tile.image), at)
        caption = _fitting(tile.caption, pen, font, picture_area[0])
        middle = left + picture_area[0] / 2
        pen.text((middle, top + picture_area[1] + 3), caption, fill=INK, font=font, anchor="ma")
    return np.asarray(sheet)


def _fitting(text: str, pen: Any, font: Any, width: int) -> str:
    """The text, shortened with an ellipsis where it is wider than the picture."""
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength(text + "…", font=font) > width:
        text = text[:-1]
    return text + "…"


def _font() -> Any:
    """The font that imgaug ships, so that sheets look the same everywhere."""
    import imgaug
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(imgaug.__file__).with_name("DejaVuSans.ttf")), CAPTION_SIZE)
