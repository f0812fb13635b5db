"""Mask images, and the folders that annotations lie in."""

import io

import numpy as np
import pytest
from imgaug import augmenters as iaa
from PIL import Image

from augfarm.client.folders.annotations.beside import Beside
from augfarm.client.folders.annotations.bundle import AnnotationError
from augfarm.client.folders.annotations.masks import Masks
from folders.through import beside, through

VALUES = np.random.default_rng(0).integers(0, 5, (60, 80), np.uint8)


def palette():
    image = Image.fromarray(VALUES)
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128])
    return image


MASKS = {
    "P": palette(),
    "L": Image.fromarray(VALUES),
    "1": Image.fromarray(VALUES > 2),
    "I;16": Image.fromarray(VALUES.astype(np.uint16) * 9_000),
    "RGB": Image.fromarray(np.dstack([VALUES * 50, VALUES, 255 - VALUES])),
    "RGBA": Image.fromarray(np.dstack([VALUES * 50, VALUES, VALUES, 255 - VALUES])),
}


def mask(folder, image, augmenter, suffix=".png"):
    image.save(folder / f"a{suffix}")
    ((path, octets),) = through(Masks(beside(folder), 0), augmenter).files
    assert path == f"a_aug0000{suffix}"
    return octets


@pytest.mark.parametrize("mode", MASKS)
def test_an_identity_changes_no_byte(tmp_path, mode):
    assert mask(tmp_path, MASKS[mode], iaa.Add(5)) == (tmp_path / "a.png").read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("mode", MASKS)
def test_masks_move_with_the_pixels_and_keep_their_kind(tmp_path, mode, suffix):
    result = Image.open(io.BytesIO(mask(tmp_path, MASKS[mode], iaa.Fliplr(1.0), suffix)))
    assert result.mode == mode
    np.testing.assert_array_equal(np.asarray(result), np.asarray(MASKS[mode])[:, ::-1])
    if mode == "P":
        assert result.getpalette("RGB")[:15] == MASKS[mode].getpalette("RGB")[:15]


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "RGBA"])
def test_values_are_never_mixed(tmp_path, mode):
    octets = mask(tmp_path, MASKS[mode], iaa.Sequential([iaa.Affine(rotate=17), iaa.Resize(0.7)]))
    result = np.asarray(Image.open(io.BytesIO(octets)))
    assert result.shape[:2] == (42, 56)

    def values(array):
        return set(map(tuple, array.reshape(array.shape[0] * array.shape[1], -1)))

    assert values(result) == values(np.asarray(MASKS[mode])) | {tuple(np.zeros_like(result[0, 0]).ravel())}


def test_bad_masks_are_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"a\.png is 80x50, and the image is 80x60"):
        mask(tmp_path, Image.fromarray(VALUES[:50]), iaa.Identity())
    (tmp_path / "a.png").write_bytes(b"no")
    with pytest.raises(AnnotationError, match=r"a\.png cannot be used as a mask"):
        through(Masks(beside(tmp_path), 0), iaa.Identity())
    (tmp_path / "a.png").unlink()
    assert through(Masks(beside(tmp_path), 0), iaa.Identity()) is None


@pytest.mark.parametrize(
    ("folder", "image", "file", "output"),
    [
        ("src", "x/1.jpg", "src/x/1.txt", "x/1_aug0002.txt"),
        ("src/labels", "images/x/1.v2.jpg", "src/labels/x/1.v2.txt", "labels/x/1.v2_aug0002.txt"),
        ("src/labels", "1.jpg", "src/labels/1.txt", "labels/1_aug0002.txt"),
        (
            "src/VOC/Annotations",
            "VOC/JPEGImages/1.jpg",
            "src/VOC/Annotations/1.txt",
            "VOC/Annotations/1_aug0002.txt",
        ),
        ("labels", "x/1.jpg", "labels/x/1.txt", "labels/x/1_aug0002.txt"),
    ],
)
def test_where_files_are_and_go(tmp_path, folder, image, file, output):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text("")
    (tmp_path / "src").mkdir(exist_ok=True)
    place = Beside(str(tmp_path / folder), tmp_path / "src", tmp_path / "dst", "--yolo")
    assert place.find(image, ".xml", ".txt") == str(path)
    assert place.find(image, ".xml") is None
    assert place.output(image, 2, ".txt") == output


def test_images_elsewhere_have_none(tmp_path):
    (tmp_path / "src/a/labels").mkdir(parents=True)
    (tmp_path / "src/a/labels/1.txt").write_text("")
    place = Beside(str(tmp_path / "src/a/labels"), tmp_path / "src", tmp_path / "dst", "--yolo")
    assert place.find("b/1.jpg", ".txt") is None
    assert place.find("a/images/1.jpg", ".txt") is not None


@pytest.mark.parametrize(
    ("folder", "text"),
    [
        ("none", "--yolo .*none is no folder"),
        ("dst/labels", "inside of DST"),
        ("other/x", "a folder x of DST, where images of SRC go too"),
    ],
)
def test_folders_that_cannot_be_are_named(tmp_path, folder, text):
    for name in ("src/x", "dst/labels", "other/x"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(ValueError, match=text):
        Beside(str(tmp_path / folder), tmp_path / "src", tmp_path / "dst", "--yolo")
