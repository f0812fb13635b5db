"""Contact sheets: pictures with captions in a grid, annotations drawn. Needs Pillow (extra `preview`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .preview.drawing import POINT_COLOUR, fitting, font, picture_of, pillow, printable, render
from .preview.levels import Levels
from .preview.marks import Marks, read_marks

__all__ = ["POINT_COLOUR", "Section", "Tile", "annotated", "compose", "contact_sheet", "message"]

Image = np.ndarray[Any, np.dtype[np.uint8]]

#: Space round each picture and the height of its caption, in pixels.
MARGIN = 8
CAPTION_HEIGHT = 20
CAPTION_SIZE = 13
HEADING_SIZE = 16
HEADING_HEIGHT = 24
NOTE_SIZE = 12
NOTE_HEIGHT = 17
#: More lines of a note than this are cut.
MOST_NOTE_LINES = 4
BACKGROUND = (255, 255, 255)
INK = (32, 32, 32)
GREY_INK = (96, 96, 96)
#: What stands in the place of a picture that could not be made.
MESSAGE_GROUND = (255, 232, 228)
MESSAGE_INK = (150, 20, 0)


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet: (H,W,3) uint8, with a line of text below it."""

    image: Image
    caption: str


@dataclass(frozen=True)
class Section:
    """Tiles that belong together, under a heading and a smaller note; "" for none."""

    tiles: Sequence[Tile]
    heading: str = ""
    note: str = ""


def annotated(image: Image, *annotations: Any) -> Image:
    """A copy of the image with imgaug annotations drawn on it, of its size.

    Args:
        image: (H,W), (H,W,1) or (H,W,3) uint8.
        annotations: imgaug's ``...OnImage`` objects of any kind.
    """
    marks = Marks()
    for annotation in annotations:
        read_marks(annotation, marks)
    picture = picture_of(image, marks, Levels.of(image), max(image.shape[:2]))
    return render(picture, 1.0)


def contact_sheet(tiles: Sequence[Tile], columns: int) -> Image:
    """The tiles in rows of `columns`, as one (H,W,3) uint8 image. Pictures of other sizes are centred.

    Raises:
        ValueError: without tiles.
    """
    return compose([Section(tiles)], columns)


def compose(sections: Sequence[Section], columns: int, least_width: int = 1) -> Image:
    """The sections below each other, as one (H,W,3) uint8 image; the tiles of each in rows of `columns`.

    Args:
        least_width: how wide the columns are at least, in pixels, for captions of narrow pictures.

    Raises:
        ValueError: without tiles.
    """
    tiles = [tile for section in sections for tile in section.tiles]
    if not tiles:
        raise ValueError("a contact sheet needs at least one tile")
    columns = max(1, min(columns, max(len(section.tiles) for section in sections)))
    column = max(least_width, *(tile.image.shape[1] for tile in tiles))
    width = columns * (column + MARGIN) + MARGIN
    layouts = [_Layout(section, columns, column, width - 2 * MARGIN) for section in sections]
    height = sum(layout.height for layout in layouts) + MARGIN
    sheet = pillow().new("RGB", (width, height), BACKGROUND)
    top = MARGIN
    for layout in layouts:
        layout.draw(sheet, top)
        top += layout.height
    return np.array(sheet)


def message(text: str, size: tuple[int, int]) -> Image:
    """A tile that says something in the place of a picture, of this width and height."""
    from PIL import ImageDraw

    width, height = size
    tile = pillow().new("RGB", size, MESSAGE_GROUND)
    pen = ImageDraw.Draw(tile)
    room = max(1, (height - MARGIN) // NOTE_HEIGHT)
    for number, line in enumerate(_wrapped(text, width - MARGIN, NOTE_SIZE, room)):
        at = (MARGIN / 2, MARGIN / 2 + number * NOTE_HEIGHT)
        pen.text(at, line, fill=MESSAGE_INK, font=font(NOTE_SIZE))
    return np.array(tile)


class _Layout:
    """One section's place on a sheet.

    Args:
        columns, column: how many, and how wide, in pixels.
        width: of the text above them, in pixels.
    """

    def __init__(self, section: Section, columns: int, column: int, width: int) -> None:
        self._section = section
        self._columns, self._column, self._width = columns, column, width
        self._note = _wrapped(section.note, width, NOTE_SIZE, MOST_NOTE_LINES)
        self._row = max(tile.image.shape[0] for tile in section.tiles)
        self._text_height = HEADING_HEIGHT * bool(section.heading) + NOTE_HEIGHT * len(self._note)
        rows = math.ceil(len(section.tiles) / columns)
        self.height = self._text_height + rows * (self._row + CAPTION_HEIGHT + MARGIN)

    def draw(self, sheet: Any, top: int) -> None:
        from PIL import ImageDraw

        pen = ImageDraw.Draw(sheet)
        if self._section.heading:
            heading = fitting(self._section.heading, self._width, HEADING_SIZE)
            pen.text((MARGIN, top), heading, fill=INK, font=font(HEADING_SIZE))
        below = top + HEADING_HEIGHT * bool(self._section.heading)
        for number, line in enumerate(self._note):
            at = (MARGIN, below + number * NOTE_HEIGHT)
            pen.text(at, line, fill=GREY_INK, font=font(NOTE_SIZE))
        for number, tile in enumerate(self._section.tiles):
            row, column = divmod(number, self._columns)
            left = MARGIN + column * (self._column + MARGIN)
            first = top + self._text_height + row * (self._row + CAPTION_HEIGHT + MARGIN)
            self._draw_tile(sheet, pen, tile, left, first)

    def _draw_tile(self, sheet: Any, pen: Any, tile: Tile, left: int, top: int) -> None:
        height, width = tile.image.shape[:2]
        at = (left + (self._column - width) // 2, top + (self._row - height) // 2)
        sheet.paste(pillow().fromarray(tile.image), at)
        caption = fitting(tile.caption, self._column, CAPTION_SIZE)
        middle = left + self._column / 2
        pen.text((middle, top + self._row + 3), caption, fill=INK, font=font(CAPTION_SIZE), anchor="ma")


def _wrapped(text: str, width: float, size: int, most: int) -> list[str]:
    """The text in lines that are no wider; the last of `most` ends with an ellipsis where there is more."""
    letters = font(size)
    words = [printable(word) for word in text.split()]
    lines: list[str] = []
    while words and len(lines) < most:
        line = words.pop(0)
        while words and letters.getlength(f"{line} {words[0]}") <= width:
            line = f"{line} {words.pop(0)}"
        head = len(line)
        while head > 1 and letters.getlength(line[:head]) > width:  # one word that is wider than a line
            head -= 1
        if head < len(line):
            words.insert(0, line[head:])
        lines.append(line[:head])
    if words:
        lines[-1] = fitting(" ".join([lines[-1], *words]), width, size)
    return lines
