"""Image files as pixels and back, in the same kind: grey stays grey, 16 bits stay 16, a palette a palette.

For images whose results are wanted as files (:class:`.images.ImageFile`). The EXIF orientation is applied.
Alpha is taken apart from the colours, so that augmenters of colour do not see it; :mod:`.batches` has it
augmented along as a heatmap. Needs Pillow, and OpenCV for 16-bit colour, which Pillow reads as 8 bits.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from .records import Misfit

__all__ = ["FORMATS", "Picture", "decode_picture", "encode_picture"]

Array = np.ndarray[Any, np.dtype[Any]]

#: The formats that are written, as Pillow calls them.
FORMATS = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff": "TIFF", "bmp": "BMP"}
#: Those that are read; others that Pillow knows run programs, as EPS does.
_READ = (*FORMATS.values(), "GIF", "PPM")
_WITH_ALPHA = ("png", "webp", "tiff")
_WITH_16_BITS = ("png", "tiff")
_WITH_PALETTE = ("png", "tiff", "bmp")

#: Quality where none is asked for: artefacts that a training run could learn are not seen at these.
DEFAULT_JPEG_QUALITY = 95
DEFAULT_WEBP_QUALITY = 95
#: Compressions of TIFF that are kept; what they pack comes out unchanged. Others become the first.
_TIFF_COMPRESSIONS = ("tiff_adobe_deflate", "raw", "tiff_lzw", "packbits", "tiff_deflate")
_ORIENTATION, _BITS_PER_SAMPLE = 0x0112, 258
#: From 16 bits to 8: 65535 becomes 255.
_STEP = 257


@dataclass(frozen=True)
class Picture:
    """A decoded file.

    Attributes:
        pixels: (H,W,1) or (H,W,3) of uint8, or of uint16, int32 or float32 where the file holds these.
        alpha: (H,W) of uint8 or uint16, or None.
        kind: "bilevel" (0 and 255 alone), "palette", or "plain".
        options: what the file's own format says on writing it: compression, colour profile.
    """

    pixels: Array
    alpha: Array | None
    kind: str
    options: dict[str, Any]


def decode_picture(octets: bytes, most: int, *, rgb: bool = False) -> Picture:
    """The picture in a file, upright.

    Args:
        octets: of one of the formats read.
        most: bytes that its pixels may take; asked of the header, before they are decoded.
        rgb: make it (H,W,3) of uint8 without alpha, whatever it is. Transparent parts become black.

    Raises:
        Misfit: where it cannot be decoded, or is too large.
    """
    try:
        picture = _decode(octets, most)
    except Misfit:
        raise
    except Exception as error:  # Pillow's readers raise anything from OSError to struct.error on bad files
        raise Misfit(f"an image file that cannot be decoded: {type(error).__name__}: {error}") from None
    return _as_rgb(picture) if rgb else picture


def encode_picture(
    pixels: Array, alpha: Array | None, picture: Picture, format: str, quality: int | None
) -> bytes:
    """Pixels as a file of the kind that `picture` was, where the format can hold it.

    Args:
        pixels: (H,W,C) or (H,W), what became of the picture's.
        alpha: (H,W), or None.
        format: one of FORMATS. What it cannot hold is reduced: 16 to 8 bits; transparent parts to black.
        quality: 1 to 100, for JPEG and WebP. None: 95; a WebP that was lossless stays so.

    Raises:
        Misfit: where no file of that format holds such pixels.
    """
    pixels = _checked(pixels)
    if pixels.dtype == np.uint16 and format not in _WITH_16_BITS:
        pixels, alpha = _in_8_bits(pixels), None if alpha is None else _in_8_bits(alpha)
    if pixels.dtype.itemsize == 4 and (format != "tiff" or pixels.shape[2] != 1):
        raise Misfit(f"pixels of {pixels.dtype}, which only a grey TIFF can hold")
    if alpha is not None and (format not in _WITH_ALPHA or pixels.dtype.itemsize == 4):
        pixels, alpha = _over_black(pixels, alpha), None
    if pixels.dtype == np.uint16 and (pixels.shape[2] == 3 or alpha is not None):
        return _encode_deep(pixels, alpha, format)
    image, options = _image_of(pixels, alpha, picture.kind if format in _WITH_PALETTE else "plain")
    sink = io.BytesIO()
    try:
        image.save(sink, FORMATS[format], **_save_options(picture, format, quality), **options)
    except Exception as error:
        raise Misfit(f"cannot be written as {FORMATS[format]}: {type(error).__name__}: {error}") from None
    return sink.getvalue()


# --- reading -----------------------------------------------------------------------------------------------


def _decode(octets: bytes, most: int) -> Picture:
    from PIL import Image

    with Image.open(io.BytesIO(octets), formats=_READ) as file:
        frames = getattr(file, "n_frames", 1)
        if frames != 1 and file.format != "MPO":  # MPO is a JPEG with previews behind it, as cameras write
            raise Misfit(f"an animation of {frames} images, expected one image")
        deep = _is_deep(file, octets)
        size = file.width * file.height * _bytes_per_pixel(file, deep)
        if size > most:
            raise Misfit(
                f"an image of {size} bytes when decoded ({file.width}x{file.height}), more than {most}"
            )
        options = _options_of(file, octets)
        if deep:
            orientation, pixels, kind = _orientation(file), _decode_deep(octets), "plain"
        else:
            file.load()
            orientation = _orientation(file)  # only now: Pillow turns a TIFF itself, and takes the tag away
            pixels, kind = _pixels_of(file, options)
    pixels = _upright(pixels if pixels.ndim == 3 else pixels[..., np.newaxis], orientation)
    alpha = None
    if pixels.shape[2] in (2, 4):
        pixels, alpha = pixels[..., :-1], np.ascontiguousarray(pixels[..., -1])
    return Picture(np.ascontiguousarray(pixels), alpha, kind, options)


def _orientation(file: Any) -> int:
    try:
        return int(file.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken EXIF says nothing; the pixels may be whole
        return 1


def _is_deep(file: Any, octets: bytes) -> bool:
    """Whether it has several channels of 16 bits."""
    if file.format == "PNG":
        depth, colour_type = octets[24], octets[25]
        return depth == 16 and colour_type != 0
    if file.format == "TIFF":
        return 16 in file.tag_v2.get(_BITS_PER_SAMPLE, ()) and len(file.getbands()) > 1
    return False


def _bytes_per_pixel(file: Any, deep: bool) -> int:
    if file.mode in ("I", "F"):
        return 4
    if file.mode == "P":
        return 4 if file.has_transparency_data else 3
    return len(file.getbands()) * (2 if deep or file.mode.startswith("I;16") else 1)


def _options_of(file: Any, octets: bytes) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if file.info.get("icc_profile"):
        options["icc_profile"] = file.info["icc_profile"]
    if file.format == "TIFF":
        options["compression"] = file.info.get("compression")
    if file.format == "WEBP":
        options["lossless"] = b"VP8L" in octets[12:64]
    return options


def _pixels_of(file: Any, options: dict[str, Any]) -> tuple[Array, str]:
    mode = file.mode
    if mode == "1":
        return np.asarray(file).astype(np.uint8) * 255, "bilevel"
    if mode.startswith("I;16"):
        return np.asarray(file).astype(np.uint16), "plain"
    # A single grey or colour may be declared transparent.
    clear = file.has_transparency_data
    if mode in ("I", "F", "LA", "RGBA") or (mode in ("L", "RGB") and not clear):
        return np.asarray(file), "plain"
    if mode == "L":
        return np.asarray(file.convert("LA")), "plain"
    if mode not in ("RGB", "P", "PA", "La", "RGBa"):
        options.pop("icc_profile", None)  # it speaks of CMYK or the like
    image = file.convert("RGBA" if clear else "RGB")
    return np.asarray(image), "palette" if mode == "P" else "plain"


def _decode_deep(octets: bytes) -> Array:
    import cv2

    pixels = cv2.imdecode(np.frombuffer(octets, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise Misfit("an image file of 16 bits that OpenCV cannot decode")
    return _swap_red_and_blue(pixels)


def _swap_red_and_blue(pixels: Array) -> Array:
    """OpenCV's order of channels, which is the other way round."""
    if pixels.ndim == 2:
        return pixels
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]] if pixels.shape[2] >= 3 else pixels


def _upright(pixels: Array, orientation: int) -> Array:
    """(H,W,C) turned as EXIF's orientation says."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _as_rgb(picture: Picture) -> Picture:
    pixels, alpha = picture.pixels, picture.alpha
    if pixels.dtype.itemsize == 4:
        raise Misfit(f"an image of {pixels.dtype}, which cannot be made 8-bit RGB without knowing its range")
    if alpha is not None:
        pixels = _over_black(pixels, alpha)
    if pixels.dtype == np.uint16:
        pixels = _in_8_bits(pixels)
    options = picture.options
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
        options = {name: value for name, value in options.items() if name != "icc_profile"}
    return Picture(pixels, None, "plain", options)


# --- writing -----------------------------------------------------------------------------------------------


def _checked(pixels: Array) -> Array:
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise Misfit(f"an image of shape {pixels.shape}: a file holds (H,W,1) or (H,W,3)")
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * 255
    if pixels.dtype.name not in ("uint8", "uint16", "int32", "float32"):
        raise Misfit(f"an image of {pixels.dtype}: a file holds uint8, uint16, int32 or float32")
    return pixels


def _in_8_bits(values: Array) -> Array:
    return ((values.astype(np.uint32) + _STEP // 2) // _STEP).astype(np.uint8)


def _over_black(pixels: Array, alpha: Array) -> Array:
    full = np.iinfo(alpha.dtype).max
    product = pixels.astype(np.float64) * (alpha[..., np.newaxis] / full)
    return product.round().astype(pixels.dtype) if pixels.dtype.kind in "iu" else product.astype(pixels.dtype)


def _encode_deep(pixels: Array, alpha: Array | None, format: str) -> bytes:
    import cv2

    if alpha is not None:
        # There is no writer for grey with alpha in 16 bits.
        colour = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
        pixels = np.dstack([colour, alpha])
    done, octets = cv2.imencode(f".{format}", _swap_red_and_blue(pixels))
    if not done:
        raise Misfit(f"an image of shape {pixels.shape} and {pixels.dtype} that OpenCV cannot encode")
    return octets.tobytes()


def _image_of(pixels: Array, alpha: Array | None, kind: str) -> tuple[Any, dict[str, Any]]:
    """A Pillow image, and what to say on saving it."""
    from PIL import Image

    flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    if kind == "bilevel" and flat.ndim == 2 and alpha is None and ((flat == 0) | (flat == 255)).all():
        return Image.fromarray(flat).convert("1", dither=Image.Dither.NONE), {}
    if kind == "palette" and flat.ndim == 3 and (found := _with_palette(flat, alpha)) is not None:
        return found
    if alpha is not None:
        flat = np.dstack([pixels, alpha])
    return Image.fromarray(np.ascontiguousarray(flat)), {}


def _with_palette(pixels: Array, alpha: Array | None) -> tuple[Any, dict[str, Any]] | None:
    """The image by a palette of its own colours, or None where it has more than 256."""
    from PIL import Image

    opaque = np.full(pixels.shape[:2], 255, np.uint8)
    whole = np.ascontiguousarray(np.dstack([pixels, opaque if alpha is None else alpha]))
    colours, which = np.unique(whole.view(np.uint32)[..., 0], return_inverse=True)
    if len(colours) > 256:
        return None
    table = colours.view(np.uint8).reshape(-1, 4)
    image = Image.fromarray(which.reshape(pixels.shape[:2]).astype(np.uint8), "L")
    image.putpalette(table[:, :3].tobytes())
    return image, {} if alpha is None else {"transparency": table[:, 3].tobytes()}


def _save_options(picture: Picture, format: str, quality: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "icc_profile" in picture.options and format != "bmp":
        options["icc_profile"] = picture.options["icc_profile"]
    if format == "jpeg":
        options["quality"] = DEFAULT_JPEG_QUALITY if quality is None else quality
    elif format == "webp":
        if quality is None and picture.options.get("lossless"):
            return {**options, "lossless": True, "exact": True}
        options["quality"] = DEFAULT_WEBP_QUALITY if quality is None else quality
    elif format == "tiff":
        compression = picture.options.get("compression")
        options["compression"] = compression if compression in _TIFF_COMPRESSIONS else _TIFF_COMPRESSIONS[0]
    return options
