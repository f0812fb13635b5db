"""What callers yield, as trees that travel, and back. Pure.

A batch as the caller knows it is *packed* on the client: what the worker needs becomes a tree, what it does
not need (``data``, the caller's own keys, the unaugmented originals) stays in a :class:`Keep`, which puts the
result back into the caller's form. ::

    client   pack(batch) ── tree ──►  unpack_request(tree)      worker
                  │                          │
                 keep                     augment
                  │                          │
             keep.restore(tree) ◄── tree ── pack_result(batch)

    request = {"form": "unnormalized" | "normalized", "columns": {field: column}}
    result  = {"columns": {field: column}}

The form says which of imgaug's two classes the worker builds: ``Batch`` ("normalized") where the caller gave
one, ``UnnormalizedBatch`` for everything else. Columns are those that the caller filled; a result has the
same. What a column holds is in :mod:`.records` and :mod:`.images`.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from .codec import Buffer, Parts, Tree, frames_of
from .codec import encode_parts as encode_tree
from .errors import InvalidBatch, ProtocolError
from .forms import check_form
from .images import images_from_tree, images_to_tree, number_of_images
from .records import Misfit, Records, describe

__all__ = ["FIELDS", "Keep", "Packed", "encode", "encode_parts", "pack", "pack_result", "unpack_request"]

#: imgaug's names of the columns, imgaug.augmentables.batches._AUGMENTABLE_NAMES.
FIELDS = (
    "images",
    "heatmaps",
    "segmentation_maps",
    "keypoints",
    "bounding_boxes",
    "polygons",
    "line_strings",
)


@dataclass(frozen=True)
class Keep:
    """What stays in the client of one batch. Call :meth:`restore` on its result, as often as you like.

    Attributes:
        columns: the fields that were sent.
        original: an imgaug batch; or a dict of the caller's with None for what was sent; or None for images.
    """

    columns: tuple[str, ...]
    original: Any = None

    def restore(self, result: Tree) -> Any:
        """The augmented batch in the caller's own form.

        An imgaug batch comes back as another object with the original's ``*_unaug`` and ``data`` (the same
        objects) and the result's ``*_aug``. Images come back as the array or list that imgaug gives; a dict
        with its keys in their order.

        Args:
            result: the tree that :func:`pack_result` gave on the worker.

        Raises:
            ProtocolError: where the worker sent something else.
        """
        values = _result_columns(result, self.columns)
        if self.original is None:
            return values["images"]
        if isinstance(self.original, dict):
            return {key: values.get(key, value) for key, value in self.original.items()}
        batch = copy.copy(self.original)
        for name in FIELDS:
            setattr(batch, f"{name}_aug", values.get(name))
        return batch


@dataclass(frozen=True)
class Packed:
    """A batch ready to travel: `tree` for :func:`encode`, `keep` for its result."""

    tree: Tree
    keep: Keep


def pack(batch: Any, index: int) -> Packed:
    """The batch as a tree, and what stays here. Give the tree to :func:`encode`, the result to `keep`.

    Args:
        batch: an imgaug ``UnnormalizedBatch`` or ``Batch``; an array (N,H,W,C) or (N,H,W); a list of images;
            or a dict with imgaug's field names and any keys of the caller's own. In a list, an image may be
            the bytes of a file. Arrays are not copied.
        index: the batch's number, for error messages.

    Raises:
        InvalidBatch: where something cannot travel or imgaug would not take it.
    """
    try:
        return _pack(batch)
    except Misfit as misfit:
        raise InvalidBatch(misfit.message, index=index, field=misfit.where) from None


def encode(tree: Tree, index: int, frame_bytes: int) -> list[Buffer]:
    """The packed tree as frames of at most `frame_bytes`, views of the batch's own arrays.

    Raises:
        InvalidBatch: where the batch exceeds a limit.
    """
    return frames_of(encode_parts(tree, index), frame_bytes)


def encode_parts(tree: Tree, index: int) -> Parts:
    """The packed tree as its header and its buffers, views of the batch's own arrays.

    Raises:
        InvalidBatch: where the batch exceeds a limit.
    """
    try:
        return encode_tree(tree)
    except (TypeError, ValueError) as error:
        raise InvalidBatch(f"cannot travel: {error}", index=index) from None


def unpack_request(tree: Tree) -> Any:
    """The batch for the augmenter, on the worker: an imgaug ``UnnormalizedBatch`` or ``Batch``.

    Imports imgaug. Arrays are the tree's own and may be read-only; imgaug copies them.

    Raises:
        ProtocolError: where the tree is not one that :func:`pack` gives, or an image file cannot be decoded.
    """
    if (
        not isinstance(tree, dict)
        or tree.keys() != {"form", "columns"}
        or not isinstance(tree["columns"], dict)
    ):
        raise ProtocolError("a request has a form and columns")
    form, columns = tree["form"], tree["columns"]
    if form not in ("unnormalized", "normalized"):
        raise ProtocolError("a request's form is unnormalized or normalized")
    if not columns.keys() <= set(FIELDS):
        raise ProtocolError("a request has a column of an unknown name")
    from ..compat import import_imgaug  # only here: importing it changes numpy for imgaug's sake

    imgaug = sys.modules.get("imgaug.augmentables") or import_imgaug().augmentables
    records = Records()
    values: dict[str, Any] = {}
    for name, column in columns.items():
        try:
            if name == "images":
                values[name] = images_from_tree(column, channels=form == "normalized")
            else:
                values[name] = records.from_tree(column)
        except Misfit as misfit:
            raise ProtocolError(f"{name}{misfit.where}: {misfit.message}") from None
    kind = imgaug.Batch if form == "normalized" else imgaug.UnnormalizedBatch
    return kind(**values)


def pack_result(batch: Any) -> Tree:
    """The augmented columns of a batch of :func:`unpack_request`, as a tree for the way back.

    Raises:
        InvalidBatch: where the augmenter gave something that cannot travel.
    """
    records = Records()
    columns: dict[str, Tree] = {}
    for name in FIELDS:
        if getattr(batch, f"{name}_unaug") is not None:
            try:
                columns[name] = records.to_tree(getattr(batch, f"{name}_aug"))
            except Misfit as misfit:
                raise InvalidBatch(misfit.message, field=f"{name}_aug{misfit.where}") from None
    return {"columns": columns}


def _pack(batch: Any) -> Packed:
    if isinstance(batch, (np.ndarray, list, tuple)):
        return _packed("unnormalized", {"images": batch}, None)
    if isinstance(batch, dict):
        if not any(name in batch for name in FIELDS):
            keys = ", ".join(map(repr, batch)) or "nothing"
            raise Misfit(f"a dict with {keys:.200}: expected at least one of {', '.join(FIELDS)}")
        rest = {key: None if key in FIELDS else value for key, value in batch.items()}
        return _packed("unnormalized", batch, rest)
    module = sys.modules.get("imgaug.augmentables.batches")
    if module is not None and isinstance(batch, module.UnnormalizedBatch):
        for name in FIELDS:
            # imgaug asserts the same when it normalizes the batch.
            if getattr(batch, f"{name}_aug") is not None:
                raise Misfit("is set already, expected a batch that was not augmented", f"{name}_aug")
        return _packed("unnormalized", _unaugmented(batch), batch)
    if module is not None and isinstance(batch, module.Batch):
        return _packed("normalized", _unaugmented(batch), batch)
    raise Misfit(
        f"got {describe(batch)}, expected an imgaug UnnormalizedBatch or Batch, an array (N,H,W,C) or "
        "(N,H,W), a list of images, or a dict with imgaug's field names"
    )


def _unaugmented(batch: Any) -> dict[str, Any]:
    return {name: getattr(batch, f"{name}_unaug") for name in FIELDS}


def _packed(form: str, fields: dict[Any, Any], original: Any) -> Packed:
    records = Records()
    columns: dict[str, Tree] = {}
    for name in FIELDS:
        value = fields.get(name)
        if value is None:
            continue
        try:
            if name == "images":
                columns[name] = images_to_tree(value, records)
                continue
            columns[name] = records.to_tree(value)
            if form == "unnormalized":
                images = columns.get("images")
                check_form(name, columns[name], None if images is None else number_of_images(images))
        except Misfit as misfit:
            raise misfit.inside(name) from None
    return Packed({"form": form, "columns": columns}, Keep(tuple(columns), original))


def _result_columns(result: Tree, names: tuple[str, ...]) -> dict[str, Any]:
    columns = result.get("columns") if isinstance(result, dict) else None
    if not isinstance(columns, dict) or columns.keys() != set(names):
        raise ProtocolError("a result has the columns of its request")
    records = Records()
    values: dict[str, Any] = {}
    for name, column in columns.items():
        try:
            values[name] = records.from_tree(column)
        except Misfit as misfit:
            raise ProtocolError(f"{name}{misfit.where}: {misfit.message}") from None
    images = values.get("images")
    listed = isinstance(images, list) and all(isinstance(image, np.ndarray) for image in images)
    if images is not None and not listed and not isinstance(images, np.ndarray):
        raise ProtocolError("images: expected an array or a list of arrays")
    return values
