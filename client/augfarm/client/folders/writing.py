"""Files that appear whole or not at all, and never in the place of another's."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["InTheWay", "Writer"]


class InTheWay(ValueError):
    """Where a file should be written there is another one."""


class Writer:
    """Writes files below a folder.

    Args:
        root: the folder.
        aside: a folder of this writer's own on the same file system, for files that are not whole yet. What
            is in it is removed.
    """

    def __init__(self, root: Path, aside: Path) -> None:
        self._root = root
        self._aside = aside
        self._made: set[str] = set()
        self._number = 0
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)

    def write(self, path: str, octets: bytes, *, replace: bool = False) -> None:
        """Write a file. One that is there and holds the same is left as it is.

        Args:
            path: below the root, with "/".
            replace: whether one that holds something else may be replaced.

        Raises:
            InTheWay: where it may not.
            OSError: where it cannot be written; nothing is left of it then.
        """

        def fill(file: BinaryIO) -> None:
            file.write(octets)

        if not replace and self._holds(path, octets):
            return
        self.write_by(path, fill, replace=replace)

    def write_by(self, path: str, fill: Callable[[BinaryIO], None], *, replace: bool = False) -> None:
        """The same for a file that is written by `fill`."""
        target = os.path.join(self._root, path)
        self._make_folder(os.path.dirname(target))
        self._number += 1
        aside = os.path.join(self._aside, str(self._number))
        try:
            with open(aside, "wb") as file:
                fill(file)
            if replace:
                os.replace(aside, target)
            else:
                _rename(aside, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)

    def size_of(self, path: str) -> int | None:
        """The size of a file below the root, or None where there is none."""
        try:
            return os.stat(os.path.join(self._root, path)).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def close(self) -> None:
        """Remove what was aside."""
        shutil.rmtree(self._aside, ignore_errors=True)

    def _holds(self, path: str, octets: bytes) -> bool:
        if self.size_of(path) != len(octets):
            return False
        with open(os.path.join(self._root, path), "rb") as file:
            return file.read() == octets

    def _make_folder(self, folder: str) -> None:
        if folder not in self._made:
            os.makedirs(folder, exist_ok=True)
            self._made.add(folder)


def _rename(aside: str, target: str) -> None:
    try:
        os.link(aside, target)  # unlike a rename, it never replaces a file
    except FileExistsError:
        raise InTheWay(f"{target} is there already, and not of this run; it was left as it is") from None
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise InTheWay(f"{target} is there already, and not of this run; it was left as it is") from None
        os.rename(aside, target)
