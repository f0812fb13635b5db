"""Shapes that leave the image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augfarm.client.folders.annotations.clipping import (
    area_of,
    bounds_of,
    clip_box,
    clip_polygon,
    inside,
    visible_part,
)

SIZE = (60, 80)
SQUARE = np.array([(10, 10), (30, 10), (30, 30), (10, 30)], float)


def test_areas_and_bounds():
    assert area_of(SQUARE) == area_of(SQUARE[::-1]) == 400
    assert area_of(SQUARE[:2]) == 0
    assert bounds_of([SQUARE, SQUARE + 5]) == (10, 10, 35, 35)


def test_what_is_inside_stays_as_it_is():
    assert clip_polygon(SQUARE, SIZE) is SQUARE
    assert clip_box((1, 2, 3, 4), SIZE) == (1, 2, 3, 4)


def test_what_sticks_out_is_cut_off():
    assert clip_box((-5, 50, 10, 70), SIZE) == (0, 50, 10, 60)
    cut = clip_polygon(SQUARE - (20, 0), SIZE)
    assert bounds_of([cut]) == (0, 10, 10, 30)
    assert area_of(cut) == 200


def test_a_polygon_outside_is_empty():
    assert len(clip_polygon(SQUARE + 200, SIZE)) == 0
    assert visible_part(None, [SQUARE + 200], SIZE) == 0


def test_a_polygon_that_falls_apart_keeps_its_area():
    comb = np.array([(10, -10), (20, -10), (20, 20), (15, 20), (15, -5), (14, -5), (14, 20), (10, 20)], float)
    assert area_of(clip_polygon(comb, SIZE)) == pytest.approx(5 * 20 + 4 * 20)


coordinate = st.floats(-100, 200, allow_nan=False).map(lambda x: round(x, 3))


@given(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=6))
def test_clipping_leaves_nothing_outside_and_nothing_to_clip(points):
    clipped = clip_polygon(np.array(points, float), SIZE)
    assert ((clipped >= -1e-9) & (clipped <= np.array([80, 60]) + 1e-9)).all()
    assert area_of(clip_polygon(clipped, SIZE)) == pytest.approx(area_of(clipped), abs=1e-6)


@given(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=3))
def test_the_clipped_area_of_a_triangle_is_what_pixels_say(points):
    triangle = np.array(points, float)
    (ax, ay), (bx, by), (cx, cy) = points
    y, x = np.mgrid[0.25:60:0.5, 0.25:80:0.5]
    sides = [
        (bx - ax) * (y - ay) - (by - ay) * (x - ax),
        (cx - bx) * (y - by) - (cy - by) * (x - bx),
        (ax - cx) * (y - cy) - (ay - cy) * (x - cx),
    ]
    covered = np.all([s >= 0 for s in sides], axis=0) | np.all([s <= 0 for s in sides], axis=0)
    if area_of(triangle) > 0:
        assert area_of(clip_polygon(triangle, SIZE)) == pytest.approx(covered.sum() / 4, abs=150)


def test_the_visible_part_is_that_of_polygons_or_else_of_the_box():
    assert visible_part((-10, 0, 10, 10), [], SIZE) == 0.5
    assert visible_part((0, 0, 10, 10), [SQUARE - (20, 0)], SIZE) == 0.5
    assert visible_part((5, 5, 5, 5), [], SIZE) == 1
    assert visible_part((90, 5, 90, 5), [], SIZE) == 0


def test_points():
    assert inside((0, 0), SIZE)
    assert not inside((80, 10), SIZE)
    assert not inside((-0.1, 10), SIZE)
