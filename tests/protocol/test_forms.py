"""The forms that imgaug takes are tried against imgaug itself in test_batches.py."""

import numpy as np
import pytest

from augfarm.protocol.codec import Record
from augfarm.protocol.forms import check_form
from augfarm.protocol.records import Misfit

POINT = Record("Keypoint", (1, 2))
POINTS = Record("list", ("Keypoint", [1], [2]))
POLYGON = Record("Polygon", (np.zeros((3, 2), np.float32), None))
POLYGONS = Record("list", ("Polygon", [np.zeros((3, 2), np.float32)], [None]))
ON_IMAGE = Record("KeypointsOnImage", (POINTS, (9, 9, 3)))


@pytest.mark.parametrize(
    ("field", "tree", "images"),
    [
        ("keypoints", np.zeros((4, 3, 2)), 4),
        ("keypoints", [np.zeros((3, 2))] * 4, 4),
        ("keypoints", (1, 2.5), 1),
        ("keypoints", [(1, 2), (3, 4), (5, 6)], 1),
        ("keypoints", [[(1, 2)], [], [(3, 4)]], 3),
        ("keypoints", [[], [(np.float32(1), np.int8(2))]], 2),
        ("keypoints", POINT, 1),
        ("keypoints", POINTS, 1),
        ("keypoints", (POINT, POINT), 1),
        ("keypoints", [POINTS, POINTS], 2),
        ("bounding_boxes", [[(1, 2, 3, 4)]] * 3, 3),
        ("polygons", POLYGON, 1),
        ("polygons", POLYGONS, 1),
        ("polygons", [POLYGONS, []], 2),
        ("polygons", POINTS, 1),
        ("polygons", [POINTS, POINTS], 1),
        ("polygons", [[POINTS], [POINTS]], 2),
        ("line_strings", [[[(1, 2), (3, 4)]], []], 2),
        ("line_strings", [[np.zeros((3, 2))], [np.zeros((2, 2))]], 2),
        ("segmentation_maps", np.zeros((2, 4, 4, 1), bool), 2),
    ],
)
def test_each_form_needs_its_number_of_images(field, tree, images):
    check_form(field, tree, images)
    for other in (images - 1, images + 1):
        with pytest.raises(Misfit, match=f"for {other} image"):
            check_form(field, tree, other)
    with pytest.raises(Misfit, match="without images"):
        check_form(field, tree, None)


@pytest.mark.parametrize(
    ("field", "tree"),
    [
        ("keypoints", ON_IMAGE),
        ("keypoints", [ON_IMAGE, ON_IMAGE]),
        ("keypoints", []),
        ("keypoints", [[], []]),
        ("polygons", [[[]], []]),
        ("heatmaps", []),
        ("keypoints", [None]),
    ],
)
def test_objects_and_empty_lists_go_with_any_number_of_images(field, tree):
    for images in (None, 1, 5):
        check_form(field, tree, images)


@pytest.mark.parametrize(
    ("field", "tree", "where", "text"),
    [
        ("keypoints", [[[(1, 2)]]], "", "a tuple of 2 in a list of lists of lists"),
        ("keypoints", [[[]]], "", "an empty list in a list of lists"),
        ("keypoints", [[1, 2]], "", "int in a list of lists"),
        ("keypoints", (True, 2), "", "bool in a list"),
        ("keypoints", "text", "", "got str"),
        ("keypoints", POLYGON, "", "got Polygon"),
        ("bounding_boxes", (1, 2), "", "a tuple of 2"),
        ("polygons", (1, 2), "", "a tuple of 2"),
        ("heatmaps", [[]], "", "an empty list in a list"),
        ("keypoints", np.zeros((1, 2, 2), bool), "", "dtype bool"),
        ("keypoints", np.zeros((1, 2, 2), complex), "", "dtype complex"),
        ("keypoints", [np.zeros((2, 2)), np.zeros((2, 3))], "[1]", "shape (2, 3)"),
        ("polygons", [[np.zeros((2, 2))], [np.zeros((2, 2)), np.zeros(2)]], "[1][1]", "shape (2,)"),
        ("heatmaps", np.zeros((2, 4, 4, 1)), "", "dtype float64"),
        ("segmentation_maps", [np.zeros((4, 4, 1), np.uint32)], "[0]", "dtype uint32"),
        ("segmentation_maps", np.zeros((2, 4, 4), np.uint8), "", "shape (2, 4, 4)"),
    ],
)
def test_other_forms_are_refused(field, tree, where, text):
    with pytest.raises(Misfit) as caught:
        check_form(field, tree, 2)
    assert caught.value.where == where
    assert text in caught.value.message
    assert ", expected " in caught.value.message
