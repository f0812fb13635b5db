"""COCO's run-length coding of masks: runs of 0 and 1 in turn, down the columns.

``counts`` is a list of their lengths, or a text that packs them, which pycocotools reads and writes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["decode_rle", "encode_rle", "needs_pycocotools"]

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def needs_pycocotools(segmentation: Any) -> bool:
    """Whether it is a packed mask."""
    return isinstance(segmentation, dict) and isinstance(segmentation.get("counts"), str)


def decode_rle(segmentation: Any, size: tuple[int, int]) -> Mask:
    """The mask (H,W).

    Args:
        segmentation: {"size": [H, W], "counts": ...}
        size: (H,W) that it should have.

    Raises:
        ValueError: where it is none, or of another size.
    """
    said, counts = segmentation.get("size"), segmentation.get("counts")
    if list(said or ()) != list(size):
        raise ValueError(f"a mask whose size is {said}, expected {list(size)}, height and width upright")
    if isinstance(counts, str):
        from pycocotools import mask

        return np.asarray(mask.decode({"size": said, "counts": counts.encode()})).astype(bool)
    runs = np.asarray(counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != size[0] * size[1]:
        raise ValueError(f"a mask whose runs do not fill {size[0]}x{size[1]} pixels")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size[1], size[0]).T


def encode_rle(mask: Mask, *, packed: bool) -> dict[str, Any]:
    """The mask (H,W) as a segmentation."""
    size = [int(mask.shape[0]), int(mask.shape[1])]
    if packed:
        from pycocotools import mask as masks

        coded = masks.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"size": size, "counts": coded["counts"].decode()}
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = np.concatenate([[0], changes, [len(flat)]])
    runs = np.diff(edges).tolist()
    return {"size": size, "counts": [0, *runs] if flat[0] else runs}
