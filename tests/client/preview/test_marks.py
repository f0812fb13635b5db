"""What is annotated on one image, in every form in which imgaug takes it."""

import imgaug as ia
import numpy as np
import pytest
from imgaug.augmentables.batches import Batch, UnnormalizedBatch
from imgaug.augmentables.heatmaps import HeatmapsOnImage
from imgaug.augmentables.lines import LineString, LineStringsOnImage
from imgaug.augmentables.polys import Polygon, PolygonsOnImage
from imgaug.augmentables.segmaps import SegmentationMapsOnImage

from augfarm.client.preview.marks import Marks, fields_of, images_of, marks_of, read_marks

SHAPE = (20, 30, 3)
IMAGE = np.zeros(SHAPE, np.uint8)
POINTS = [[(1.0, 2.0), (3.0, 4.0)], [(5.0, 6.0)]]
BOXES = [[(1.0, 2.0, 3.0, 4.0)], [(5.0, 6.0, 7.0, 8.0), (0.0, 1.0, 2.0, 3.0)]]
CURVES = [[[(1, 2), (3, 4), (5, 2)]], [[(6, 7), (8, 9), (10, 7)], [(0, 0), (1, 0), (1, 1)]]]
MAP = np.arange(2 * 4 * 5 * 1).reshape(2, 4, 5, 1)


def keypoints(points):
    return [ia.Keypoint(*point) for point in points]


def boxes(rows):
    return [ia.BoundingBox(*row) for row in rows]


def curves(kind, lists):
    return [kind(np.array(points, np.float32)) for points in lists]


def plain(marks):
    """The marks as lists, to compare."""
    return (
        marks.points,
        [(b.x1, b.y1, b.x2, b.y2) for b in marks.boxes],
        [c.points.tolist() for c in marks.polygons],
        [c.points.tolist() for c in marks.lines],
        [m.tolist() for m in marks.segments],
        [m.tolist() for m in marks.heatmaps],
    )


#: For each form a column for two images.
FORMS = {
    "arrays of points": ("keypoints", [np.array(points, np.float32) for points in POINTS]),
    "tuples": ("keypoints", POINTS),
    "Keypoints": ("keypoints", [keypoints(points) for points in POINTS]),
    "KeypointsOnImage": ("keypoints", [ia.KeypointsOnImage(keypoints(p), SHAPE) for p in POINTS]),
    "an image without points": ("keypoints", [[], POINTS[1]]),
    "arrays of boxes": ("bounding_boxes", [np.array(rows, np.float32) for rows in BOXES]),
    "tuples of four": ("bounding_boxes", BOXES),
    "BoundingBoxes": ("bounding_boxes", [boxes(rows) for rows in BOXES]),
    "BoundingBoxesOnImage": ("bounding_boxes", [ia.BoundingBoxesOnImage(boxes(r), SHAPE) for r in BOXES]),
    "one array of polygons": ("polygons", np.array([CURVES[0], CURVES[0]], np.float32)),
    "arrays of polygons": ("polygons", [np.array(lists, np.float32) for lists in CURVES]),
    "lists of arrays": ("polygons", [[np.array(p, np.float32) for p in lists] for lists in CURVES]),
    "tuples of polygons": ("polygons", CURVES),
    "Keypoints of polygons": ("polygons", [[keypoints(points) for points in lists] for lists in CURVES]),
    "Polygons": ("polygons", [curves(Polygon, lists) for lists in CURVES]),
    "PolygonsOnImage": ("polygons", [PolygonsOnImage(curves(Polygon, c), SHAPE) for c in CURVES]),
    "tuples of line strings": ("line_strings", CURVES),
    "LineStrings": ("line_strings", [curves(LineString, lists) for lists in CURVES]),
    "LineStringsOnImage": (
        "line_strings",
        [LineStringsOnImage(curves(LineString, lists), SHAPE) for lists in CURVES],
    ),
    "one array of classes": ("segmentation_maps", MAP.astype(np.int32)),
    "arrays of classes": ("segmentation_maps", list(MAP.astype(np.uint8))),
    "SegmentationMapsOnImage": (
        "segmentation_maps",
        [SegmentationMapsOnImage(each.astype(np.int32), SHAPE) for each in MAP],
    ),
    "one array of heat": ("heatmaps", (MAP / 64).astype(np.float32)),
    "HeatmapsOnImage": ("heatmaps", [HeatmapsOnImage((each / 64).astype(np.float32), SHAPE) for each in MAP]),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_reads_as_imgaug_reads_it(form):
    name, column = FORMS[form]
    batch = UnnormalizedBatch(images=[IMAGE, IMAGE], **{name: column})
    normalized = batch.to_normalized_batch()
    for number in range(2):
        expected = marks_of(fields_of(normalized), number)
        assert plain(marks_of(fields_of(batch), number)) == plain(expected)
        assert plain(expected) != plain(Marks()) or form == "an image without points"


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("keypoints", POINTS[0]),
        ("keypoints", (1.0, 2.0)),
        ("keypoints", keypoints(POINTS[0])),
        ("keypoints", ia.KeypointsOnImage(keypoints(POINTS[0]), SHAPE)),
        ("bounding_boxes", BOXES[0]),
        ("bounding_boxes", ia.BoundingBox(*BOXES[0][0])),
        ("polygons", CURVES[0][0]),
        ("polygons", CURVES[1]),
        ("polygons", Polygon(CURVES[0][0])),
    ],
)
def test_without_a_list_for_each_image_all_is_on_the_only_one(name, column):
    batch = UnnormalizedBatch(images=[IMAGE], **{name: column})
    expected = marks_of(fields_of(batch.to_normalized_batch()), 0)
    assert plain(marks_of(fields_of(batch), 0)) == plain(expected)
    assert plain(expected) != plain(Marks())
    assert plain(marks_of(fields_of(batch), 1)) == plain(Marks())


def test_labels_are_kept():
    box = ia.BoundingBox(1, 2, 3, 4, label="cat")
    polygon = Polygon(CURVES[0][0], label="dog")
    marks = read_marks(ia.BoundingBoxesOnImage([box], SHAPE), Marks())
    read_marks(PolygonsOnImage([polygon], SHAPE), marks)
    assert [marks.boxes[0].label, marks.polygons[0].label] == ["cat", "dog"]


def test_fields_of_dicts_lists_and_imgaugs_batches():
    assert list(fields_of({"images": [IMAGE], "keypoints": None, "labels": [1]})) == ["images"]
    assert list(fields_of([IMAGE])) == ["images"]
    batch = Batch(images=[IMAGE], keypoints=[ia.KeypointsOnImage([], SHAPE)])
    assert list(fields_of(batch)) == ["images", "keypoints"]
    assert fields_of(batch, "aug") == {}


def test_images_are_counted_as_imgaug_counts_them():
    assert len(images_of({"images": np.zeros((5, 6), np.uint8)})) == 1
    assert len(images_of({"images": np.zeros((5, 6, 3), np.uint8)})) == 5
    assert len(images_of({"images": [b"file", IMAGE]})) == 2


@pytest.mark.parametrize("fields", [{}, {"images": []}, {"images": np.zeros((0, 4, 4, 3), np.uint8)}])
def test_no_images_is_an_error(fields):
    with pytest.raises(ValueError, match="expected a batch with images"):
        images_of(fields)
