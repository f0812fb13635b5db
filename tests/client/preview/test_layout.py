"""How pictures share a sheet."""

import functools

import numpy as np
import pytest

from augfarm.client.preview.drawing import font, picture_of
from augfarm.client.preview.layout import Cell, Row, caption_width, grid_of, most_pixels, sheet_of
from augfarm.client.preview.levels import Levels
from augfarm.client.preview.marks import Marks
from augfarm.client.sheet import CAPTION_SIZE, MARGIN, MESSAGE_GROUND

WIDTH = 1600
COLOUR = (90, 10, 200)


@functools.cache
def picture(width, height):
    return picture_of(np.full((height, width, 3), COLOUR, np.uint8), Marks(), Levels(0, 255), 400)


def cell(width, height, caption="seed 1"):
    return Cell(caption, picture(width, height))


def row(count, width, height):
    return Row([cell(width, height, f"seed {number}") for number in range(count)])


def tiles(sheet):
    """How many pictures are on the sheet, and the width and height of the first."""
    grey = (sheet == COLOUR).all(axis=2)
    rows, columns = np.flatnonzero(grey.any(axis=1)), np.flatnonzero(grey.any(axis=0))
    top, left = rows[0], columns[0]
    height = int(np.argmin(np.append(grey[top:, left], False)))
    width = int(np.argmin(np.append(grey[top, left:], False)))
    return grey.sum() / (width * height), (width, height)


@pytest.mark.parametrize("size", [(8, 8), (640, 480), (6000, 4000), (100, 2000), (3000, 60), (1, 1)])
@pytest.mark.parametrize("count", [2, 4, 10, 31])
def test_all_pictures_are_there_whole_at_one_scale_and_as_large_as_fits(count, size):
    sheet = sheet_of([row(count, *size)], WIDTH)
    found, (width, height) = tiles(sheet)
    assert found == count
    assert max(width, height) >= 90
    assert sheet.shape[1] <= WIDTH
    assert sheet.shape[0] <= WIDTH
    ratio = size[0] / size[1]
    assert abs(width - height * ratio) <= max(1, ratio)


def test_small_images_are_enlarged_by_whole_numbers():
    _, (width, height) = tiles(sheet_of([row(4, 7, 5)], WIDTH))
    assert width % 7 == height % 5 == 0
    assert width > 300


def test_what_became_larger_is_shown_larger():
    sheet = sheet_of([Row([cell(100, 100), cell(200, 200)])], WIDTH)
    grey = (sheet == COLOUR).all(axis=2)
    heights = grey.sum(axis=0)
    assert set(heights) == {0, heights.max() // 2, heights.max()}


@pytest.mark.parametrize("caption", ["seed 7", "seed 2147483646: 6000×4000"])
def test_captions_of_narrow_pictures_are_not_cut(caption):
    rows = [Row([cell(3, 300, caption) for _ in range(31)])]
    needed = font(CAPTION_SIZE).getlength(caption)
    assert caption_width(rows) >= needed
    grid = grid_of(rows, WIDTH)
    assert grid.columns * (needed + MARGIN) + MARGIN <= WIDTH
    assert sheet_of(rows, WIDTH).shape[1] <= WIDTH


def test_rows_of_images_of_all_sizes_share_their_columns():
    rows = [row(5, 8, 8), row(5, 6000, 4000), row(5, 100, 2000)]
    sheet = sheet_of(rows, WIDTH)
    assert sheet.shape[1] <= WIDTH
    grey = (sheet == COLOUR).all(axis=2)
    left = [np.flatnonzero(line)[0] for line in grey[grey.any(axis=1)]]
    assert grid_of(rows, WIDTH).columns == 5
    assert len(set(left)) == 3  # each image's own: they are centred in their columns


def test_many_in_a_row_take_several_lines():
    grid = grid_of([row(31, 64, 64), row(31, 64, 64)], WIDTH)
    assert grid.columns == 8
    assert sheet_of([row(31, 64, 64), row(31, 64, 64)], WIDTH).shape[1] <= WIDTH


def test_an_error_has_room_for_its_text_beside_any_picture():
    for size in [(8, 8), (100, 2000), (640, 480)]:
        sheet = sheet_of([Row([cell(*size), Cell("seed 1", "ValueError: this went wrong")])], WIDTH)
        ground = (sheet == MESSAGE_GROUND).all(axis=2)
        assert ground.any(axis=0).sum() >= 150
        assert ground.any(axis=1).sum() >= 90
        assert sheet.shape[1] <= WIDTH


def test_a_width_is_kept():
    assert sheet_of([row(9, 640, 480)], 500).shape[1] <= 500


def test_pictures_are_smaller_where_there_are_many():
    assert most_pixels(4, 1600) == 1600
    assert most_pixels(2000, 1600) < 400
