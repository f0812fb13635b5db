"""`augfarm run` with annotations of all forms at once."""

import io
import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

from augfarm.client.folders.annotations import rle
from folders.samples import files_of, photograph

VOC = (
    "<annotation><filename>{name}</filename><size><width>{w}</width><height>{h}</height><depth>3</depth></size>"
    "<object><name>cat</name><bndbox><xmin>11</xmin><ymin>11</ymin><xmax>30</xmax><ymax>30</ymax></bndbox>"
    "</object></annotation>\n"
)


def coco_of(images):
    mask = np.zeros((60, 80), bool)
    mask[10:30, 10:30] = True
    shapes = (
        {"bbox": [10, 10, 20, 20], "area": 400},
        {"segmentation": [[10, 10, 30, 10, 30, 30]], "bbox": [10, 10, 20, 20], "area": 200},
        {"segmentation": rle.encode_rle(mask, packed=True), "area": 400},
        {"keypoints": [15, 25, 2, 0, 0, 0], "num_keypoints": 1, "bbox": [10, 10, 20, 20]},
    )
    annotations = [
        {"id": 10 * image + number, "image_id": image, "category_id": 1, **shape}
        for image in range(len(images))
        for number, shape in enumerate(shapes)
    ]
    listed = [
        {"id": number, "file_name": f"images/{name}", "width": 80, "height": 60}
        for number, name in enumerate(images)
    ]
    return {"images": listed, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}


@pytest.fixture
def dataset(tmp_path):
    """images, labels, Annotations and masks side by side, and a JSON file."""
    root = tmp_path / "data"
    names = [f"{number}.png" for number in range(5)]
    for folder in ("images", "labels", "Annotations", "masks"):
        (root / folder).mkdir(parents=True)
    for number, name in enumerate(names):
        photo = np.roll(photograph((60, 80)), number, axis=1)
        Image.fromarray(photo).save(root / "images" / name)
        (root / "labels" / f"{number}.txt").write_text("0 0.25 0.5 0.25 0.5\n1 0.1 0.1 0.3 0.1 0.3 0.5\n")
        (root / "Annotations" / f"{number}.xml").write_text(VOC.format(name=name, w=80, h=60))
        Image.fromarray((photo[..., 0] > 128).astype(np.uint8) * 7).save(root / "masks" / name)
    (root / "coco.json").write_text(json.dumps(coco_of(names)))
    return root


def forms(root):
    return (
        *("--coco", root / "coco.json"),
        *("--yolo", root / "labels"),
        *("--voc", root / "Annotations"),
        *("--masks", root / "masks"),
    )


def test_an_identity_changes_names_alone(dataset, tmp_path, augfarm_run):
    done = augfarm_run(dataset, tmp_path / "dst", *forms(dataset), name="identity")
    assert "5 images in" in done.stdout
    before, after = files_of(dataset), files_of(tmp_path / "dst")
    assert len(after) == len(before)
    for number in range(5):
        for folder, suffix in (("labels", "txt"), ("masks", "png"), ("Annotations", "xml")):
            was, now = before[f"{folder}/{number}.{suffix}"], after[f"{folder}/{number}_aug0000.{suffix}"]
            assert now == was.replace(f"{number}.png".encode(), f"{number}_aug0000.png".encode())
    coco = json.loads(before["coco.json"])
    for image in coco["images"]:
        image["file_name"] = image["file_name"].replace(".png", "_aug0000.png")
    assert json.loads(after["coco.json"]) == coco


def test_all_forms_say_the_same_of_a_copy(dataset, tmp_path, augfarm_run, pipeline):
    pipeline.write_text(pipeline.read_text() + "\nflips = iaa.Fliplr(0.5)\n")
    augfarm_run(dataset, tmp_path / "dst", *forms(dataset), "--copies", 3, "--seed", 4, name="flips")
    after = files_of(tmp_path / "dst")
    coco = json.loads(after["coco.json"])
    assert len(coco["images"]) == 15
    flipped = 0
    for image in coco["images"]:
        stem = image["file_name"].removeprefix("images/").removesuffix(".png")
        source = np.asarray(Image.open(dataset / "images" / f"{stem[0]}.png"))
        pixels = np.asarray(Image.open(io.BytesIO(after[image["file_name"]])))
        mask = np.asarray(Image.open(io.BytesIO(after[f"masks/{stem}.png"])))
        given = [each for each in coco["annotations"] if each["image_id"] == image["id"]]
        voc, yolo = after[f"Annotations/{stem}.xml"].decode(), after[f"labels/{stem}.txt"].decode()
        assert np.array_equal(mask > 0, pixels[..., 0] > 128)
        if np.array_equal(pixels, source):
            assert [each.get("bbox") for each in given][:2] == [[10, 10, 20, 20]] * 2
            assert "<xmin>11</xmin>" in voc
            assert yolo.startswith("0 0.25 0.5 0.25 0.5\n")
        else:
            flipped += 1
            assert np.array_equal(pixels, source[:, ::-1])
            assert [each.get("bbox") for each in given][:2] == [[50, 10, 20, 20]] * 2
            assert given[3]["keypoints"] == [65, 25, 2, 0, 0, 0]
            assert rle.decode_rle(given[2]["segmentation"], (60, 80))[10:30, 50:70].sum() == 400
            assert "<xmin>51</xmin>" in voc
            assert yolo.startswith("0 0.750000 0.500000 0.250000 0.500000\n")
    assert 0 < flipped < 15


def test_annotations_go_on_where_a_run_was_stopped(dataset, tmp_path, augfarm_run, monkeypatch):
    from augfarm.client.folders.job import Job

    options = (*forms(dataset), "--copies", 3, "--seed", 4, "--batch-size", 2)
    take = Job.take
    taken = []

    def stop(job, result):
        taken.append(result)
        if len(taken) == 4:
            raise KeyboardInterrupt
        return take(job, result)

    with monkeypatch.context() as patch:
        patch.setattr(Job, "take", stop)
        augfarm_run(dataset, tmp_path / "dst", *options, code=130)
    assert "coco.json" not in files_of(tmp_path / "dst")
    next((tmp_path / "dst" / "labels").iterdir()).unlink()
    augfarm_run(dataset, tmp_path / "dst", *options, "--resume")
    augfarm_run(dataset, tmp_path / "whole", *options)
    assert files_of(tmp_path / "dst") == files_of(tmp_path / "whole")
    augfarm_run(dataset, tmp_path / "dst", *options, "--resume")
    assert files_of(tmp_path / "dst") == files_of(tmp_path / "whole")


def test_an_image_that_lies_on_its_side_is_annotated_upright(dataset, tmp_path, augfarm_run):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(photograph((60, 80)))).save(dataset / "images" / "0.png", exif=exif)
    augfarm_run(dataset, tmp_path / "dst", *forms(dataset), name="identity")
    after = files_of(tmp_path / "dst")
    assert Image.open(io.BytesIO(after["images/0_aug0000.png"])).size == (80, 60)


def test_annotations_that_cannot_be_used_are_listed(dataset, tmp_path, augfarm_run):
    (dataset / "labels" / "1.txt").write_text("hello\n")
    (dataset / "Annotations" / "2.xml").write_text("<annotation>")
    (dataset / "masks" / "3.png").write_bytes(b"")
    done = augfarm_run(dataset, tmp_path / "dst", *forms(dataset), code=1)
    for text in (
        "1.png: .*1.txt, line 1: 1 words",
        "2.png: .*2.xml: ",
        "3.png: .*3.png cannot be used as a mask",
    ):
        assert re.search(text, done.stdout), text
    after = files_of(tmp_path / "dst")
    assert "images/0_aug0000.png" in after
    assert "images/1_aug0000.png" not in after
    assert len(json.loads(after["coco.json"])["images"]) == 2


def test_a_pipeline_that_removes_objects_says_what_to_do(dataset, tmp_path, augfarm_run, pipeline):
    pipeline.write_text(
        pipeline.read_text() + "\nremoves = iaa.Sequential([iaa.Affine(translate_px={'x': -200}),"
        " iaa.RemoveCBAsByOutOfImageFraction(0.1)])\n"
    )
    done = augfarm_run(dataset, tmp_path / "dst", "--voc", dataset / "Annotations", name="removes", code=1)
    assert "the pipeline gave 0 boxes for 1: augmenters that remove some cannot be used here" in done.stdout


def test_what_the_json_names_and_src_lacks_is_said_at_once(dataset, tmp_path, augfarm_run):
    (dataset / "images" / "4.png").unlink()
    done = augfarm_run(dataset, tmp_path / "dst", "--coco", dataset / "coco.json")
    assert "names an image that SRC does not have, such as images/4.png" in done.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--yolo", "none"), "--yolo none is no folder"),
        (("--yolo-keypoints", "17,3"), "--yolo-keypoints is for --yolo"),
        (("--yolo", "labels", "--yolo-keypoints", "17"), "expected --yolo-keypoints to be K,2 or K,3"),
        (("--masks", "."), "masks need a folder of their own"),
        (("--coco", "images/0.png"), "is no JSON"),
        (("--min-visible", "1.5"), "--min-visible"),
    ],
)
def test_options_that_make_no_sense_are_named(dataset, tmp_path, augfarm_run, monkeypatch, options, text):
    monkeypatch.chdir(dataset)
    assert text in augfarm_run(dataset, tmp_path / "dst", *options, code=2).stderr
    assert not files_of(tmp_path / "dst")


def test_anothers_json_in_dst_is_noticed_before_work_begins(dataset, tmp_path, augfarm_run):
    (tmp_path / "dst").mkdir()
    (tmp_path / "dst" / "coco.json").write_text("mine")
    done = augfarm_run(dataset, tmp_path / "dst", "--coco", dataset / "coco.json", code=2)
    assert "coco.json is in DST already, and not of this run" in done.stderr
    assert files_of(tmp_path / "dst") == {"coco.json": b"mine"}


def test_annotations_need_pillow_and_say_so(dataset, tmp_path, augfarm_run, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "PIL" else sys)
    done = augfarm_run(dataset, tmp_path / "dst", "--voc", dataset / "Annotations", code=2)
    assert "annotations need Pillow here: pip install 'augfarm[annotations]'" in done.stderr
