"""COCO's JSON."""

import io
import json

import numpy as np
import pytest
from imgaug import augmenters as iaa

from augfarm.client.folders.annotations import rle
from augfarm.client.folders.annotations.bundle import AnnotationError
from augfarm.client.folders.annotations.coco import Coco
from folders.through import through

MASK = np.zeros((60, 80), bool)
MASK[10:30, 20:50] = True
MASK[15, 25] = False
OVER = np.zeros((60, 80), bool)
OVER[20:40, 10:30] = True

IMAGE = {"id": 17, "file_name": "a.png", "width": 80, "height": 60, "license": 3}
BOX = {"id": 5, "image_id": 17, "category_id": 1, "bbox": [10.123, 20, 30.5, 20], "area": 305.0, "iscrowd": 0}
POLYGONS = {
    "id": 6,
    "image_id": 17,
    "category_id": 2,
    "segmentation": [[10.25, 10, 30, 10, 10, 40], [40, 40, 60, 40, 60, 50, 40, 50]],
    "bbox": [10, 10, 50, 40],
    "area": 500,
    "attributes": {"mine": [1]},
}
RUNS = {
    "id": 8,
    "image_id": 17,
    "segmentation": rle.encode_rle(MASK, packed=False),
    "bbox": [20, 10, 30, 20],
    "iscrowd": 1,
}
PACKED = {"id": 9, "image_id": 17, "segmentation": rle.encode_rle(OVER, packed=True), "area": 400}
POSE = {
    "id": 10,
    "image_id": 17,
    "keypoints": [15, 25, 2, 0, 0, 0, 35.5, 30, 1],
    "num_keypoints": 2,
    "bbox": [10, 20, 30, 20],
}
ALL = [BOX, POLYGONS, RUNS, PACKED, POSE]


def form(folder, annotations=ALL, copies=1, min_visible=0.0, images=(IMAGE,), **rest):
    (folder / "c.json").write_text(
        json.dumps({"images": list(images), "annotations": list(annotations), **rest})
    )
    return Coco(str(folder / "c.json"), "c.json", copies, min_visible)


def written(made, later):
    sink = io.BytesIO()
    made.fill(lambda: iter(later), sink)
    return json.loads(sink.getvalue())


def annotations(folder, augmenter, given=ALL, **options):
    return through(form(folder, given, **options), augmenter).later[1]


def test_an_identity_changes_the_name_alone(tmp_path):
    rest = {"info": {"year": 2017}, "categories": [{"id": 1, "name": "cät"}]}
    made = form(tmp_path, **rest)
    result = written(made, [through(made, iaa.Multiply(0.5)).later])
    expected = {**rest, "images": [{**IMAGE, "file_name": "a_aug0000.png"}], "annotations": ALL}
    assert result == expected


def test_copies_are_numbered_anew(tmp_path):
    made = form(tmp_path, copies=2)
    later = [through(made, iaa.Identity(), copy=copy, output=f"{copy}.png").later for copy in (0, 1)]
    result = written(made, later)
    assert [image["id"] for image in result["images"]] == [1, 2]
    assert [each["id"] for each in result["annotations"]] == list(range(1, 11))
    assert [each["image_id"] for each in result["annotations"]] == [1] * 5 + [2] * 5


def test_no_images_are_a_valid_file(tmp_path):
    assert written(form(tmp_path), []) == {"images": [], "annotations": []}


def test_all_shapes_are_mirrored(tmp_path):
    box, polygons, runs, packed, pose = annotations(tmp_path, iaa.Fliplr(1.0))
    assert box["bbox"] == [39.38, 20, 30.5, 20]
    assert box["area"] == 305
    assert polygons["segmentation"] == [
        [69.75, 10, 50, 10, 70, 40],
        [40, 40, 20, 40, 20, 50, 40, 50],
    ]
    assert polygons["bbox"] == [20, 10, 50, 40]
    assert polygons["attributes"] == {"mine": [1]}
    assert isinstance(runs["segmentation"]["counts"], list)
    np.testing.assert_array_equal(rle.decode_rle(runs["segmentation"], (60, 80)), MASK[:, ::-1])
    np.testing.assert_array_equal(rle.decode_rle(packed["segmentation"], (60, 80)), OVER[:, ::-1])
    assert "bbox" not in packed
    assert (runs["bbox"], runs["iscrowd"]) == ([30, 10, 30, 20], 1)
    assert pose["keypoints"] == [65, 25, 2, 0, 0, 0, 44.5, 30, 1]
    assert pose["num_keypoints"] == 2


def test_what_sticks_out_is_clipped(tmp_path):
    box, polygons, runs, packed, pose = annotations(tmp_path, iaa.Affine(translate_px={"x": -20}))
    assert box["bbox"] == [0, 20, 20.62, 20]
    assert box["area"] == pytest.approx(305 * 20.62 / 30.5, abs=0.2)
    assert polygons["segmentation"][1] == [20, 40, 40, 40, 40, 50, 20, 50]
    assert polygons["bbox"][0] == 0
    assert polygons["area"] < 500
    assert runs["area"] == MASK[:, 20:].sum()
    assert runs["bbox"] == [0, 10, 30, 20]
    assert packed["area"] == OVER[:, 20:].sum()
    assert pose["keypoints"] == [0, 0, 0, 0, 0, 0, 15.5, 30, 1]
    assert pose["num_keypoints"] == 1


def test_what_is_left_too_little_of_is_dropped(tmp_path):
    left = iaa.Affine(translate_px={"x": -30})
    assert [each["id"] for each in annotations(tmp_path, left)] == [5, 6, 8, 10]
    assert [each["id"] for each in annotations(tmp_path, left, min_visible=0.5)] == [8]
    assert annotations(tmp_path, iaa.Affine(translate_px={"x": -90})) == []


def test_the_size_is_that_of_the_new_image(tmp_path):
    made = form(tmp_path, [RUNS, PACKED])
    image, objects = through(made, iaa.Crop(px=(0, 40, 20, 0), keep_size=False)).later
    assert (image["width"], image["height"]) == (40, 40)
    np.testing.assert_array_equal(rle.decode_rle(objects[0]["segmentation"], (40, 40)), MASK[:40, :40])
    np.testing.assert_array_equal(rle.decode_rle(objects[1]["segmentation"], (40, 40)), OVER[:40, :40])


def test_masks_of_other_forms_are_not_taken_for_its_own(tmp_path):
    later = through(form(tmp_path), iaa.Fliplr(1.0), maps=2).later
    assert later == through(form(tmp_path), iaa.Fliplr(1.0)).later


def test_an_image_that_it_does_not_name_is_not_in_it(tmp_path):
    assert through(form(tmp_path), iaa.Identity(), path="b.png") is None
    assert form(tmp_path).missing(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    "mask", [MASK, ~MASK, np.zeros_like(MASK), np.ones_like(MASK)], ids=["some", "inverse", "none", "all"]
)
@pytest.mark.parametrize("packed", [True, False])
def test_masks_come_back_as_they_were(mask, packed):
    coded = json.loads(json.dumps(rle.encode_rle(mask, packed=packed)))
    assert rle.needs_pycocotools(coded) is packed
    np.testing.assert_array_equal(rle.decode_rle(coded, (60, 80)), mask)


def test_both_codings_agree():
    from pycocotools import mask as masks

    plain, packed = (rle.encode_rle(MASK, packed=packed) for packed in (False, True))
    assert masks.frPyObjects(plain, 60, 80)["counts"].decode() == packed["counts"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"segmentation": [[1, 2, 3, 4]]}, "annotation 5: a polygon of 4 numbers"),
        ({"segmentation": {"size": [80, 60], "counts": [4800]}}, "a mask whose size is"),
        ({"segmentation": {"size": [60, 80], "counts": [1, 2]}}, "runs do not fill 60x80"),
        ({"segmentation": {"counts": [4800]}}, "a mask whose size is None"),
        ({"keypoints": [1, 2]}, "keypoints of 2 numbers"),
        ({"bbox": [1, 2]}, "annotation 5"),
        ({"bbox": ["x", 1, 1, 1]}, "annotation 5"),
    ],
)
def test_bad_annotations_are_named(tmp_path, change, text):
    with pytest.raises(AnnotationError, match=text):
        through(form(tmp_path, [{**BOX, **change}]), iaa.Identity())


def test_an_image_of_another_size_is_named(tmp_path):
    with pytest.raises(AnnotationError, match="says 80x60, and the image is 60x80 when it stands upright"):
        through(form(tmp_path), iaa.Identity(), size=(80, 60))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is no JSON"),
        ("[]", "has no list 'images'"),
        ('{"images": []}', "has no list 'annotations'"),
        ('{"images": [{"id": 1}], "annotations": []}', r"images\[0\] has no id or no file_name"),
        ('{"images": [], "annotations": [{"image_id": 1}]}', r"annotations\[0\] has no image_id"),
        (
            '{"images": [{"id": 1, "file_name": "a"}, {"id": 2, "file_name": "./a"}], "annotations": []}',
            "two images have the file_name a",
        ),
    ],
)
def test_bad_files_are_named_before_work_begins(tmp_path, text, expected):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ValueError, match=expected):
        Coco(str(tmp_path / "c.json"), "c.json", 1, 0.0)
    with pytest.raises(ValueError, match="cannot be read"):
        Coco(str(tmp_path / "none.json"), "c.json", 1, 0.0)


def test_packed_masks_say_what_they_need(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pycocotools.mask", None)
    with pytest.raises(ValueError, match=r"need pycocotools: pip install 'augfarm\[annotations\]'"):
        form(tmp_path)
    form(tmp_path, [BOX, RUNS])
