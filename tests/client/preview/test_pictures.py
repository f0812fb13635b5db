"""Image files as arrays, and batches in .npz files."""

import io

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from augfarm.client.preview.pictures import decode, read_batch

COLOURS = np.random.default_rng(1).integers(0, 256, (6, 9, 3), np.uint8)
GREY = COLOURS[..., 0]


def file_of(image, kind="PNG", **options):
    octets = io.BytesIO()
    image.save(octets, kind, **options)
    return octets.getvalue()


def palette(**options):
    image = Image.fromarray(COLOURS).quantize(16)
    return file_of(image, "PNG", **options)


FILES = {
    "grey": file_of(Image.fromarray(GREY)),
    "grey and alpha": file_of(Image.fromarray(np.dstack([GREY, GREY]), "LA")),
    "colours": file_of(Image.fromarray(COLOURS)),
    "colours and alpha": file_of(Image.fromarray(np.dstack([COLOURS, GREY]))),
    "16 bits": file_of(Image.fromarray(GREY.astype(np.uint16) * 257)),
    "16 bits, the other byte order": file_of(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF"),
    "palette": palette(),
    "JPEG": file_of(Image.fromarray(COLOURS), "JPEG"),
    "WebP": file_of(Image.fromarray(COLOURS), "WEBP"),
    "BMP": file_of(Image.fromarray(COLOURS), "BMP"),
    "GIF": file_of(Image.fromarray(COLOURS), "GIF"),
    "PPM": file_of(Image.fromarray(COLOURS), "PPM"),
    "float": file_of(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_as_a_worker_reads_it(name):
    image = decode(FILES[name])
    expected = iio.imread(FILES[name], plugin="pillow", index=0)
    assert image.dtype == expected.dtype
    assert np.array_equal(image, expected)
    assert image.dtype.isnative


def test_a_palette_with_a_transparent_colour_is_read():
    image = decode(palette(transparency=3))
    assert image.shape == (6, 9, 4)
    assert np.array_equal(image[..., :3], decode(palette()))
    assert set(np.unique(image[..., 3])) == {0, 255}


def test_one_bit_and_printers_colours_are_read():
    assert decode(file_of(Image.fromarray(GREY > 9).convert("1"))).dtype == np.uint8
    assert decode(file_of(Image.fromarray(COLOURS).convert("CMYK"), "JPEG")).shape == COLOURS.shape


def test_a_photograph_is_turned_upright_where_that_is_wanted():
    exif = Image.Exif()
    exif[0x0112] = 6
    octets = file_of(Image.fromarray(COLOURS), "PNG", exif=exif)
    assert np.array_equal(decode(octets, upright=True), np.rot90(COLOURS, -1))
    assert np.array_equal(decode(octets), COLOURS)


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"", "expected a JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "expected a JPEG"),
        (FILES["colours"][:60], "cannot be decoded|expected a JPEG"),
    ],
)
def test_what_is_no_image_is_an_error(octets, message):
    with pytest.raises(ValueError, match=message):
        decode(octets)


def test_an_animation_is_an_error():
    frames = [Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)]
    with pytest.raises(ValueError, match="an animation of 2 images"):
        decode(file_of(frames[0], "GIF", save_all=True, append_images=frames[1:]))


def test_a_batch_of_arrays_is_read(tmp_path):
    path = tmp_path / "batch.npz"
    np.savez(path, images=COLOURS[None], keypoints=np.zeros((1, 2, 2)))
    batch, names = read_batch(str(path))
    assert list(batch) == ["images", "keypoints"]
    assert names == []


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"keypoints": np.zeros((1, 2, 2))}, "expected images"),
        (
            {"images": COLOURS[None], "boxes": np.zeros(3)},
            "images, boxes: expected images, and .*bounding_boxes",
        ),
        ({"images": np.array([None])}, "no batch that numpy.savez wrote"),
    ],
)
def test_other_arrays_are_an_error_that_names_the_file(arrays, message, tmp_path):
    path = tmp_path / "batch.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=f"batch.npz: .*{message}"):
        read_batch(str(path))


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read .*nothing\.png: No such file"):
        read_batch(str(tmp_path / "nothing.png"))
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(ValueError, match=r"text\.png: expected a JPEG"):
        read_batch(str(tmp_path / "text.png"))
    (tmp_path / "broken.npz").write_text("text")
    with pytest.raises(ValueError, match=r"broken\.npz: no batch"):
        read_batch(str(tmp_path / "broken.npz"))
