"""A data set of mixed real photographs and made images in nested folders, with COCO and YOLO annotations."""

import functools
import json
from pathlib import Path

import numpy as np
from PIL import Image

from augfarm.client.folders.annotations import rle

#: Photographs and scans that scikit-image ships.
PHOTOGRAPHS = (
    "astronaut", "brick", "camera", "cell", "chelsea", "coffee", "coins", "grass", "gravel",
    "hubble_deep_field", "ihc", "moon", "motorcycle_left", "page", "retina", "rocket", "text",
)  # fmt: skip
#: Suffix, how it is saved, and how often among a hundred.
KINDS = (
    (".jpg", {}, 55),
    (".png", {}, 18),
    (".webp", {"quality": 90}, 10),
    (".bmp", {}, 5),
    (".tif", {"compression": "tiff_lzw"}, 5),
    (".png", {"kind": "palette"}, 3),
    (".png", {"kind": "alpha"}, 2),
    (".jpg", {"kind": "lying"}, 2),
)


@functools.cache
def photograph(name):
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    (path,) = [path for path in folder.iterdir() if path.stem == name]
    return Image.open(path).convert("RGB")


def made(rng, size):
    """Shapes and gradients."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    waves = np.sin(x / rng.uniform(4, 30) + rng.uniform(0, 6)) + np.cos(y / rng.uniform(4, 30))
    channels = [(waves * rng.uniform(20, 60) + rng.uniform(60, 190)).clip(0, 255) for _ in range(3)]
    pixels = np.dstack(channels).astype(np.uint8)
    top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
    pixels[top : top + height // 3, left : left + width // 3] = rng.integers(0, 255, 3)
    return Image.fromarray(pixels)


def draw(rng, size):
    """A crop of a photograph, or a made image, of (H,W); some are grey."""
    if rng.random() < 0.2:
        return made(rng, size)
    whole = photograph(PHOTOGRAPHS[rng.integers(len(PHOTOGRAPHS))])
    height, width = min(size[0], whole.height), min(size[1], whole.width)
    top, left = rng.integers(0, whole.height - height + 1), rng.integers(0, whole.width - width + 1)
    crop = whole.crop((left, top, left + width, top + height))
    return crop.convert("L") if rng.random() < 0.1 else crop


def save(image, path, rng, options):
    options = dict(options)
    kind = options.pop("kind", "")
    if kind == "palette":
        image = image.convert("RGB").quantize(64)
    elif kind == "alpha":
        image = image.convert("RGB")
        image.putalpha(
            Image.fromarray(np.linspace(0, 255, image.width, dtype=np.uint8)[None].repeat(image.height, 0))
        )
    elif kind == "lying":
        exif = Image.Exif()
        exif[0x0112] = 6
        image, options = image.transpose(Image.Transpose.ROTATE_90), {"exif": exif}
    image.save(path, **options)


def shapes(rng, width, height):
    """One to four objects: boxes, polygons, run-length masks and keypoints."""
    found = []
    for number in range(rng.integers(1, 5)):
        w, h = rng.uniform(0.15, 0.6) * width, rng.uniform(0.15, 0.6) * height
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        box = [round(float(v), 2) for v in (x, y, w, h)]
        each = {
            "category_id": int(rng.integers(1, 4)),
            "bbox": box,
            "area": round(box[2] * box[3], 2),
            "iscrowd": 0,
        }
        if number == 1:
            corners = [(x, y + h / 2), (x + w / 2, y), (x + w, y + h / 2), (x + w / 2, y + h)]
            each["segmentation"] = [[round(float(v), 2) for corner in corners for v in corner]]
        elif number == 2:
            mask = np.zeros((height, width), bool)
            mask[int(y) : int(y + h), int(x) : int(x + w)] = True
            each |= {"segmentation": rle.encode_rle(mask, packed=bool(rng.integers(2))), "iscrowd": 1}
        elif number == 3:
            points = [
                [round(float(x + a * w), 2), round(float(y + b * h), 2), 2] for a, b in rng.random((3, 2))
            ]
            each |= {"keypoints": [v for point in points for v in point], "num_keypoints": 3}
        found.append(each)
    return found


def yolo_line(each, width, height):
    if isinstance(each.get("segmentation"), list):
        points = np.array(each["segmentation"][0]).reshape(-1, 2) / (width, height)
        return " ".join([str(each["category_id"]), *(f"{v:.6f}" for v in points.ravel())])
    x, y, w, h = each["bbox"]
    values = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
    return " ".join([str(each["category_id"]), *(f"{v:.6f}" for v in values)])


def make_dataset(root, count, sides=(64, 160), seed=0):
    """`count` images with annotations below `root`: images/, labels/ and coco.json."""
    rng = np.random.default_rng(seed)
    chances = np.array([kind[2] for kind in KINDS]) / 100
    images, annotations = [], []
    for number in range(count):
        suffix, options, _ = KINDS[rng.choice(len(KINDS), p=chances)]
        image = draw(rng, tuple(rng.integers(*sides, 2)))
        name = f"images/{number % 10:02}/{number:05}{suffix}"
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save(image, path, rng, options)
        label = root / f"labels/{number % 10:02}/{number:05}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        given = shapes(rng, image.width, image.height)
        label.write_text("".join(yolo_line(each, image.width, image.height) + "\n" for each in given))
        images.append({"id": number + 1, "file_name": name, "width": image.width, "height": image.height})
        for each in given:
            annotations.append({"id": len(annotations) + 1, "image_id": number + 1, **each})
    categories = [{"id": id, "name": name} for id, name in ((1, "one"), (2, "two"), (3, "three"))]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (root / "coco.json").write_text(json.dumps(document))
