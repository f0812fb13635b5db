"""An image's file and what is annotated on it, read once for all its copies."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from augfarm.protocol.images import ImageFile, is_image_file

from .annotations.bundle import AnnotationError, Bundle
from .annotations.form import Form
from .listing import Source
from .manifest import Done
from .names import format_of

__all__ = ["Opened", "Opener"]

_ORIENTATION = 0x0112
#: EXIF's orientations that exchange width and height.
_LYING = (5, 6, 7, 8)


@dataclass(frozen=True)
class Opened:
    """An image ready to be sent, or why it cannot be.

    Attributes:
        image: the file; None where it cannot be sent.
        bundle: what is annotated on it, where there are forms.
        tokens: what each form needs to write it again.
        failed: why it cannot be sent.
    """

    source: Source
    image: ImageFile | None = None
    bundle: Bundle | None = None
    tokens: tuple[Any, ...] = ()
    failed: Done | None = None


class Opener:
    """Opens images below a folder.

    Args:
        root: the folder.
        format, quality, rgb: what is wanted of the results, as :class:`ImageFile` has it.
        forms: of annotations.
    """

    def __init__(
        self, root: str, format: str | None, quality: int | None, rgb: bool, forms: Sequence[Form]
    ) -> None:
        self._root = root
        self._format = format
        self._quality = quality
        self._rgb = rgb
        self._forms = forms

    def open(self, source: Source) -> Opened:
        """The image with its annotations."""
        try:
            with open(os.path.join(self._root, source.path), "rb") as file:
                octets = file.read()
        except OSError as error:  # another time it may be there
            return Opened(source, failed=Done(None, f"cannot be read: {error.strerror or error}", True))
        if not is_image_file(octets):
            what = "is empty" if not octets else "is no image file, whatever its name says"
            return Opened(source, failed=Done(None, what))
        format = self._format or format_of(source.path)
        assert format is not None
        image = ImageFile(octets, format, self._quality, self._rgb)
        if not self._forms:
            return Opened(source, image)
        try:
            bundle = Bundle(size_of(octets))
            tokens = tuple(form.read(source.path, bundle) for form in self._forms)
        except AnnotationError as error:
            return Opened(source, failed=Done(None, str(error)))
        except OSError as error:
            reason = f"its annotations cannot be read: {error.filename}: {error.strerror or error}"
            return Opened(source, failed=Done(None, reason, True))
        return Opened(source, image, bundle, tokens)


def size_of(octets: bytes) -> tuple[int, int]:
    """(H,W) of the image in a file, upright. Its header alone is read.

    Raises:
        AnnotationError: where it has none that can be read.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(octets)) as file:
            width, height = file.size
            # Pillow tells the size of a TIFF upright already.
            lying = file.format != "TIFF" and file.getexif().get(_ORIENTATION, 1) in _LYING
    except Exception as error:  # Pillow's readers raise anything from OSError to struct.error on bad files
        raise AnnotationError(
            f"an image file whose size cannot be read: {type(error).__name__}: {error}"
        ) from None
    return (width, height) if lying else (height, width)
