"""Images: what may stand in the images column, and files that the worker decodes. Pure.

An image that is given as the bytes of a file travels as ``Record("file", (array,))``, the bytes as an array
of uint8 with shape (n,), so that they cross like any other array: without a copy, and outside the header.

Files are decoded with imageio's Pillow plugin as ``imageio.v3.imread`` does (no EXIF rotation; grey images
stay (H,W)). Only the formats below are read: Pillow knows others that run programs, as EPS does.

An :class:`ImageFile` comes back as a file, an :class:`EncodedImage`: on its way out it is ``Record("file",
(array, format, quality, rgb))``, decoded as :mod:`.pictures` says; on its way back ``Record("file", (array,
shape))``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import limits
from .codec import Record, Tree
from .pictures import FORMATS, Picture, decode_picture, encode_picture
from .records import Misfit, Records, describe

__all__ = [
    "EncodedImage",
    "ImageFile",
    "Wanted",
    "encoded_from_tree",
    "images_from_tree",
    "images_to_tree",
    "is_image_file",
    "number_of_images",
    "wanted_files",
]

_FILE = "file"

#: How files of the formats that are decoded begin; WebP is in _is_known.
_SIGNATURES = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"BM",  # BMP
    b"II*\x00",  # TIFF, both byte orders
    b"MM\x00*",
    b"P1",  # PBM, PGM and PPM, as text and binary
    b"P2",
    b"P3",
    b"P4",
    b"P5",
    b"P6",
)
_FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF or PNM"


@dataclass(frozen=True)
class ImageFile:
    """An image to send as a file, and to have back as one: an :class:`EncodedImage`.

    The file is decoded upright (EXIF) and written in the kind that it was, as far as the format holds what
    the pipeline made of it; :mod:`.pictures` has the rules. Alpha is augmented along as a heatmap is: by what
    moves pixels, and not by what changes colours. The same object may stand several times in a batch; it
    travels once.

    Attributes:
        octets: the file.
        format: of the result: "jpeg", "png", "webp", "tiff" or "bmp".
        quality: 1 to 100, for JPEG and WebP; None: 95, and a WebP that was lossless stays so.
        rgb: make it 8-bit RGB before it is augmented.
    """

    octets: bytes | bytearray | memoryview
    format: str
    quality: int | None = None
    rgb: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"expected format to be one of {', '.join(FORMATS)}, got {self.format!r}")
        if self.quality is not None and not _is_quality(self.quality):
            raise ValueError(f"expected quality to be None or a whole number 1 to 100, got {self.quality!r}")


@dataclass(frozen=True)
class EncodedImage:
    """An augmented image as a file.

    Attributes:
        octets: the file.
        shape: of its pixels, (H,W,C) without alpha.
    """

    octets: bytes
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Wanted:
    """What a worker keeps of a decoded :class:`ImageFile` to write its result."""

    picture: Picture
    format: str
    quality: int | None

    def encode(self, pixels: np.ndarray[Any, Any], alpha: np.ndarray[Any, Any] | None) -> Record:
        """The record of the result.

        Raises:
            Misfit: where no such file can hold it.
        """
        octets = encode_picture(pixels, alpha, self.picture, self.format, self.quality)
        shape = (*pixels.shape, 1)[:3]
        return Record(_FILE, (np.frombuffer(octets, np.uint8), tuple(map(int, shape))))


def images_to_tree(images: Any, records: Records) -> Tree:
    """The images column as a tree: an array as it is, any other collection as a list of arrays and files.

    Raises:
        Misfit: where something is no image.
    """
    if isinstance(images, np.ndarray):
        if images.ndim not in (2, 3, 4):
            raise Misfit(f"got {describe(images)}, expected an array (N,H,W,C), (N,H,W) or (H,W)")
        return records.to_tree(images)
    if isinstance(images, (bytes, bytearray, memoryview)):
        raise Misfit(f"got {describe(images)}, expected a list of images: put the file's bytes into a list")
    if not isinstance(images, Collection) or isinstance(images, (str, dict)):
        advice = ""
        if isinstance(images, Iterator):
            advice = "; imgaug would consume it and give nothing back, so make it a list"
        raise Misfit(f"got {describe(images)}, expected an array or a list of images{advice}")
    trees: list[Tree] = []
    files: dict[int, Record] = {}
    try:
        for image in images:
            if isinstance(image, ImageFile):
                # One that stands several times is one record, so that its bytes are one buffer.
                trees.append(files.get(id(image)) or files.setdefault(id(image), _file_to_tree(image)))
            else:
                trees.append(_image_to_tree(image, records))
    except Misfit as misfit:
        raise misfit.inside(f"[{len(trees)}]") from None
    return trees


def number_of_images(images: Tree) -> int:
    """How many images imgaug sees in an images column."""
    return 1 if isinstance(images, np.ndarray) and images.ndim == 2 else len(images)


def images_from_tree(tree: Tree, *, channels: bool = False) -> Any:
    """The images column for imgaug; files are decoded, except those that :func:`wanted_files` takes.

    Args:
        tree: what :func:`images_to_tree` gave, from a peer.
        channels: give decoded grey images as (H,W,1), as normalized batches hold them, instead of (H,W).

    Raises:
        Misfit: where it is no images column, or a file cannot be decoded.
    """
    if isinstance(tree, np.ndarray):
        return _native(tree)
    if type(tree) is not list:
        raise Misfit("expected an array or a list of images")
    images: list[Any] = []
    left = limits.MAX_BATCH_BYTES
    try:
        for item in tree:
            if type(item) is Record and item.name == _FILE:
                image = _native(_decode(_octets(item), min(left, limits.MAX_DECODED_IMAGE_BYTES)))
                left -= image.nbytes
                images.append(image[..., np.newaxis] if channels and image.ndim == 2 else image)
            elif isinstance(item, np.ndarray):
                images.append(_native(item))
            else:
                raise Misfit("expected an array or a file")
    except Misfit as misfit:
        raise misfit.inside(f"[{len(images)}]") from None
    return images


def wanted_files(images: Tree) -> tuple[Tree, list[Wanted | None]]:
    """The column with each file that is to come back as one decoded, and what is wanted of each image.

    Args:
        images: the column, from a peer; where nothing is wanted it comes back as it is, with an empty list.

    Raises:
        Misfit: where such a file cannot be decoded.
    """
    if type(images) is not list or not any(map(_is_wanted, images)):
        return images, []
    column: list[Tree] = []
    wanted: list[Wanted | None] = []
    decoded: dict[tuple[int, bool], Picture] = {}
    left = limits.MAX_BATCH_BYTES
    try:
        for item in images:
            if not _is_wanted(item):
                column.append(item)
                wanted.append(None)
                continue
            array, format, quality, rgb = item.values
            key = (id(array), rgb)
            if key not in decoded:
                octets = _octets(Record(_FILE, (array,)))
                most = min(left, limits.MAX_DECODED_IMAGE_BYTES)
                decoded[key] = decode_picture(octets, most, rgb=rgb)
            picture = decoded[key]
            left -= picture.pixels.nbytes
            column.append(picture.pixels)
            wanted.append(Wanted(picture, format, quality))
    except Misfit as misfit:
        raise misfit.inside(f"[{len(column)}]") from None
    return column, wanted


def encoded_from_tree(tree: Tree) -> EncodedImage:
    """The augmented file that a worker sent.

    Raises:
        Misfit: where it is none.
    """
    if type(tree) is Record and tree.name == _FILE and len(tree.values) == 2:
        octets, shape = tree.values
        if _is_octets(octets) and type(shape) is tuple and len(shape) == 3 and all(map(_is_size, shape)):
            return EncodedImage(octets.tobytes(), shape)
    raise Misfit("expected an augmented file")


def is_image_file(octets: bytes | bytearray | memoryview) -> bool:
    """Whether the bytes begin like a file of a format that is decoded."""
    return _is_known(bytes(octets[:16]))


def _is_wanted(item: Tree) -> bool:
    """Whether it is a file that is to come back as one."""
    if type(item) is not Record or item.name != _FILE or len(item.values) != 4:
        return False
    _, format, quality, rgb = item.values
    return (
        type(format) is str
        and format in FORMATS
        and (quality is None or _is_quality(quality))
        and type(rgb) is bool
    )


def _is_quality(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 100


def _is_size(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_octets(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 1


def _file_to_tree(image: ImageFile) -> Record:
    octets = _image_to_tree(image.octets, Records()).values[0]
    return Record(_FILE, (octets, image.format, image.quality, image.rgb))


def _native(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The image in this machine's byte order: OpenCV reads others as if they were, and gives wrong values."""
    return image if image.dtype.isnative else image.astype(image.dtype.newbyteorder("="))


def _image_to_tree(image: Any, records: Records) -> Tree:
    if isinstance(image, np.ndarray):
        if image.ndim not in (2, 3):
            raise Misfit(f"got {describe(image)}, expected an image of shape (H,W) or (H,W,C)")
        return records.to_tree(image)
    if isinstance(image, (bytes, bytearray, memoryview)):
        octets = np.frombuffer(image, np.uint8)
        if not _is_known(octets[:16].tobytes()):
            start = octets[:8].tobytes()
            raise Misfit(f"got {len(octets)} bytes that begin with {start!r}, expected a {_FORMATS} file")
        return Record(_FILE, (octets,))
    if isinstance(image, str):
        raise Misfit("got str, expected an array or the bytes of an image file: read the file that it names")
    raise Misfit(
        f"got {describe(image)}, expected an array of shape (H,W) or (H,W,C), or the bytes of an image file"
    )


def _is_known(start: bytes) -> bool:
    return start.startswith(_SIGNATURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def _octets(record: Record) -> bytes:
    values = record.values
    if len(values) != 1 or not isinstance(values[0], np.ndarray) or values[0].dtype != np.uint8:
        raise Misfit("a file that is not one array of uint8")
    octets: bytes = values[0].tobytes()
    if not _is_known(octets[:16]):
        raise Misfit(f"a file that is no {_FORMATS}")
    return octets


def _decode(octets: bytes, most: int) -> np.ndarray[Any, Any]:
    """The image in a file, at most this many bytes of pixels; the header is asked before any is decoded."""
    import imageio.v3

    try:
        with imageio.v3.imopen(octets, "r", plugin="pillow") as file:
            properties = file.properties()
            if (properties.n_images or 1) != 1:
                raise Misfit(f"an animation of {properties.n_images} images, expected one image")
            size = math.prod(properties.shape) * np.dtype(properties.dtype).itemsize
            if size > most:
                raise Misfit(f"an image of {size} bytes when decoded ({properties.shape}), more than {most}")
            image: np.ndarray[Any, Any] = file.read(index=0)
            return image
    except Misfit:
        raise
    except Exception as error:  # Pillow's readers raise anything from OSError to struct.error on bad files
        cause = error.__cause__ or error  # imageio's own error says only which plugin it asked
        raise Misfit(f"an image file that cannot be decoded: {type(cause).__name__}: {cause}") from None
