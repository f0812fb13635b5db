import io
import struct
import zlib

import imageio.v3
import numpy as np
import pytest
from PIL import Image

from augfarm.protocol import limits
from augfarm.protocol.codec import Record
from augfarm.protocol.images import images_from_tree, images_to_tree, number_of_images
from augfarm.protocol.records import Misfit, Records

COLOUR = np.random.default_rng(0).integers(0, 255, (13, 17, 3), np.uint8)


def file_of(image, extension, **options):
    return imageio.v3.imwrite("<bytes>", image, extension=extension, **options)


def saved(image, name, **options):
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def round_trip(images, **options):
    return images_from_tree(images_to_tree(images, Records()), **options)


def png_header(width, height):
    """A PNG that claims a size and holds next to no pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".bmp", ".tiff", ".ppm"])
def test_files_are_decoded_as_imageio_does(extension):
    octets = file_of(COLOUR, extension, plugin="pillow")
    (image,) = round_trip([octets])
    np.testing.assert_array_equal(image, imageio.v3.imread(octets))
    assert image.dtype == np.uint8


@pytest.mark.parametrize(
    "image",
    [COLOUR[..., 0], COLOUR[..., 0].astype(np.uint16) * 200, np.dstack([COLOUR, COLOUR[..., :1]])],
    ids=["grey", "16 bits", "alpha"],
)
def test_kinds_of_png(image):
    (decoded,) = round_trip([file_of(image, ".png")])
    assert decoded.dtype == image.dtype
    np.testing.assert_array_equal(decoded, image)


def test_a_palette_is_applied_and_rotation_is_not():
    indexed = saved(Image.fromarray(COLOUR).quantize(8), "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated = saved(Image.fromarray(COLOUR), "JPEG", exif=exif)
    for octets in (indexed, rotated):
        (image,) = round_trip([octets])
        assert image.shape == COLOUR.shape
        np.testing.assert_array_equal(image, imageio.v3.imread(octets))


def test_a_still_gif_is_one_image():
    (image,) = round_trip([saved(Image.fromarray(COLOUR), "GIF")])
    assert image.shape == COLOUR.shape


def test_grey_images_get_a_channel_where_asked():
    octets = file_of(COLOUR[..., 0], ".png")
    assert round_trip([octets, COLOUR])[0].shape == (13, 17)
    assert round_trip([octets, COLOUR], channels=True)[0].shape == (13, 17, 1)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_file_travels_as_an_array_of_its_own_memory(kind):
    octets = kind(file_of(COLOUR, ".png"))
    (record,) = images_to_tree([octets], Records())
    assert np.shares_memory(record.values[0], np.frombuffer(octets, np.uint8))
    np.testing.assert_array_equal(images_from_tree([record])[0], COLOUR)


def test_arrays_are_not_copied():
    assert images_to_tree(COLOUR, Records()) is COLOUR
    assert round_trip([COLOUR])[0] is COLOUR


def test_how_many_images():
    assert number_of_images(COLOUR[..., 0]) == 1
    assert number_of_images(COLOUR) == 13
    assert number_of_images([COLOUR, COLOUR]) == 2


FRAMES = [Image.fromarray(COLOUR), Image.fromarray(COLOUR[::-1])]


@pytest.mark.filterwarnings("ignore")  # Pillow warns of large images and bad tags before it gives up
@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (file_of(COLOUR, ".png")[:50], "cannot be decoded"),
        (file_of(COLOUR, ".jpg")[:100], "cannot be decoded"),
        (b"\xff\xd8\xff", "cannot be decoded"),
        (b"II*\x00" + b"\xff" * 30, "cannot be decoded"),
        (png_header(12_000, 12_000), "more than 314572800"),
        (png_header(2**31 - 1, 2**31 - 1), "DecompressionBombError"),
        (saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), "an animation of 2 images"),
        (saved(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), "an animation of 2 images"),
    ],
    ids=["cut png", "cut jpeg", "jpeg alone", "no tiff", "bomb", "huge bomb", "gif", "apng"],
)
def test_bad_files_are_named(octets, text):
    with pytest.raises(Misfit, match=text) as caught:
        round_trip([COLOUR, octets])
    assert caught.value.where == "[1]"


def test_a_size_is_refused_before_pixels_are_decoded(monkeypatch):
    def load(*_, **__):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    monkeypatch.setattr(limits, "MAX_DECODED_IMAGE_BYTES", COLOUR.nbytes - 1)
    with pytest.raises(Misfit, match="an image of 663 bytes when decoded"):
        round_trip([file_of(COLOUR, ".jpg")])


def test_all_decoded_images_of_a_batch_are_limited_together(monkeypatch):
    octets = file_of(COLOUR, ".png")
    monkeypatch.setattr(limits, "MAX_BATCH_BYTES", 2 * COLOUR.nbytes)
    assert len(round_trip([octets] * 2)) == 2
    with pytest.raises(Misfit) as caught:
        round_trip([octets] * 3)
    assert caught.value.where == "[2]"


def test_formats_that_are_not_listed_are_refused_on_both_sides():
    postscript = np.frombuffer(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", np.uint8)
    with pytest.raises(Misfit, match="expected a JPEG"):
        images_to_tree([postscript.tobytes()], Records())
    with pytest.raises(Misfit, match="no JPEG"):
        images_from_tree([Record("file", (postscript,))])


@pytest.mark.parametrize(
    "tree",
    [
        None,
        5,
        (COLOUR,),
        [None],
        [Record("file", ())],
        [Record("file", (b"\xff\xd8\xff",))],
        [Record("x", ())],
    ],
    ids=repr,
)
def test_a_peers_images_are_checked(tree):
    with pytest.raises(Misfit):
        images_from_tree(tree)


@pytest.mark.parametrize("dtype", [">u2", ">f4", "<u2"])
def test_images_reach_imgaug_in_this_machines_byte_order(dtype):
    image = np.arange(12, dtype=dtype).reshape(2, 2, 3)
    for tree in (image[np.newaxis], [image]):
        (given,) = images_from_tree(tree)
        assert given.dtype.isnative
        assert np.array_equal(given, image)
