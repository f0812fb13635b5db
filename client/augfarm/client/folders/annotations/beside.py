"""Where annotations of images are that have a file for each, and where their copies go."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

from ..names import beside, shown, stem_of

__all__ = ["Beside"]


class Beside:
    """A folder of annotations that goes with the images of SRC.

    Where it lies inside of SRC, as ``SRC/labels`` beside ``SRC/images``, the image ``images/x/1.jpg`` has
    ``labels/x/1.txt``: the first folder is exchanged. Where it is SRC itself, images have theirs beside them.
    Copies go to the same place below DST. Where it lies elsewhere its folders are those of SRC, and copies go
    into a folder of its name in DST.

    Args:
        folder: of the annotations.
        src: SRC, resolved.
        dst: DST, resolved.
        option: how the command line calls it, for errors.

    Raises:
        ValueError: where it cannot be this one.
    """

    def __init__(self, folder: str, src: Path, dst: Path, option: str) -> None:
        self._root = Path(folder).resolve()
        if not self._root.is_dir():
            raise ValueError(f"{option} {shown(folder)} is no folder: expected one of annotations")
        if self._root == dst or dst in self._root.parents:
            raise ValueError(f"{option} {shown(folder)} is inside of DST: choose another DST")
        #: Its path below SRC, "" where it is SRC; None where it is elsewhere.
        self.below_src: str | None = None
        if self._root == src or src in self._root.parents:
            self.below_src = "" if self._root == src else self._root.relative_to(src).as_posix()
            self._below_dst = self.below_src
        else:
            self._below_dst = self._root.name
            if (src / self._below_dst).exists():
                raise ValueError(
                    f"{option} {shown(folder)} would be written into a folder {self._root.name} of DST, "
                    "where images of SRC go too: rename one"
                )

    def find(self, path: str, *suffixes: str) -> str | None:
        """The file that goes with an image, with the first of these suffixes that there is; or None.

        Args:
            path: of the image, below SRC.
        """
        stem = self._stem(path)
        if stem is None:
            return None
        for suffix in suffixes:
            found = os.path.join(self._root, stem + suffix)
            if os.path.isfile(found):
                return found
        return None

    def output(self, path: str, copy: int, suffix: str) -> str:
        """Where that of a copy goes, below DST."""
        stem = self._stem(path)
        assert stem is not None
        return posixpath.join(self._below_dst, beside(stem + ".", copy, suffix))

    def _stem(self, path: str) -> str | None:
        """The path of the image's file below this folder, without a suffix; None where it has none here."""
        stem = stem_of(path)
        if not self.below_src:
            return stem
        parent = posixpath.dirname(self.below_src)
        if parent and not stem.startswith(parent + "/"):
            return None
        below = stem[len(parent) + 1 :] if parent else stem
        first, separator, rest = below.partition("/")
        return rest if separator else first
