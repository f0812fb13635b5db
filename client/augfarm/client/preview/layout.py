"""How pictures share a sheet: how many in a row, and how large. Needs Pillow (extra `preview`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..sheet import (
    CAPTION_HEIGHT,
    CAPTION_SIZE,
    HEADING_HEIGHT,
    MARGIN,
    NOTE_HEIGHT,
    Section,
    Tile,
    compose,
    message,
)
from .drawing import Picture, font, labels_of, render

__all__ = ["Cell", "Row", "most_pixels", "sheet_of"]

Image = np.ndarray[Any, np.dtype[np.uint8]]

#: A sheet of one row of cells is about so many times as high as wide.
SHAPE = 0.75
#: What all pictures of a sheet may take together while they are kept, in bytes.
PICTURES_BYTES = 512 * 2**20
#: Pictures are made no smaller than this, in pixels of their longer side: the sheet grows instead.
LEAST_SIDE = 96
#: Columns are no narrower than this, in pixels, nor wider for a caption's sake than that.
LEAST_COLUMN, MOST_CAPTION = 64, 240
#: With several rows of cells, so many pictures stand side by side at most.
MOST_IN_ROW = 8
#: A message needs so much room at least, in pixels.
MESSAGE_SIZE = (160, 96)


@dataclass(frozen=True)
class Cell:
    """A picture with its caption, or the text of an error in a picture's place."""

    caption: str
    content: Picture | str


@dataclass(frozen=True)
class Row:
    """Cells that belong together, all shown at one scale, with a heading and a smaller note."""

    cells: Sequence[Cell]
    heading: str = ""
    note: str = ""

    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of the images that its pictures were."""
        return [cell.content.size for cell in self.cells if isinstance(cell.content, Picture)]


@dataclass(frozen=True)
class Grid:
    """So many columns, for pictures of at most this width and height."""

    columns: int
    width: int
    height: int

    def scale(self, row: Row) -> float:
        """The scale of a row's pictures: a whole number where they are enlarged."""
        widest = max(width for width, _ in row.sizes())
        highest = max(height for _, height in row.sizes())
        scale = min(self.width / max(1, widest), self.height / max(1, highest))
        return float(math.floor(scale)) if scale > 1 else scale


def most_pixels(cells: int, width: int) -> int:
    """The longest side that a picture can have on a sheet of so many cells and of this width, in pixels."""
    return max(LEAST_SIDE, min(width, math.isqrt(PICTURES_BYTES // (3 * cells))))


def grid_of(rows: Sequence[Row], width: int) -> Grid:
    """The grid for these rows on a sheet of about this width, in pixels."""
    count = max(len(row.cells) for row in rows)
    most = most_pixels(sum(len(row.cells) for row in rows), width)
    least = caption_width(rows)
    if any(isinstance(cell.content, str) for row in rows for cell in row.cells):
        least = max(least, MESSAGE_SIZE[0])
    most_columns = max(1, min(count, (width - MARGIN) // (least + MARGIN)))
    if len(rows) > 1:
        lines = math.ceil(count / min(most_columns, MOST_IN_ROW))
        columns = math.ceil(count / lines)
        side = min(most, (width - MARGIN) // columns - MARGIN)
        return Grid(columns, side, min(most, 2 * side))
    widest = max(size[0] for size in rows[0].sizes())
    highest = max(size[1] for size in rows[0].sizes())
    longest = max(widest, highest)
    fits = [_grid(columns, count, width, most) for columns in range(1, most_columns + 1)]
    best = max(fits, key=lambda grid: min(grid.width / widest, grid.height / highest))
    scale = min(best.width / widest, best.height / highest)
    if scale * longest >= LEAST_SIDE:
        return best
    side = max(1, round(LEAST_SIDE * widest / longest))
    columns = max(1, min(most_columns, (width - MARGIN) // (side + MARGIN)))
    return Grid(columns, side, LEAST_SIDE)


def _grid(columns: int, count: int, width: int, most: int) -> Grid:
    lines = math.ceil(count / columns)
    below = SHAPE * width - HEADING_HEIGHT - NOTE_HEIGHT - MARGIN
    high = int(below / lines) - CAPTION_HEIGHT - MARGIN
    return Grid(columns, min(most, (width - MARGIN) // columns - MARGIN), max(1, min(most, high)))


def caption_width(rows: Sequence[Row]) -> int:
    """How wide columns are for the captions' sake, in pixels."""
    letters = font(CAPTION_SIZE)
    widest: int = max(math.ceil(letters.getlength(cell.caption)) for row in rows for cell in row.cells)
    return max(LEAST_COLUMN, min(MOST_CAPTION, widest))


def sheet_of(rows: Sequence[Row], width: int) -> Image:
    """The rows as one (H,W,3) uint8 image, about `width` pixels wide; a row may take several lines.

    Keypoints are numbered where there are no more than two pictures in a row.
    """
    grid = grid_of(rows, width)
    pictures = [cell.content for row in rows for cell in row.cells if isinstance(cell.content, Picture)]
    labels = {label for picture in pictures for label in labels_of(picture.marks)}
    numbers = max(len(row.cells) for row in rows) <= 2
    sections = []
    for row in rows:
        scale = grid.scale(row)
        width_, height_ = (round(side * scale) for side in row.sizes()[0])
        blank = (max(MESSAGE_SIZE[0], width_), max(MESSAGE_SIZE[1], height_))
        tiles = []
        for cell in row.cells:
            if isinstance(cell.content, Picture):
                image = render(cell.content, scale, labels=labels, numbers=numbers)
            else:
                image = message(cell.content, blank)
            tiles.append(Tile(image, cell.caption))
        sections.append(Section(tiles, row.heading, row.note))
    return compose(sections, grid.columns, caption_width(rows))
