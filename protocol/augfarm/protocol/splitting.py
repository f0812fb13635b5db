"""Batches cut by image, and the results of the pieces joined again. Pure; works on trees.

Only a batch whose columns match its images one to one can be cut: each is a list, a tuple or an array with as
many entries as there are images. What the entries are does not matter here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .batches import FIELDS, Keep
from .codec import Tree

__all__ = ["cut_out", "fits", "join", "restore_some", "separable_images"]


def separable_images(request: Tree) -> int:
    """How many images the batch can be cut into: all that it has; or 0 where it cannot be cut.

    Args:
        request: a tree that :func:`.batches.pack` gave.
    """
    columns = request["columns"]
    images = columns.get("images")
    # An array of two dimensions is one image; imgaug reads any other by its first dimension.
    if images is None or (isinstance(images, np.ndarray) and images.ndim < 3):
        return 0
    count = len(images)
    return count if count >= 2 and all(_entries(column) == count for column in columns.values()) else 0


def cut_out(request: Tree, start: int, stop: int) -> Tree:
    """The images from `start` to before `stop` with what belongs to them, as a batch of the same form.

    Args:
        request: one with :func:`separable_images`. Its arrays are shared, not copied.
    """
    columns = {name: column[start:stop] for name, column in request["columns"].items()}
    return {"form": request["form"], "columns": columns}


def fits(result: Tree, request: Tree) -> bool:
    """Whether a worker's result has an entry for each image of its request, in each column of it."""
    columns = result.get("columns") if isinstance(result, dict) else None
    if not isinstance(columns, dict) or columns.keys() != request["columns"].keys():
        return False
    count = len(request["columns"]["images"])
    # imgaug gives None for a column that holds nothing.
    return columns["images"] is not None and all(
        column is None or _entries(column) == count for column in columns.values()
    )


def join(results: Sequence[Tree]) -> Tree:
    """The results of pieces as the result of one batch, in the order given.

    A column is an array where all its pieces are and agree in dtype and shape; otherwise a list.

    Args:
        results: at least one; each :func:`fits` its request, and all came of one batch.
    """
    counts = [len(result["columns"]["images"]) for result in results]
    columns = {
        name: _joined([result["columns"][name] for result in results], counts)
        for name in results[0]["columns"]
    }
    return {"columns": columns}


def restore_some(keep: Keep, result: Tree, kept: Sequence[int], images: int) -> Any:
    """Some images of a batch, augmented, in the caller's own form; as :meth:`.batches.Keep.restore`.

    On an imgaug batch the ``*_unaug`` that were sent hold the entries of those images alone. All that is the
    caller's own (``data``, other attributes, other keys of a dict) comes back whole.

    Args:
        result: of those images.
        kept: their positions in the batch, ascending.
        images: how many images the batch had.

    Raises:
        ProtocolError: where a worker sent something else than a result.
    """
    batch = keep.restore(result)
    if keep.original is None or isinstance(keep.original, dict):
        return batch
    for name in FIELDS:
        if name in keep.columns:
            setattr(batch, f"{name}_unaug", _chosen(getattr(batch, f"{name}_unaug"), kept, images))
    return batch


def _entries(column: Tree) -> int | None:
    """How many entries it has, or None where it is no sequence."""
    if isinstance(column, np.ndarray):
        return column.shape[0] if column.ndim else None
    return len(column) if type(column) in (list, tuple) else None


def _joined(pieces: list[Tree], counts: list[int]) -> Tree:
    if len(pieces) == 1:
        return pieces[0]
    if all(piece is None for piece in pieces):
        return None
    if all(isinstance(piece, np.ndarray) for piece in pieces) and len(set(map(_kind, pieces))) == 1:
        return np.concatenate(pieces)
    filled: list[Iterable[Tree]] = [
        [None] * count if piece is None else piece for piece, count in zip(pieces, counts, strict=True)
    ]
    entries = [entry for piece in filled for entry in piece]
    return tuple(entries) if all(type(piece) is tuple for piece in pieces) else entries


def _kind(array: np.ndarray[Any, Any]) -> tuple[str, tuple[int, ...]]:
    return array.dtype.str, array.shape[1:]


def _chosen(column: Any, kept: Sequence[int], images: int) -> Any:
    """The entries at these positions of what the caller gave."""
    if isinstance(column, np.ndarray):
        return column[list(kept)] if column.shape[:1] == (images,) else column
    entries = list(column)
    if len(entries) != images:  # the caller has changed it since it was sent
        return column
    chosen = [entries[image] for image in kept]
    return tuple(chosen) if isinstance(column, tuple) else chosen
