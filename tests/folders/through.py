"""Annotations through a form and a pipeline, as a run has them, in this process."""

from pathlib import Path

import numpy as np

from augfarm.client.folders.annotations.beside import Beside
from augfarm.client.folders.annotations.bundle import Bundle, columns_of, results_of
from augfarm.protocol import pipelines
from augfarm.protocol.augment import Recipe
from augfarm.protocol.batches import encode, pack
from augfarm.protocol.codec import decode_body
from augfarm.protocol.seeds import Seed


def through(form, augmenter, path="a.png", size=(60, 80), copy=0, output="a_aug0000.png", maps=0):
    """What the form writes for one image; None where it has nothing for it.

    Args:
        maps: so many maps are in the bundle already.
    """
    bundle = Bundle(size)
    for _ in range(maps):
        bundle.add_map(np.ones(size, int))
    token = form.read(path, bundle)
    if token is None:
        return None
    image = np.zeros((*size, 3), np.uint8)
    packed = pack({"images": [image], **columns_of([bundle])}, 0)
    request = decode_body(encode(packed.tree, 0, 2**30))
    result = packed.keep.restore(Recipe(pipelines.encode(augmenter)).augment(request, Seed("batch", 1, 0)))
    augmented = results_of(result, 0, bundle, result["images"][0].shape)
    return form.write(path, copy, output, token, augmented)


def beside(folder, option="--labels"):
    """The files lie beside the images."""
    root = Path(folder).resolve()
    return Beside(folder, root, root.parent / "dst", option)
