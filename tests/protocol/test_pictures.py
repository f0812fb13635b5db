"""Files as pixels and back: what each kind becomes."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from augfarm.protocol.pictures import decode_picture, encode_picture
from augfarm.protocol.records import Misfit

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 255, (13, 17, 3), np.uint8)
GREY = np.ascontiguousarray(COLOUR[..., 0])
ALPHA = RNG.integers(0, 255, (13, 17), np.uint8)
DEEP = COLOUR.astype(np.uint16) * 201 + 3
PLENTY = 10**8


def saved(image, format, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, format, **options)
    return buffer.getvalue()


def deep_file(pixels, extension):
    order = [2, 1, 0, 3][: pixels.shape[2]] if pixels.ndim == 3 else ...
    return cv2.imencode(extension, pixels[..., order] if pixels.ndim == 3 else pixels)[1].tobytes()


def again(octets, format, quality=None, **options):
    """Decoded and written as the worker does where a pipeline changes nothing."""
    picture = decode_picture(octets, PLENTY, **options)
    return encode_picture(picture.pixels, picture.alpha, picture, format, quality)


def opened(octets):
    return Image.open(io.BytesIO(octets))


TINTED = Image.fromarray(COLOUR).quantize(8)
GREY_ALPHA = np.dstack([GREY, ALPHA])


KINDS = {
    "RGB": (Image.fromarray(COLOUR), ("png", "tiff", "webp", "bmp")),
    "L": (Image.fromarray(GREY), ("png", "tiff", "bmp")),
    "1": (Image.fromarray(GREY > 128), ("png", "tiff", "bmp")),
    "RGBA": (Image.fromarray(np.dstack([COLOUR, ALPHA])), ("png", "tiff", "webp")),
    "LA": (Image.fromarray(GREY_ALPHA), ("png", "tiff")),
    "P": (TINTED, ("png", "tiff", "bmp")),
    "I;16": (Image.fromarray(DEEP[..., 0]), ("png", "tiff")),
    "I": (Image.fromarray(DEEP[..., 0].astype(np.int32) * 30_000), ("tiff",)),
    "F": (Image.fromarray(DEEP[..., 0].astype(np.float32) / 7), ("tiff",)),
}


@pytest.mark.parametrize(
    ("mode", "format"), [(mode, format) for mode, (_, formats) in KINDS.items() for format in formats]
)
def test_what_does_not_change_keeps_its_kind_and_pixels(mode, format):
    image = KINDS[mode][0]
    octets = saved(image, format, **({"lossless": True, "exact": True} if format == "webp" else {}))
    result = opened(again(octets, format))
    assert result.mode == mode
    assert result.format == format.upper()
    expected = image.convert("RGB") if mode == "P" else image
    given = result.convert("RGB") if mode == "P" else result
    np.testing.assert_array_equal(np.asarray(given), np.asarray(expected))


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize(
    "pixels", [DEEP, np.dstack([DEEP, DEEP[..., 1]])], ids=["16-bit colour", "16-bit alpha"]
)
def test_16_bit_colour_stays_so(pixels, extension):
    octets = deep_file(pixels, extension)
    picture = decode_picture(octets, PLENTY)
    np.testing.assert_array_equal(picture.pixels, DEEP)
    result = cv2.imdecode(np.frombuffer(again(octets, extension[1:]), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(result[..., [2, 1, 0, 3][: pixels.shape[2]]], pixels)


def test_a_palette_with_transparency_stays_one():
    octets = saved(TINTED, "PNG", transparency=bytes([0, 100, *[255] * 6]))
    result = opened(again(octets, "png"))
    assert result.mode == "P"
    expected, given = opened(octets).convert("RGBA"), result.convert("RGBA")
    np.testing.assert_array_equal(np.asarray(given), np.asarray(expected))


def test_a_palette_with_too_many_colours_becomes_rgb():
    picture = decode_picture(saved(TINTED, "PNG"), PLENTY)
    many = RNG.integers(0, 255, (40, 40, 3), np.uint8)
    result = opened(encode_picture(many, None, picture, "png", None))
    assert result.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(result), many)


def test_bilevel_that_got_greys_becomes_grey():
    picture = decode_picture(saved(GREY > 128, "PNG"), PLENTY)
    assert opened(encode_picture(GREY[..., np.newaxis], None, picture, "png", None)).mode == "L"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_applied_and_not_written_again(orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    octets = saved(COLOUR, format, exif=exif, **({"lossless": True} if format == "WEBP" else {}))
    picture = decode_picture(octets, PLENTY)
    upright = np.asarray(ImageOps.exif_transpose(opened(octets)))
    np.testing.assert_array_equal(picture.pixels, upright)
    assert opened(again(octets, "png")).getexif().get(0x0112, 1) == 1


def test_16_bit_colour_is_turned_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    octets = deep_file(DEEP, ".png")
    block = exif.tobytes()[6:]
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    picture = decode_picture(octets[:33] + chunk + octets[33:], PLENTY)
    np.testing.assert_array_equal(picture.pixels, np.rot90(DEEP, -1))


@pytest.mark.parametrize("format", ["jpeg", "bmp"])
def test_what_a_format_cannot_hold_is_reduced(format):
    flat = np.full((16, 16, 3), (65_535, 30_000, 0), np.uint16)
    deep = opened(again(deep_file(flat, ".png"), format, 100))
    assert deep.mode == "RGB"
    assert np.abs(np.asarray(deep).astype(int) - (255, 117, 0)).max() <= 2
    clear = opened(again(saved(np.dstack([COLOUR, np.zeros_like(ALPHA)]), "PNG"), format))
    assert np.asarray(clear).max() == 0


@pytest.mark.parametrize(
    "image",
    [GREY, GREY > 128, TINTED, np.dstack([COLOUR, ALPHA]), DEEP[..., 0]],
    ids=["grey", "bilevel", "palette", "alpha", "16 bits"],
)
def test_everything_is_rgb_where_asked(image):
    picture = decode_picture(saved(image, "PNG"), PLENTY, rgb=True)
    assert picture.pixels.shape == (13, 17, 3)
    assert picture.pixels.dtype == np.uint8
    assert picture.alpha is None
    assert opened(encode_picture(picture.pixels, None, picture, "png", None)).mode == "RGB"


def test_cmyk_is_made_rgb_and_loses_its_profile():
    octets = saved(Image.fromarray(COLOUR).convert("CMYK"), "JPEG", icc_profile=b"of cmyk")
    result = opened(again(octets, "jpeg"))
    assert result.mode == "RGB"
    assert "icc_profile" not in result.info


def test_a_profile_is_kept_and_so_is_a_lossless_webp_and_a_compression():
    assert opened(again(saved(COLOUR, "JPEG", icc_profile=b"mine"), "jpeg")).info["icc_profile"] == b"mine"
    lossless = saved(COLOUR, "WEBP", lossless=True)
    np.testing.assert_array_equal(np.asarray(opened(again(lossless, "webp"))), COLOUR)
    packed = saved(COLOUR, "TIFF", compression="tiff_lzw")
    assert opened(again(packed, "tiff")).info["compression"] == "tiff_lzw"


@pytest.mark.parametrize("format", ["GIF", "PPM"])
def test_other_formats_are_read_and_written_as_one_of_ours(format):
    picture = decode_picture(saved(Image.fromarray(GREY), format), PLENTY)
    assert picture.pixels.shape == (13, 17, 3 if format == "GIF" else 1)
    assert opened(again(saved(COLOUR, "PPM"), "png")).mode == "RGB"


def test_of_a_camera_file_with_previews_the_photograph_is_taken():
    octets = saved(Image.fromarray(COLOUR), "MPO", save_all=True, append_images=[Image.fromarray(COLOUR[:5])])
    assert opened(octets).format == "MPO"
    assert decode_picture(octets, PLENTY).pixels.shape == (13, 17, 3)
    frames = saved(Image.fromarray(COLOUR), "TIFF", save_all=True, append_images=[Image.fromarray(COLOUR)])
    with pytest.raises(Misfit, match="an animation of 2 images"):
        decode_picture(frames, PLENTY)


def test_quality_tells():
    octets = saved(COLOUR, "PNG")
    assert len(again(octets, "jpeg", 10)) < len(again(octets, "jpeg")) < len(again(octets, "jpeg", 100))


@pytest.mark.parametrize(
    ("pixels", "format", "text"),
    [
        (np.zeros((5, 6, 4), np.uint8), "png", "shape"),
        (np.zeros((0, 6, 3), np.uint8), "png", "shape"),
        (np.zeros((5, 6, 3), np.float64), "png", "float64"),
        (np.zeros((5, 6, 1), np.float32), "png", "grey TIFF"),
        (np.zeros((1, 70_000, 3), np.uint8), "jpeg", "cannot be written as JPEG"),
    ],
)
def test_pixels_that_no_file_holds_are_an_error(pixels, format, text):
    picture = decode_picture(saved(COLOUR, "PNG"), PLENTY)
    with pytest.raises(Misfit, match=text):
        encode_picture(pixels, None, picture, format, None)


def test_a_bomb_is_refused_by_its_header(monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    with pytest.raises(Misfit, match="an image of 663 bytes when decoded"):
        decode_picture(saved(Image.new("RGB", (17, 13)), "JPEG"), 662)
