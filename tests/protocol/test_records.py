from collections import deque

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import numpy as np
import pytest
from imgaug.augmentables import (
    BoundingBox,
    BoundingBoxesOnImage,
    HeatmapsOnImage,
    Keypoint,
    KeypointsOnImage,
    LineString,
    LineStringsOnImage,
    Polygon,
    PolygonsOnImage,
    SegmentationMapsOnImage,
)

from augfarm.protocol import limits
from augfarm.protocol.codec import Record, decode_body, encode_body
from augfarm.protocol.records import Misfit, Records, describe, item_name

SHAPE = (20, 30, 3)
POINTS = np.float32([[1, 2], [8, 3], [4, 9]])


def again(value):
    """The value after the wire."""
    frames = encode_body(Records().to_tree(value), frame_bytes=1 << 18)
    return Records().from_tree(decode_body([bytes(frame) for frame in frames]))


def assert_state(got, expected):
    assert type(got) is type(expected)
    if hasattr(expected, "__dict__") and type(expected).__module__.startswith("imgaug"):
        assert vars(got).keys() == vars(expected).keys()
        for name, value in vars(expected).items():
            assert_state(vars(got)[name], value)
    elif isinstance(expected, (list, tuple)):
        assert len(got) == len(expected)
        for mine, theirs in zip(got, expected, strict=True):
            assert_state(mine, theirs)
    elif isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    else:
        assert got == expected


@pytest.mark.parametrize(
    "value",
    [
        Keypoint(1, 2.5),
        Keypoint(np.float32(1.25), np.int64(-3)),
        BoundingBox(1, 2, 3.5, np.float64(4), label="dog"),
        Polygon(POINTS, label=None),
        LineString(POINTS, label=[1, ("a", b"b"), {"c": None}]),
        KeypointsOnImage([Keypoint(1, 2), Keypoint(3, 4)], SHAPE),
        KeypointsOnImage((Keypoint(1, 2),), SHAPE),
        KeypointsOnImage([], (np.int64(4), 5)),
        BoundingBoxesOnImage([BoundingBox(1, 2, 3, 4, label=np.str_("cat"))], SHAPE),
        PolygonsOnImage([Polygon(POINTS), Polygon(POINTS + 1, label=3)], SHAPE),
        LineStringsOnImage([LineString(POINTS)], SHAPE),
        HeatmapsOnImage(np.float32([[0, 1], [0.5, 0.25]]), SHAPE),
        HeatmapsOnImage(np.float32([[[-3], [5]]]), SHAPE, min_value=-5, max_value=np.float32(5)),
        SegmentationMapsOnImage(np.uint8([[0, 1], [2, 3]]), SHAPE),
        SegmentationMapsOnImage(np.array([[[True, False]]]), SHAPE),
        [Keypoint(1, 2), Keypoint(3.5, 4)],
        [Keypoint(np.float32(1), 2), Keypoint(np.float32(3), 4)],
        [Keypoint(np.float32(1), 2), Keypoint(np.float64(3), 4)],
        [BoundingBox(1, 2, 3, 4, label=("a",)), BoundingBox(1, 2, 3, 4)],
        [Polygon(POINTS, label="a"), Polygon(POINTS[:2])],
        [Keypoint(1, 2), BoundingBox(1, 2, 3, 4)],
        np.str_("text"),
        np.dtype(">i2"),
        [None, True, 1, 2**80, 0.5, "a", b"b", (1, (2,)), {"c": [np.bool_(True)]}],
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)
def test_the_whole_state_comes_back(value):
    assert_state(again(value), value)


def test_an_object_is_rebuilt_without_its_constructor():
    box = BoundingBox(1, 2, 3, 4)
    box.x1 = 10  # the constructor would exchange x1 and x2
    assert again(box).x1 == 10
    assert again([box, box])[1].x1 == 10
    polygon = Polygon(POINTS)
    polygon.exterior = np.concatenate([POINTS, POINTS[:1]])  # the constructor would open it
    assert len(again(polygon).exterior) == 4


def test_many_items_are_one_record():
    tree = Records().to_tree([Keypoint(np.float32(x), x) for x in range(9)])
    name, xs, ys = tree.values
    assert (tree.name, name) == ("list", "Keypoint")
    assert xs.dtype == np.float32
    assert ys == list(range(9))
    assert item_name(tree) == "Keypoint"
    assert item_name(Record("list", ())) is None
    assert item_name([]) is None


def test_sequences_that_imgaug_reads_like_lists_become_lists():
    class Point(tuple):
        __slots__ = ()

    assert Records().to_tree(deque([Point((1, 2))])) == [(1, 2)]
    assert type(Records().to_tree(Point((1, 2)))) is tuple


def test_arrays_are_not_copied():
    assert Records().to_tree(POINTS) is POINTS
    assert Records().from_tree(POINTS) is POINTS


class MyBox(BoundingBox):
    pass


@pytest.mark.parametrize(
    ("value", "where", "text"),
    [
        (MyBox(1, 2, 3, 4), "", "a subclass of imgaug's BoundingBox"),
        ([[], {"a": (object(),)}], "[1]['a'][0]", "got object"),
        (np.longdouble(1), "", f"numpy.{np.longdouble.__name__}"),
        (np.zeros(2, "M8[s]"), "", "dtype datetime64"),
        (np.dtype(object), "", "dtype object"),
        (KeypointsOnImage([Keypoint(1, 2), Keypoint(None, 2)], SHAPE), ".keypoints[1].x", "a number"),
        (KeypointsOnImage(None, SHAPE), ".keypoints", "a list of imgaug's Keypoint"),
        ([BoundingBox(1, 2, 3, 4), BoundingBox(1, 2, 3, 4, object())], "[1].label", "got object"),
        ([Polygon(POINTS, label="x" * (limits.MAX_TEXT_LENGTH + 1))], "[0].label", "65536"),
        ([Polygon(POINTS, label=BoundingBox(1, 2, 3, 4))], "[0].label", "text of at most"),
    ],
)
def test_what_cannot_travel_is_named(value, where, text):
    with pytest.raises(Misfit) as caught:
        Records().to_tree(value)
    assert caught.value.where == where
    assert text in caught.value.message


def test_an_object_without_its_attributes_is_named():
    with pytest.raises(Misfit) as caught:
        Records().to_tree(Keypoint.__new__(Keypoint))
    assert caught.value.where == ".x"


def test_lists_beyond_the_limit_are_refused(monkeypatch):
    monkeypatch.setattr(limits, "MAX_LIST_ITEMS", 3)
    for value in ([0] * 4, [Keypoint(1, 2)] * 4):
        with pytest.raises(Misfit, match="4 items"):
            Records().to_tree(value)


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def test_depth_is_limited_both_ways():
    records = Records()
    assert records.from_tree(records.to_tree(nested(31))) == nested(31)
    for convert in (records.to_tree, records.from_tree):
        with pytest.raises(Misfit, match="nested more"):
            convert(nested(32))
    for tree in (
        Record("Polygon", (POINTS, nested(900))),
        Record("list", ("Polygon", [POINTS], [nested(900)])),
    ):
        with pytest.raises(Misfit, match="nested more"):
            records.from_tree(tree)


@pytest.mark.parametrize(
    "record",
    [
        Record("Augmenter", ()),
        Record("Keypoint", (1,)),
        Record("Keypoint", (1, 2, 3)),
        Record("Keypoint", (1, "2")),
        Record("Keypoint", (1, np.complex64(2))),
        Record("KeypointsOnImage", ([1], SHAPE)),
        Record("KeypointsOnImage", ([Record("BoundingBox", (1, 2, 3, 4, None))], SHAPE)),
        Record("KeypointsOnImage", (Record("list", ("BoundingBox", [], [], [], [], [])), SHAPE)),
        Record("KeypointsOnImage", ([], "shape")),
        Record("KeypointsOnImage", ([], (1,) * 33)),
        Record("Polygon", (POINTS[..., :1], None)),
        Record("Polygon", (POINTS[0], None)),
        Record("Polygon", (POINTS.tolist(), None)),
        Record("Polygon", (POINTS, Record("Keypoint", (1, 2)))),
        Record("Polygon", (POINTS, {b"a": 1})),
        Record("HeatmapsOnImage", (POINTS, SHAPE, 0.0, 1.0, False)),
        Record("HeatmapsOnImage", (POINTS[..., None], SHAPE, 0.0, 1.0, 1)),
        Record(
            "SegmentationMapsOnImage", (np.zeros((1, 1, 1), np.int32), SHAPE, (Record("dtype", ("|u1",)), 9))
        ),
        Record("SegmentationMapsOnImage", (np.zeros((1, 1, 1), np.int32), SHAPE, ("|u1", 2))),
        Record("dtype", ("O",)),
        Record("dtype", ("|V1000000000",)),
        Record("dtype", (["<f4"],)),
        Record("str_", (b"x",)),
        Record("list", ()),
        Record("list", (["Keypoint"], [1], [2])),
        Record("list", ("KeypointsOnImage", [[]], [SHAPE])),
        Record("list", ("Keypoint", [1])),
        Record("list", ("Keypoint", [1], [2, 3])),
        Record("list", ("Keypoint", [1], ["2"])),
        Record("list", ("Keypoint", [1], POINTS)),
        Record("list", ("Keypoint", [1], 2)),
        Record("list", ("Keypoint", [1j], [1])),
        Record("list", ("Polygon", POINTS, [None])),
    ],
    ids=repr,
)
def test_a_peers_record_is_checked(record):
    with pytest.raises(Misfit):
        Records().from_tree([record])


def test_a_place_is_named_on_the_way_back():
    with pytest.raises(Misfit) as caught:
        Records().from_tree([[], [Record("KeypointsOnImage", ([Record("Keypoint", ("x", 1))], SHAPE))]])
    assert caught.value.where == "[1][0].keypoints[0].x"


def test_without_imgaug_its_records_are_refused(monkeypatch):
    for module in ("kps", "polys"):
        monkeypatch.delitem(__import__("sys").modules, f"imgaug.augmentables.{module}")
    records = Records()
    for record in (Record("Keypoint", (1, 2)), Record("list", ("Keypoint", [1], [2]))):
        with pytest.raises(Misfit, match="imgaug is not imported"):
            records.from_tree(record)
    with pytest.raises(Misfit, match=r"got imgaug\.augmentables\.kps\.Keypoint"):
        records.to_tree(Keypoint(1, 2))


def test_types_in_words():
    assert describe(1) == "int"
    assert describe(Keypoint(1, 2)) == "imgaug.augmentables.kps.Keypoint"
    assert describe(POINTS) == "an array of shape (3, 2) and dtype float32"


def test_a_column_that_many_lists_name_does_not_multiply() -> None:
    """An array may stand in a tree as often as a peer likes, at no cost in bytes."""
    column = np.zeros(limits.MAX_LIST_ITEMS // 2 + 1, np.float32)
    record = Record("list", ("Keypoint", column, column))
    records = Records()
    records.from_tree(record)
    with pytest.raises(Misfit, match="items"):
        records.from_tree(record)
