"""Image files as arrays, on the client's side. Needs Pillow (extra `preview`)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from augfarm.protocol.batches import FIELDS

from .drawing import pillow

__all__ = ["decode", "read_batch"]

#: Formats that workers decode, too. Pillow knows others that run programs, as EPS does.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
#: Pillow's modes whose pixels are arrays as they are; all others are turned into colours.
_AS_THEY_ARE = frozenset({"L", "LA", "RGB", "RGBA", "I", "F", "I;16"})


def decode(octets: Any, *, upright: bool = False) -> np.ndarray[Any, Any]:
    """The image in a file: (H,W) if grey, (H,W,2) with alpha, (H,W,3) or (H,W,4); uint8, or as deep as it is.

    Args:
        octets: the file's bytes.
        upright: turn it as its EXIF orientation says. Workers do not when they decode.

    Raises:
        ValueError: where it is no image of a known format, or more than one.
    """
    module = pillow()
    from PIL import ImageOps, UnidentifiedImageError

    try:
        with module.open(io.BytesIO(octets), formats=FORMATS) as image:
            if getattr(image, "n_frames", 1) != 1:
                raise ValueError(f"an animation of {image.n_frames} images, expected one image")
            turned = ImageOps.exif_transpose(image) if upright else image
            return _array(turned)
    except ValueError:
        raise
    except UnidentifiedImageError:
        raise ValueError("expected a JPEG, PNG, WebP, GIF, BMP, TIFF or PNM file") from None
    except Exception as error:  # Pillow's readers raise anything from OSError to struct.error on bad files
        raise ValueError(f"cannot be decoded: {type(error).__name__}: {error}") from None


def _array(image: Any) -> np.ndarray[Any, Any]:
    mode = image.mode
    if mode == "1":
        image = image.convert("L")
    elif mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)  # in this machine's byte order
    elif mode not in _AS_THEY_ARE:
        image = image.convert("RGBA" if "transparency" in image.info or mode == "PA" else "RGB")
    return np.array(image)


def read_batch(path: str) -> tuple[Any, list[str]]:
    """What `augfarm preview` is given: an image file, or a batch that ``numpy.savez`` wrote.

    Returns:
        A batch, and the names of its images if they have any.

    Raises:
        ValueError: for anything else; the text names the file.
    """
    try:
        octets = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    try:
        if path.lower().endswith(".npz"):
            return _batch(octets), []
        return [decode(octets, upright=True)], [Path(path).name]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _batch(octets: bytes) -> dict[str, Any]:
    """The arrays of an .npz file by imgaug's names."""
    try:
        with np.load(io.BytesIO(octets), allow_pickle=False) as file:
            batch = {name: file[name] for name in file.files}
    except Exception as error:  # numpy and zipfile raise anything on bad files
        raise ValueError(f"no batch that numpy.savez wrote: {type(error).__name__}: {error}") from None
    unknown = [name for name in batch if name not in FIELDS]
    if unknown or "images" not in batch:
        said = f"a batch of {', '.join(batch) or 'nothing'}"
        raise ValueError(f"{said}: expected images, and besides at most {', '.join(FIELDS[1:])}")
    return batch
