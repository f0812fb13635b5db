"""A folder of real images of many kinds, and what runs make of it."""

import io
import os
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from PIL import Image

AUGFARM = Path(sys.executable).with_name("augfarm")

PIPELINE = """
from imgaug import augmenters as iaa

augmenter = iaa.Sequential([iaa.Fliplr(0.5), iaa.Affine(rotate=(-20, 20)), iaa.Multiply((0.8, 1.2))])
identity = iaa.Identity()
"""


def photograph(size):
    import skimage.data

    return np.ascontiguousarray(skimage.data.chelsea()[: size[0], : size[1]])


def make_folder(root):
    """Images of most kinds in nested folders."""
    photo = photograph((60, 80))
    grey = photo[..., 1]
    alpha = np.dstack([photo, 255 - grey])
    (root / "animals" / "wild").mkdir(parents=True)
    iio.imwrite(root / "cat.jpg", photo)
    iio.imwrite(root / "grey.jpg", grey)
    iio.imwrite(root / "animals" / "cat.webp", photo)
    iio.imwrite(root / "animals" / "cat.bmp", photo[:40])
    iio.imwrite(root / "animals" / "deep.png", grey.astype(np.uint16) * 257)
    iio.imwrite(root / "animals" / "wild" / "alpha.png", alpha)
    iio.imwrite(root / "animals" / "wild" / "scan.tif", photo[:, :50])
    Image.fromarray(photo).quantize(16).save(root / "palette.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo).save(root / "lying.JPG", exif=exif, quality=95)


def break_some(root):
    """Add three files that are no images."""
    whole = io.BytesIO()
    Image.fromarray(photograph((60, 80))).save(whole, "JPEG")
    (root / "cut.jpg").write_bytes(whole.getvalue()[:500])
    (root / "animals" / "text.png").write_text("hello")
    (root / "empty.webp").write_bytes(b"")
    return ["animals/text.png", "cut.jpg", "empty.webp"]


def command(*words):
    return [AUGFARM, "run", *map(str, words)]


def files_of(root):
    """What a run has written: bytes by path, without what is the run's own."""
    found = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".augfarm"]
        for name in names:
            path = Path(folder) / name
            found[str(path.relative_to(root))] = path.read_bytes()
    return found
