"""Image files as arrays, on the client's side. Needs Pillow (extra `preview`)."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from augfarm.protocol import limits
from augfarm.protocol.batches import FIELDS
from augfarm.protocol.images import is_image_file
from augfarm.protocol.pictures import decode_picture
from augfarm.protocol.records import Misfit

from .annotations import Annotations
from .drawing import pillow

__all__ = ["Opened", "decode", "read_batch"]

KNOWN = "JPEG, PNG, WebP, GIF, BMP, TIFF or PNM"
#: Formats that workers decode, too. Pillow knows others that run programs, as EPS does.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
#: Pillow's modes whose pixels are arrays as they are; all others are turned into colours.
_AS_THEY_ARE = frozenset({"L", "LA", "RGB", "RGBA", "I", "F", "I;16"})


def decode(octets: Any) -> np.ndarray[Any, Any]:
    """The image in a file of a batch, as a worker decodes it there: (H,W), (H,W,2), (H,W,3) or (H,W,4).

    Args:
        octets: the file's bytes.

    Raises:
        ValueError: where it is no image of a known format, or more than one.
    """
    module = pillow()
    from PIL import UnidentifiedImageError

    try:
        with module.open(io.BytesIO(octets), formats=FORMATS) as image:
            if getattr(image, "n_frames", 1) != 1:
                raise ValueError(f"an animation of {image.n_frames} images, expected one image")
            return _array(image)
    except ValueError:
        raise
    except UnidentifiedImageError:
        raise ValueError(f"expected a {KNOWN} file") from None
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


@dataclass
class Opened:
    """What the command line was given: an image file, or a batch.

    Attributes:
        batch: in a form that ``Client.imap_batches`` takes.
        names: of its images, if they have any.
        alpha: whether its heatmaps are its images' alpha, (H,W,1) from 0 to 1. So `augfarm run` augments it:
            by what moves pixels, and not by what changes colours.
        labels: of its annotations, by the column and the number in it.
    """

    batch: Any
    names: list[str] = field(default_factory=list)
    alpha: bool = False
    labels: dict[str, dict[int, Any]] = field(default_factory=dict)


def read_batch(path: str, annotations: Annotations | None = None) -> Opened:
    """What `augfarm preview` is given: an image file, or a batch that ``numpy.savez`` wrote.

    An image is decoded as `augfarm run` decodes it: upright, and 16 bits as 16.

    Args:
        annotations: of images, where the command line names some.

    Raises:
        ValueError: for anything else; the text names the file.
    """
    try:
        octets = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    try:
        if path.lower().endswith(".npz"):
            return Opened(_batch(octets))
        opened = _image(octets)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    opened.names.append(Path(path).name)
    if annotations:
        found = annotations.read(path, opened.batch["images"][0].shape[:2])
        if not found.columns:
            raise ValueError(f"{path}: nothing is annotated on it, as far as the given annotations say")
        opened.batch.update(found.columns)
        opened.labels = found.labels
    return opened


def _image(octets: bytes) -> Opened:
    if not is_image_file(octets):
        raise ValueError(f"expected a {KNOWN} file")
    pillow()
    try:
        picture = decode_picture(octets, limits.MAX_DECODED_IMAGE_BYTES)
    except Misfit as misfit:
        raise ValueError(misfit.message) from None
    batch: dict[str, Any] = {"images": [picture.pixels]}
    if picture.alpha is not None:
        most = np.iinfo(picture.alpha.dtype).max
        batch["heatmaps"] = [(picture.alpha / most).astype(np.float32)[..., np.newaxis]]
    return Opened(batch, alpha=picture.alpha is not None)


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
