"""The images of a folder, as they are found: nothing is held up by how many there are.

One folder's names are read and sorted at a time, its images before its subfolders, so that the order is the
same each time. Names that begin with a dot are left alone. Links to files are followed; links to folders are
not, since they may lead round in a circle.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from .names import format_of

__all__ = ["Missed", "Source", "count_images", "list_images"]


@dataclass(frozen=True)
class Source:
    """An image: its path below the folder, with "/", its size in bytes, and when it was changed, in ns."""

    path: str
    size: int
    modified: int


@dataclass(frozen=True)
class Missed:
    """Something that cannot be augmented: its path below the folder, and why."""

    path: str
    reason: str


def list_images(
    root: str, *, key: Callable[[str], str], left_out: Collection[str] = ()
) -> Iterator[Source | Missed]:
    """The images below a folder, in order.

    Args:
        root: the folder.
        key: what of an image's path its outputs are named by: of two images with the same key the second is
            missed.
        left_out: paths of folders below `root` that are not looked into.
    """
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        images, folders, missed = _scan(root, folder, left_out)
        yield from missed
        taken: dict[str, str] = {}
        for entry in images:
            path = folder + entry.name
            first = taken.setdefault(key(path), path)
            if first != path:
                yield Missed(path, f"its outputs would have the names of those of {first}: rename one")
                continue
            try:
                found = entry.stat()
            except OSError as error:
                yield Missed(path, _text_of(error))
                continue
            yield Source(path, found.st_size, found.st_mtime_ns)
        waiting += reversed(folders)


def count_images(root: str, left_out: Collection[str] = (), *, stopped: Callable[[], bool]) -> int | None:
    """How many images there are, broken ones too; None where it was stopped."""
    count = 0
    waiting = [""]
    while waiting:
        if stopped():
            return None
        images, folders, _ = _scan(root, waiting.pop(), left_out)
        count += len(images)
        waiting += folders
    return count


def _scan(
    root: str, folder: str, left_out: Collection[str]
) -> tuple[list[os.DirEntry[str]], list[str], list[Missed]]:
    """A folder's images, its subfolders, and what cannot be read in it, each in order."""
    images: list[os.DirEntry[str]] = []
    folders: list[str] = []
    missed: list[Missed] = []
    try:
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if folder + entry.name not in left_out:
                        folders.append(f"{folder}{entry.name}/")
                elif entry.is_symlink() and entry.is_dir():
                    missed.append(Missed(folder + entry.name, "a link to a folder, which is not followed"))
                elif format_of(entry.name) is not None:
                    images.append(entry)
    except OSError as error:
        missed.append(Missed(folder.rstrip("/") or ".", _text_of(error)))
    images.sort(key=lambda entry: entry.name)
    return images, sorted(folders), sorted(missed, key=lambda each: each.path)


def _text_of(error: OSError) -> str:
    return error.strerror or str(error)
