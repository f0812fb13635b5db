"""Pictures with annotations on them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from augfarm.client.preview.drawing import (
    DARK,
    PALETTE,
    POINT_COLOUR,
    _Tags,
    class_colour,
    fitting,
    font,
    labels_of,
    picture_of,
    printable,
    render,
)
from augfarm.client.preview.levels import Levels
from augfarm.client.preview.marks import Box, Curve, Marks

EIGHT_BITS = Levels(0, 255)


def picture(height, width, most=400, **marks):
    return picture_of(np.zeros((height, width, 3), np.uint8), Marks(**marks), EIGHT_BITS, most)


def has(image, colour):
    return (image == colour).all(axis=2)


def test_points_and_boxes_are_where_they_should_be_at_any_scale():
    drawn = picture(40, 60, points=[(10, 20)], boxes=[Box(30, 10, 50, 30)])
    for scale in (1.0, 4.0, 0.5):
        image = render(drawn, scale)
        assert image.shape == (40 * scale, 60 * scale, 3)
        assert has(image, POINT_COLOUR)[int(20 * scale), int(10 * scale)]
        assert has(image, PALETTE[0])[int(10 * scale), int(40 * scale)]
        assert not image[int(20 * scale), int(40 * scale)].any()


def test_lines_are_as_thick_on_a_small_image_as_on_a_large_one():
    small = render(picture(10, 10, boxes=[Box(2, 2, 8, 8)]), 20.0)
    large = render(picture(1000, 1000, boxes=[Box(200, 200, 800, 800)]), 0.2)
    assert np.array_equal(has(small, PALETTE[0]), has(large, PALETTE[0]))


def test_pixels_of_a_small_image_stay_squares():
    image = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    drawn = render(picture_of(image, Marks(), EIGHT_BITS, 400), 10.0)
    assert np.array_equal(drawn, image.repeat(10, 0).repeat(10, 1))


def test_a_huge_image_is_kept_small_and_marks_stay_in_its_pixels():
    drawn = picture(
        4000, 6000, most=300, points=[(3000, 2000)], segments=[np.ones((4000, 6000, 1), np.int32)]
    )
    assert drawn.image.shape == (200, 300, 3)
    assert drawn.size == (6000, 4000)
    assert drawn.marks.segments[0].nbytes < 1_000_000
    assert has(render(drawn, 0.05), POINT_COLOUR)[100, 150]


def test_polygons_are_outlined_and_tinted_and_lines_are_open():
    square = np.array([(10, 10), (50, 10), (50, 50), (10, 50)], float)
    polygon = render(picture(60, 60, polygons=[Curve(square)]), 1.0)
    assert has(polygon, PALETTE[0])[30, 10]
    assert polygon[30, 30].any()
    line = render(picture(60, 60, lines=[Curve(square)]), 1.0)
    assert line[30, 50].any()
    assert not line[30, 10].any()
    assert not line[30, 30].any()


def test_classes_have_colours_and_the_background_has_none():
    classes = np.array([[0, 1], [2, 0]], np.int32)[..., None]
    image = render(picture(40, 40, segments=[classes]), 1.0)
    assert not image[10, 10].any()
    assert image[10, 30].any()
    assert image[30, 10].any()
    assert (image[10, 30] != image[30, 10]).any()
    assert len({class_colour(number) for number in range(1, 200)}) > 190


def test_heat_is_stronger_where_the_values_are_higher():
    heat = np.linspace(0, 1, 5, dtype=np.float32).reshape(1, 5, 1)
    image = render(picture(50, 50, heatmaps=[heat]), 1.0)
    brightness = image[25].sum(axis=1).astype(int)
    assert brightness[0] == 0
    assert (np.diff(brightness) >= 0).all()
    assert brightness[-1] > 100


def test_channels_of_heat_differ_in_colour():
    heat = np.zeros((2, 2, 2), np.float32)
    heat[0, 0, 0] = heat[1, 1, 1] = 1
    image = render(picture(40, 40, heatmaps=[heat]), 1.0).astype(int)
    assert np.abs(image[2, 2] - image[37, 37]).sum() > 100


def test_a_label_has_one_colour_on_all_pictures():
    one = picture(60, 60, boxes=[Box(5, 30, 50, 55, "dog")])
    two = picture(60, 60, boxes=[Box(5, 30, 50, 55, "dog"), Box(0, 0, 9, 9, "cat")])
    labels = labels_of(one.marks) | labels_of(two.marks)
    assert labels == {"cat", "dog"}
    images = [render(each, 1.0, labels=labels) for each in (one, two)]
    assert np.array_equal(images[0][40:], images[1][40:])


def test_points_are_numbered_where_that_is_wanted():
    drawn = picture(60, 60, points=[(30, 30)])
    assert (
        has(render(drawn, 1.0, numbers=True), POINT_COLOUR).sum()
        > has(render(drawn, 1.0), POINT_COLOUR).sum()
    )


TEXT = st.text(max_size=30) | st.sampled_from(["cat", "a very long label of something that is in the image"])


@settings(max_examples=20)
@given(st.lists(st.tuples(st.floats(-50, 150), st.floats(-50, 150), TEXT), max_size=12), st.integers(5, 120))
def test_tags_are_whole_and_none_is_on_another(wanted, side):
    tags = _Tags(ImageDraw.Draw(Image.new("RGB", (side, side))), (side, side))
    for x, y, text in wanted:
        tags.beside(text[:3], x, y)
        tags.at_box(text, (x, y, x + 20, y + 20), DARK)
        tags.at_curve(text, [(x, y), (x + 5, y + 5)], DARK)
    for number, (left, top, right, bottom) in enumerate(tags._taken):
        assert 0 <= left < right <= side
        assert 0 <= top < bottom <= side
        for other in tags._taken[:number]:
            assert right <= other[0] or left >= other[2] or bottom <= other[1] or top >= other[3]


@settings(max_examples=20)
@given(TEXT, st.integers(0, 200))
def test_text_is_shortened_to_fit(text, width):
    short = fitting(text, width, 13)
    assert not short or font(13).getlength(short) <= width
    assert short == printable(text) or short == "" or short.endswith("…")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e30, 1e30, 0.0])
def test_coordinates_of_any_value_are_drawn_or_left_out(value):
    points = np.array([(value, 5), (10, value), (20, 20)], float)
    drawn = picture(
        30,
        30,
        points=[(value, 3), (4, value)],
        boxes=[Box(value, value, 10, 10, "a"), Box(5, 5, value, value)],
        polygons=[Curve(points, "b"), Curve(points[:1]), Curve(points[:0], "c")],
        lines=[Curve(points, "d"), Curve(points[:1]), Curve(points[:0])],
        heatmaps=[np.full((2, 2, 1), value, np.float32), np.zeros((0, 0, 1), np.float32)],
        segments=[np.zeros((0, 0, 1), np.int32)],
    )
    assert render(drawn, 2.0, numbers=True).shape == (60, 60, 3)


def test_an_image_without_pixels_is_a_grey_one():
    assert render(picture(0, 5), 1.0).shape == (1, 1, 3)
