"""Contact sheets."""

import imgaug as ia
import numpy as np
import pytest

from augfarm.client.sheet import CAPTION_HEIGHT, MARGIN, Tile, annotated, contact_sheet


def tile(height, width, caption="a"):
    return Tile(np.full((height, width, 3), 90, np.uint8), caption)


def test_tiles_of_all_sizes_are_whole_and_captions_fit():
    tiles = [tile(40, 60), tile(90, 20, "a caption far too long for this picture"), tile(1, 1), tile(50, 50)]
    sheet = contact_sheet(tiles, columns=3)
    assert sheet.shape == (2 * (90 + CAPTION_HEIGHT + MARGIN) + MARGIN, 3 * (60 + MARGIN) + MARGIN, 3)
    assert (sheet == 90).all(axis=2).sum() == sum(t.image.shape[0] * t.image.shape[1] for t in tiles)
    # White margins between the columns: no caption runs into its neighbour.
    for column in range(4):
        left = column * (60 + MARGIN)
        assert (sheet[:, left : left + MARGIN] == 255).all()


def test_there_are_no_more_columns_than_tiles():
    assert contact_sheet([tile(10, 10)], columns=5).shape[1] == 10 + 2 * MARGIN


def test_no_tiles_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], 3)


def test_annotations_are_drawn_on_a_copy():
    image = np.zeros((50, 50, 3), np.uint8)
    keypoints = ia.KeypointsOnImage([ia.Keypoint(10, 10)], image.shape)
    boxes = ia.BoundingBoxesOnImage([ia.BoundingBox(20, 20, 40, 40)], image.shape)
    drawn = annotated(image, keypoints, boxes)
    assert not image.any()
    assert drawn[10, 10].any()
    assert drawn[20, 30].any()
    assert not drawn[30, 30].any()
