"""Draws what a run with `--coco` made of its images: ``python -m folders.write_sheet SRC DST SHEET [COUNT]``.

Each row is an image and its copies. Without arguments it makes docs/images/folders.jpg: a folder of three
photographs, and `augfarm run` over it.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

import augfarm.compat  # noqa: F401  before imgaug
from augfarm.client.folders.annotations import rle
from augfarm.client.folders.names import output_name
from folders.samples import command

TESTS = Path(__file__).parents[1]
#: Of the copies in the sheet, in pixels.
CELL, MARGIN = 260, 6

PIPELINE = """
from imgaug import augmenters as iaa

augmenter = iaa.Sequential([
    iaa.Fliplr(0.5),
    iaa.Affine(rotate=(-25, 25), scale=(0.8, 1.2), translate_percent=(-0.2, 0.2)),
    iaa.Multiply((0.7, 1.3)),
])
"""


def drawn(root, image, annotations):
    """The picture with its annotations, to fit a cell."""
    picture = ImageOps.exif_transpose(Image.open(root / image["file_name"])).convert("RGB")
    scale = CELL / max(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    for each in annotations:
        segmentation = each.get("segmentation")
        if isinstance(segmentation, dict):
            mask = rle.decode_rle(segmentation, tuple(segmentation["size"]))
            shade = Image.fromarray((mask * 110).astype(np.uint8)).resize(picture.size)
            picture.paste((0, 120, 255), mask=shade)
    pen = ImageDraw.Draw(picture)
    for each in annotations:
        if isinstance(each.get("segmentation"), list):
            for polygon in each["segmentation"]:
                pen.polygon([value * scale for value in polygon], outline=(255, 255, 0), width=2)
        if "bbox" in each:
            x, y, w, h = (value * scale for value in each["bbox"])
            pen.rectangle((x, y, x + w, y + h), outline=(0, 220, 80), width=2)
        marks = each.get("keypoints", [])
        for x, y, mark in zip(marks[::3], marks[1::3], marks[2::3], strict=True):
            if mark:
                x, y = x * scale, y * scale
                pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=(255, 40, 40))
    return picture


def sheet(src, dst, name, count):
    """The sheet of `count` of the images of a run, chosen at random where there are more."""
    before, after = (json.loads((root / name).read_text()) for root in (src, dst))
    copies = len(after["images"]) // len(before["images"])
    chosen = before["images"]
    if len(chosen) > count:
        chosen = random.Random(1).sample(chosen, count)
    named = {image["file_name"]: image for image in after["images"]}
    rows = []
    for image in chosen:
        row = [drawn(src, image, [a for a in before["annotations"] if a["image_id"] == image["id"]])]
        for copy in range(copies):
            made = named[output_name(image["file_name"], copy)]
            row.append(drawn(dst, made, [a for a in after["annotations"] if a["image_id"] == made["id"]]))
        rows.append(row)
    heights = [max(picture.height for picture in row) + MARGIN for row in rows]
    whole = Image.new(
        "RGB", ((copies + 1) * (CELL + MARGIN) - MARGIN, sum(heights) - MARGIN), (255, 255, 255)
    )
    for number, row in enumerate(rows):
        for place, picture in enumerate(row):
            whole.paste(picture, (place * (CELL + MARGIN), sum(heights[:number])))
    return whole


def make_photographs(root):
    """Three photographs with annotations: the one that imgaug ships has them, the others by hand."""
    import imgaug as ia
    import skimage.data

    (root / "photos").mkdir(parents=True)
    size = (322, 480)
    box = ia.quokka_bounding_boxes(size=size).bounding_boxes[0]
    polygon = ia.quokka_polygons(size=size).polygons[0].exterior
    points = [v for k in ia.quokka_keypoints(size=size).keypoints for v in (float(k.x), float(k.y), 2)]
    xywh = [float(v) for v in (box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1)]
    y, x = np.mgrid[:512, :512]
    face = ((x - 222) / 58) ** 2 + ((y - 115) / 72) ** 2 < 1
    given = {
        "quokka.jpg": (ia.quokka(size=size), [
            {"bbox": xywh, "segmentation": [polygon.ravel().tolist()], "keypoints": points}
        ]),
        "cat.jpg": (skimage.data.chelsea(), [{"bbox": [110, 20, 220, 230]}]),
        "astronaut.jpg": (skimage.data.astronaut(), [
            {"segmentation": rle.encode_rle(face, packed=True), "bbox": [164, 43, 116, 144]},
            {"bbox": [5, 170, 370, 342]},
        ]),
    }  # fmt: skip
    document = {"images": [], "annotations": []}
    for id, (name, (pixels, annotations)) in enumerate(given.items()):
        Image.fromarray(pixels).save(root / "photos" / name, quality=95)
        height, width = pixels.shape[:2]
        document["images"].append({"id": id, "file_name": f"photos/{name}", "width": width, "height": height})
        document["annotations"] += [{"image_id": id, **each} for each in annotations]
    (root / "coco.json").write_text(json.dumps(document))


def main(arguments):
    if arguments:
        src, dst, target = map(Path, arguments[:3])
        sheet(src, dst, "coco.json", int(arguments[3]) if arguments[3:] else 6).save(target)
        return
    with tempfile.TemporaryDirectory() as scratch:
        src, dst, pipeline = Path(scratch) / "src", Path(scratch) / "dst", Path(scratch) / "my_pipeline.py"
        make_photographs(src)
        pipeline.write_text(PIPELINE)
        words = (f"{pipeline}:augmenter", src, dst, "--copies", 3, "--seed", 5, "--coco", src / "coco.json")
        subprocess.run(command(*words), check=True, env=os.environ | {"AUGFARM_BROKER": ""})
        sheet(src, dst, "coco.json", 3).save(TESTS.parent / "docs" / "images" / "folders.jpg", quality=88)


if __name__ == "__main__":
    main(sys.argv[1:])
