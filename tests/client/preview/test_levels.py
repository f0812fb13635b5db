"""Images of any dtype and number of channels as colours."""

import numpy as np
import pytest

from augfarm.client.preview.levels import SQUARE_GREYS, Levels, shown


def of(values, dtype):
    return np.array(values, dtype).reshape(1, -1, 1)


@pytest.mark.parametrize(
    ("image", "black", "white"),
    [
        (of([0, 3], np.uint8), 0, 255),
        (of([False, True], bool), 0, 1),
        (of([0, 0.5], np.float32), 0, 1),
        (of([0, 254.5], np.float32), 0, 255),
        (of([-0.5, 1.0], np.float64), -0.5, 1),
        (of([0, 800], np.uint16), 0, 1023),
        (of([0, 4095], np.uint16), 0, 4095),
        (of([7, 65535], np.uint16), 0, 65535),
        (of([-3, 100], np.int16), -3, 255),
        (of([0, np.nan, np.inf, 0.25], np.float32), 0, 1),
        (np.zeros((0, 4, 3), np.float32), 0, 255),
    ],
)
def test_black_and_white_suit_the_image(image, black, white):
    assert Levels.of(image) == Levels(black, white)


def test_white_is_shown_as_white_and_what_is_brighter_too():
    colours = shown(of([0, 1023, 5000], np.uint16), Levels(0, 1023))
    assert colours[0].tolist() == [[0] * 3, [255] * 3, [255] * 3]


def test_values_that_are_no_numbers_are_black_or_white():
    colours = shown(of([np.nan, np.inf, -np.inf], np.float32), Levels(0, 1))
    assert colours[0, :, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 2), (4, 5, 3), (4, 5, 4), (4, 5, 7), (4, 5, 0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool, np.int64, np.complex64])
def test_every_kind_of_image_can_be_shown(shape, dtype):
    image = np.ones(shape, dtype)
    colours = shown(image, Levels.of(image))
    assert colours.shape == (4, 5, 3)
    assert colours.dtype == np.uint8


def test_what_is_transparent_is_shown_over_squares():
    image = np.zeros((16, 16, 4), np.uint8)
    image[..., 0] = 200
    image[:, 8:, 3] = 255
    colours = shown(image, Levels.of(image))
    assert (colours[:, 8:] == (200, 0, 0)).all()
    assert set(np.unique(colours[:, :8])) == set(SQUARE_GREYS)
