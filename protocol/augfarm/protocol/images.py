"""Images: what may stand in the images column, and files that the worker decodes. Pure.

An image that is given as the bytes of a file travels as ``Record("file", (array,))``, the bytes as an array
of uint8 with shape (n,), so that they cross like any other array: without a copy, and outside the header.

Files are decoded with imageio's Pillow plugin as ``imageio.v3.imread`` does (no EXIF rotation; grey images
stay (H,W)). Only the formats below are read: Pillow knows others that run programs, as EPS does.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from . import limits
from .codec import Record, Tree
from .records import Misfit, Records, describe

__all__ = ["images_from_tree", "images_to_tree", "number_of_images"]

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
    try:
        for image in images:
            trees.append(_image_to_tree(image, records))
    except Misfit as misfit:
        raise misfit.inside(f"[{len(trees)}]") from None
    return trees


def number_of_images(images: Tree) -> int:
    """How many images imgaug sees in an images column."""
    return 1 if isinstance(images, np.ndarray) and images.ndim == 2 else len(images)


def images_from_tree(tree: Tree, *, channels: bool = False) -> Any:
    """The images column for imgaug; files are decoded.

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
