"""Valid inputs of each target, for a fuzzer or Hypothesis to change."""

from __future__ import annotations

import io

import cv2
import imageio.v3
import numpy as np
from imgaug import augmenters as iaa
from imgaug.augmentables.batches import Batch, UnnormalizedBatch
from imgaug.augmentables.heatmaps import HeatmapsOnImage
from imgaug.augmentables.lines import LineString, LineStringsOnImage
from imgaug.augmentables.polys import Polygon, PolygonsOnImage
from imgaug.augmentables.segmaps import SegmentationMapsOnImage
from PIL import Image

from augfarm.protocol import messages, pipelines
from augfarm.protocol.augment import Recipe
from augfarm.protocol.batches import pack
from augfarm.protocol.codec import encode_body
from augfarm.protocol.images import ImageFile
from augfarm.protocol.seeds import Seed
from commands import sample
from farms import quokka_batches, ten_augmenters, tutorial

from .targets import join

__all__ = ["CORPUS", "files", "requests"]

EXTENSIONS = (".png", ".jpg", ".webp", ".gif", ".bmp", ".tiff", ".ppm")
SQUARE = [(1, 1), (9, 1), (9, 9), (1, 9)]


def files() -> list[bytes]:
    """One small image in each format."""
    image = np.arange(12 * 12 * 3, dtype=np.uint8).reshape(12, 12, 3)
    return [imageio.v3.imwrite("<bytes>", image, extension=extension) for extension in EXTENSIONS]


def deep_files() -> list[bytes]:
    """Images of 16 bits, with alpha, and with a palette."""
    image = np.arange(12 * 12 * 4, dtype=np.uint16).reshape(12, 12, 4) * 100
    palette = Image.fromarray((image[..., :3] // 257).astype(np.uint8)).quantize(8)
    sink = io.BytesIO()
    palette.save(sink, "PNG", transparency=0)
    return [
        *(cv2.imencode(extension, image)[1].tobytes() for extension in (".png", ".tiff")),
        sink.getvalue(),
    ]


def requests() -> list[object]:
    """Batches with everything that a batch may hold."""
    (quokka,) = quokka_batches(1, images=2, size=16)
    shape = quokka.images_unaug[0].shape
    everything = {
        "heatmaps": [HeatmapsOnImage(np.ones((8, 8, 1), np.float32), shape)] * 2,
        "segmentation_maps": [SegmentationMapsOnImage(np.ones((8, 8, 1), np.int32), shape)] * 2,
        "polygons": [PolygonsOnImage([Polygon(SQUARE, label="one")], shape)] * 2,
        "line_strings": [LineStringsOnImage([LineString(SQUARE)], shape)] * 2,
        "keypoints": quokka.keypoints_unaug,
        "bounding_boxes": quokka.bounding_boxes_unaug,
    }
    return [
        UnnormalizedBatch(images=quokka.images_unaug, **everything),
        Batch(images=np.stack(quokka.images_unaug), **everything),
        UnnormalizedBatch(images=np.zeros((2, 40, 40, 3), np.uint8), keypoints=[[(1, 2)], [(3.0, 4)]]),
        {"images": files(), "bounding_boxes": [[(1, 2, 3, 4)]] * len(EXTENSIONS)},
        [
            ImageFile(octets, "png", rgb=number % 2 == 0)
            for number, octets in enumerate(files() + deep_files())
        ],
        np.zeros((1, 50, 50), np.float64),
    ]


def _bodies(trees: list[object], frame_bytes: int) -> list[bytes]:
    return [join([bytes(f) for f in encode_body(tree, frame_bytes=frame_bytes)]) for tree in trees]


def _corpus() -> dict[str, list[bytes]]:
    trees = [pack(batch, 0).tree for batch in requests()]
    recipe = Recipe(pipelines.encode(iaa.Identity()))
    results = [recipe.augment(tree, Seed("batch", 0, 0, 0)) for tree in trees]
    specs = [pipelines.encode(each) for each in (tutorial(), ten_augmenters(), iaa.Rain(), iaa.Identity())]
    return {
        "command": [messages.encode(sample(kind)) for kind in messages.BY_CODE.values()],
        "body": _bodies(trees, 2**18) + _bodies(trees, 1000),
        "request": _bodies(trees, 2**18),
        "result": _bodies(results, 2**18),
        "image": files() + deep_files(),
        "spec": specs,
    }


CORPUS = _corpus()
