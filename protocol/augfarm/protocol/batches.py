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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .codec import Buffer, Parts, Tree, frames_of
from .codec import encode_parts as encode_tree
from .errors import InvalidBatch, ProtocolError
from .forms import check_form
from .images import (
    Wanted,
    encoded_from_tree,
    images_from_tree,
    images_to_tree,
    number_of_images,
    wanted_files,
)
from .records import Misfit, Records, describe

__all__ = [
    "FIELDS",
    "Keep",
    "Packed",
    "encode",
    "encode_parts",
    "pack",
    "pack_result",
    "unpack_request",
    "unpack_with_files",
]

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
    """As :func:`unpack_with_files`, the batch alone."""
    return unpack_with_files(tree)[0]


def unpack_with_files(tree: Tree) -> tuple[Any, list[Wanted | None]]:
    """The batch for the augmenter, on the worker: an imgaug ``UnnormalizedBatch`` or ``Batch``.

    Imports imgaug. Arrays are the tree's own and may be read-only; imgaug copies them.

    Returns:
        The batch, and for each image how its result is written as a file (None: not); an empty list where no
        image is. Alpha of such images is in the batch's heatmaps.

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
    wanted: list[Wanted | None] = []
    for name, column in columns.items():
        try:
            if name == "images":
                images, wanted = wanted_files(column)
                values[name] = images_from_tree(images, channels=form == "normalized")
            else:
                values[name] = records.from_tree(column)
        except Misfit as misfit:
            raise ProtocolError(f"{name}{misfit.where}: {misfit.message}") from None
    if _has_alpha(wanted):
        if values.get("heatmaps") is not None:
            raise ProtocolError("heatmaps: images with alpha, which travels as heatmaps, have no others")
        values["heatmaps"] = [
            _alpha_as_heatmap(imgaug, image, want)
            for image, want in zip(values["images"], wanted, strict=True)
        ]
    kind = imgaug.Batch if form == "normalized" else imgaug.UnnormalizedBatch
    return kind(**values), wanted


def pack_result(batch: Any, wanted: Sequence[Wanted | None] = ()) -> Tree:
    """The augmented columns of a batch of :func:`unpack_with_files`, as a tree for the way back.

    Args:
        wanted: as :func:`unpack_with_files` gave it.

    Raises:
        InvalidBatch: where the augmenter gave something that cannot travel, or no file can hold.
    """
    records = Records()
    columns: dict[str, Tree] = {}
    fields: tuple[str, ...] = FIELDS
    if wanted:
        columns["images"] = _encoded(batch, wanted)
        fields = tuple(
            name for name in FIELDS if name != "images" and not (name == "heatmaps" and _has_alpha(wanted))
        )
    for name in fields:
        if getattr(batch, f"{name}_unaug") is not None:
            try:
                columns[name] = records.to_tree(getattr(batch, f"{name}_aug"))
            except Misfit as misfit:
                raise InvalidBatch(misfit.message, field=f"{name}_aug{misfit.where}") from None
    return {"columns": columns}


def _has_alpha(wanted: Sequence[Wanted | None]) -> bool:
    return any(want is not None and want.picture.alpha is not None for want in wanted)


def _alpha_as_heatmap(imgaug: Any, image: np.ndarray[Any, Any], want: Wanted | None) -> Any:
    alpha = None if want is None else want.picture.alpha
    if alpha is None:  # each image of a batch needs one
        values = np.zeros((1, 1), np.float32)
    else:
        values = (alpha / np.iinfo(alpha.dtype).max).astype(np.float32)
    return imgaug.HeatmapsOnImage(values, shape=image.shape)


def _encoded(batch: Any, wanted: Sequence[Wanted | None]) -> Tree:
    """The augmented images, those that are wanted as files as records of these."""
    images = batch.images_aug
    if images is None or len(images) != len(wanted):
        raise InvalidBatch("the augmenter did not give one for each that it got", field="images_aug")
    column: list[Tree] = []
    for position, (image, want) in enumerate(zip(images, wanted, strict=True)):
        if want is None:
            column.append(image)
            continue
        alpha = None
        if want.picture.alpha is not None:
            heatmap = batch.heatmaps_aug[position]
            if heatmap.arr_0to1.shape[:2] != image.shape[:2]:  # as augmenters of images alone leave it
                heatmap = heatmap.resize(image.shape[:2])
            dtype = want.picture.alpha.dtype
            alpha = (heatmap.arr_0to1[..., 0] * np.iinfo(dtype).max).round().astype(dtype)
        try:
            column.append(want.encode(image, alpha))
        except Misfit as misfit:
            raise InvalidBatch(misfit.message, field=f"images_aug[{position}]") from None
    return column


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
            if name == "images" and type(column) is list:
                values[name] = [_result_image(item) for item in column]
                continue
            values[name] = records.from_tree(column)
        except Misfit as misfit:
            raise ProtocolError(f"{name}{misfit.where}: {misfit.message}") from None
    images = values.get("images")
    listed = isinstance(images, list)
    if images is not None and not listed and not isinstance(images, np.ndarray):
        raise ProtocolError("images: expected an array or a list of arrays")
    return values


def _result_image(tree: Tree) -> Any:
    return tree if isinstance(tree, np.ndarray) else encoded_from_tree(tree)
