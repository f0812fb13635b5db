"""Names of images: which files are images, and what their augmented copies are called. Pure."""

from __future__ import annotations

import posixpath

__all__ = ["SUFFIXES", "beside", "format_of", "output_name", "shown", "stem_of"]

#: Suffixes of the files that are augmented, in lower case, and the format that each stands for.
SUFFIXES = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".bmp": "bmp",
}
#: Suffixes of what is written with `--format`.
_WRITTEN = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "tiff": ".tif", "bmp": ".bmp"}


def format_of(name: str) -> str | None:
    """The format that a file's suffix stands for, or None where it is no image."""
    return SUFFIXES.get(posixpath.splitext(name)[1].lower())


def stem_of(path: str) -> str:
    """The path without its suffix."""
    return posixpath.splitext(path)[0]


def output_name(path: str, copy: int, format: str | None = None) -> str:
    """Where a copy of an image goes: ``animals/cat.jpg`` and 3 give ``animals/cat_aug0003.jpg``.

    Args:
        path: of the source, below SRC.
        copy: counted from 0.
        format: what all are written as; None: each as its suffix says.
    """
    suffix = posixpath.splitext(path)[1] if format is None else _WRITTEN[format]
    return beside(path, copy, suffix)


def beside(path: str, copy: int, suffix: str) -> str:
    """The same for a file that goes with the image."""
    return f"{stem_of(path)}_aug{copy:04}{suffix}"


def shown(path: str) -> str:
    """The path as it can be printed: file names need not be text."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
