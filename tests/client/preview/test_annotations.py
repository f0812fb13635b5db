"""Annotations of single images, from files of the forms that `augfarm run` reads."""

import json

import numpy as np
import pytest
from PIL import Image

from augfarm.client.preview.annotations import Annotations
from augfarm.client.preview.marks import labelled, marks_of
from augfarm.client.preview.pictures import read_batch

VOC = """<annotation>
<object><name>cat</name><bndbox><xmin>11</xmin><ymin>6</ymin><xmax>20</xmax><ymax>15</ymax></bndbox>
<part><name>ear</name><bndbox><xmin>12</xmin><ymin>7</ymin><xmax>13</xmax><ymax>8</ymax></bndbox></part>
</object></annotation>"""
COCO = {
    "images": [{"id": 7, "file_name": "train/cat.png", "width": 40, "height": 20}],
    "categories": [{"id": 3, "name": "cat"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 5, 10, 10],
         "segmentation": [[10, 5, 20, 5, 20, 15]], "keypoints": [12, 6, 2, 0, 0, 0]},
        {"id": 2, "image_id": 7, "category_id": 9, "bbox": [0, 0, 2, 2]},
    ],
}  # fmt: skip


@pytest.fixture
def cat(tmp_path):
    """An image in a data set of the usual folders, with a file of each form."""
    for folder in ("images/train", "labels/train", "voc/train", "masks/train"):
        (tmp_path / folder).mkdir(parents=True)
    Image.new("RGB", (40, 20)).save(tmp_path / "images/train/cat.png")
    (tmp_path / "coco.json").write_text(json.dumps(COCO))
    (tmp_path / "labels/train/cat.txt").write_text("2 0.375 0.5 0.25 0.5\n5 0.1 0.1 0.5 0.1 0.5 0.5\n")
    (tmp_path / "voc/train/cat.xml").write_text(VOC)
    mask = np.zeros((20, 40), np.uint8)
    mask[5:15, 10:20] = 4
    Image.fromarray(mask).save(tmp_path / "masks/train/cat.png")
    return tmp_path / "images/train/cat.png"


def marks(cat, **named):
    opened = read_batch(str(cat), Annotations(**named))
    return labelled(marks_of(opened.batch, 0), opened.labels)


def boxes(found):
    return [(b.x1, b.y1, b.x2, b.y2, b.label) for b in found.boxes]


def test_coco_with_the_names_of_its_categories(cat):
    found = marks(cat, coco=str(cat.parents[2] / "coco.json"))
    assert boxes(found) == [(10, 5, 20, 15, "cat"), (0, 0, 2, 2, 9)]
    assert [polygon.label for polygon in found.polygons] == ["cat"]
    assert found.points == [(12, 6)]


@pytest.mark.parametrize("folder", ["labels", "labels/train"])
def test_yolo_with_the_numbers_of_its_classes_from_both_folders(cat, folder):
    found = marks(cat, yolo=str(cat.parents[2] / folder))
    assert boxes(found) == [(10, 5, 20, 15, "2")]
    assert [polygon.label for polygon in found.polygons] == ["5"]


def test_voc_with_the_names_of_objects_and_their_parts(cat):
    found = marks(cat, voc=str(cat.parents[2] / "voc"))
    assert boxes(found) == [(10, 5, 20, 15, "cat"), (11, 6, 13, 8, "ear")]


def test_masks_and_all_of_them_together(cat):
    root = cat.parents[2]
    named = {"coco": str(root / "coco.json"), "yolo": str(root / "labels"), "voc": str(root / "voc")}
    found = marks(cat, **named, masks=[str(root / "masks")])
    assert [label for *_, label in boxes(found)] == ["cat", 9, "2", "cat", "ear"]
    (mask,) = found.segments
    assert mask[10, 15, 0] != 0
    assert mask[2, 2, 0] == 0


def test_an_image_of_which_nothing_is_known_is_an_error(cat):
    other = cat.with_name("dog.png")
    other.write_bytes(cat.read_bytes())
    with pytest.raises(ValueError, match=r"dog\.png: nothing is annotated on it"):
        marks(other, yolo=str(cat.parents[2] / "labels"))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"yolo": "nowhere"}, "--yolo nowhere is no folder"),
        ({"masks": ["nowhere"]}, "--masks nowhere is no folder"),
        ({"yolo_keypoints": "3,2"}, "--yolo-keypoints is for --yolo"),
        ({"yolo": ".", "yolo_keypoints": "x"}, "expected --yolo-keypoints to be K,2 or K,3"),
        ({"coco": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_annotations_that_cannot_be_used_are_named(named, message):
    with pytest.raises(ValueError, match=message):
        Annotations(**named)
