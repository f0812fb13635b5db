"""Random cases for the kernels, and how far a kernel's result is from imgaug's. For tests and for bench/."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import imgaug as ia
import imgaug.augmenters as iaa
import imgaug.random
import numpy as np
import skimage
from imgaug.augmentables.batches import UnnormalizedBatch

from augfarm.worker import kernels
from sweep.catalogue import AUGMENTERS

__all__ = [
    "ANNOTATIONS",
    "KINDS",
    "Difference",
    "annotated",
    "augmenter",
    "both",
    "difference",
    "name_of",
    "photographs",
    "picture",
]

Array = Any

#: Of pictures.
KINDS = ("photograph", "noise", "edges")
#: Each with how the points of one object are told.
ANNOTATIONS = ("keypoints", "bounding_boxes", "polygons", "line_strings", "heatmaps", "segmentation_maps")
#: Photographs that scikit-image's wheel brings, besides imgaug's quokka.
_OF_SKIMAGE = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "camera.png",
    "rocket.jpg",
    "ihc.png",
    "motorcycle_left.png",
)

_photographs: list[tuple[str, Array]] = []


def photographs() -> list[tuple[str, Array]]:
    """The photographs that are at hand, with their names: (H, W, 3) of uint8."""
    if not _photographs:
        import imageio.v3 as iio

        _photographs.append(("quokka", ia.quokka()))
        folder = Path(skimage.__file__).parent / "data"
        for name in _OF_SKIMAGE:
            if (folder / name).is_file():
                image = iio.imread(folder / name)
                image = np.dstack([image] * 3) if image.ndim == 2 else image[..., :3]
                _photographs.append((Path(name).stem, np.ascontiguousarray(image)))
    return _photographs


def picture(kind: str, rng: Any, height: int, width: int, channels: int = 3) -> Array:
    """A picture of this kind and size, (H, W, C) of uint8."""
    if kind == "noise":
        return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    if kind == "edges":
        image = np.zeros((height, width, channels), np.uint8)
        image[:: rng.integers(3, 12)] = 255
        image[:, :: rng.integers(3, 12)] = rng.integers(0, 256, channels)
        image[height // 4 : height // 2, width // 3 : width // 2] = (np.arange(channels) % 2) * 255
        return image
    found = photographs()
    _, photograph = found[rng.integers(len(found))]
    scaled = ia.imresize_single_image(photograph, (height, width), interpolation="area")
    return np.ascontiguousarray(np.tile(scaled, (1, 1, -(-channels // 3)))[..., :channels])


def augmenter(name: str, rng: Any) -> iaa.Augmenter:
    """An augmenter of this class with arguments such as users give, some of them drawn."""
    make = _MADE.get(name)
    return make(rng) if make is not None else AUGMENTERS[name]()


def name_of(module: str, name: str) -> str:
    """A class's name in the catalogue."""
    return f"{module.rpartition('.')[2]}.{name}"


def _one_of(rng: Any, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def _affine(rng: Any, cls: Any = iaa.Affine, **arguments: Any) -> Any:
    return cls(
        **arguments,
        order=_one_of(rng, [0, 1, 3, 4, [0, 1]]),
        mode=_one_of(rng, ["constant", "edge", "wrap", "reflect", "symmetric"]),
        cval=_one_of(rng, [0, (0, 255), 128]),
        fit_output=_one_of(rng, [False, False, True]),
        backend=_one_of(rng, ["auto", "auto", "cv2", "skimage"]) if rng.random() < 0.2 else "auto",
    )


def _any_affine(rng: Any) -> Any:
    several = {
        "scale": (0.6, 1.4),
        "rotate": (-90, 90),
        "shear": {"x": (-20, 20), "y": (-20, 20)},
        "translate_percent": {"x": (-0.2, 0.2), "y": (-0.2, 0.2)},
        "translate_px": (-9, 9),
    }
    chosen = {name: value for name, value in several.items() if rng.random() < 0.5}
    if "translate_px" in chosen:
        chosen.pop("translate_percent", None)
    return _affine(rng, **chosen)


#: Where the catalogue's arguments leave much untried.
_MADE: dict[str, Callable[[Any], iaa.Augmenter]] = {
    "geometric.Affine": _any_affine,
    "geometric.Rotate": lambda rng: _affine(rng, iaa.Rotate, rotate=(-45, 45)),
    "geometric.ScaleX": lambda rng: _affine(rng, iaa.ScaleX, scale=(0.5, 1.5)),
    "geometric.ScaleY": lambda rng: _affine(rng, iaa.ScaleY, scale=(0.5, 1.5)),
    "geometric.ShearX": lambda rng: _affine(rng, iaa.ShearX, shear=(-30, 30)),
    "geometric.ShearY": lambda rng: _affine(rng, iaa.ShearY, shear=(-30, 30)),
    "geometric.TranslateX": lambda rng: _affine(rng, iaa.TranslateX, px=(-9, 9)),
    "geometric.TranslateY": lambda rng: _affine(rng, iaa.TranslateY, percent=(-0.2, 0.2)),
    "arithmetic.Multiply": lambda rng: iaa.Multiply(
        _one_of(rng, [(0.5, 1.5), (-0.5, 3.0), 1.0]), per_channel=_one_of(rng, [0, 0.5, 1])
    ),
    "blur.GaussianBlur": lambda rng: iaa.GaussianBlur(_one_of(rng, [(0.0, 1.0), (0.0, 6.0), 0.0])),
    "pooling.MaxPooling": lambda rng: iaa.MaxPooling(((1, 7), (1, 7)), keep_size=rng.random() < 0.5),
    "pooling.MinPooling": lambda rng: iaa.MinPooling(((1, 7), (1, 7)), keep_size=rng.random() < 0.5),
    "pooling.AveragePooling": lambda rng: iaa.AveragePooling(((1, 7), (1, 7)), keep_size=rng.random() < 0.5),
    "geometric.PiecewiseAffine": lambda rng: iaa.PiecewiseAffine(
        scale=_one_of(rng, [0.03, (0.01, 0.05)]), nb_rows=(2, 4), nb_cols=(2, 4)
    ),
    "geometric.ElasticTransformation": lambda rng: iaa.ElasticTransformation(
        alpha=_one_of(rng, [(5.0, 40.0), 80.0]),
        sigma=_one_of(rng, [(2.0, 8.0), 5.0]),
        order=_one_of(rng, [0, 1, 3]),
        mode=_one_of(rng, ["constant", "nearest", "reflect", "wrap"]),
        cval=_one_of(rng, [0, (0, 255)]),
    ),
}


def annotated(images: list[Array], names: tuple[str, ...], rng: Any, *, points: int = 5) -> UnnormalizedBatch:
    """A batch of these images with annotations of these kinds at random places."""
    return UnnormalizedBatch(
        images=images,
        **{name: [_annotate(name, image.shape, rng, points) for image in images] for name in names},
    )


def _annotate(name: str, shape: Any, rng: Any, points: int) -> Any:
    height, width = shape[:2]
    low, size = np.array([-0.1 * width, -0.1 * height]), np.array([1.2 * width, 1.2 * height])

    def draw(count: int) -> Array:
        return low + size * rng.random((count, 2))

    if name == "keypoints":
        return ia.KeypointsOnImage([ia.Keypoint(float(x), float(y)) for x, y in draw(points)], shape)
    if name == "bounding_boxes":
        corners = [np.sort(draw(2), axis=0).ravel() for _ in range(2)]
        return ia.BoundingBoxesOnImage(
            [ia.BoundingBox(*map(float, each), label="a") for each in corners], shape
        )
    if name == "polygons":
        triangle = np.array([[0.2, 0.2], [0.8, 0.3], [0.5, 0.9]]) + rng.uniform(-0.1, 0.1, (3, 2))
        return ia.PolygonsOnImage([ia.Polygon(triangle * [width, height])], shape)
    if name == "line_strings":
        return ia.LineStringsOnImage([ia.LineString(draw(4))], shape)
    small = max(2, height // 2), max(2, width // 2)
    if name == "heatmaps":
        return ia.HeatmapsOnImage(rng.random((*small, 2), dtype=np.float32), shape)
    return ia.SegmentationMapsOnImage(rng.integers(0, 4, (*small, 1)).astype(np.int32), shape)


def both(augmenter: Any, batch: UnnormalizedBatch, seed: int, kind: str = "fast") -> tuple[Any, Any]:
    """The batch by imgaug and by the kernels of this kind, with the same seed; the batch stays as it is."""
    results = []
    for kernel in (False, True):
        mine = copy.deepcopy(augmenter)
        if kernel:
            assert kernels.install(mine, kind), "nothing was replaced"
        imgaug.random.seed(seed)
        mine.seed_(seed)
        results.append(mine.augment_batch_(copy.deepcopy(batch)))
        results.append(imgaug.random.get_global_rng().state)
    theirs, state, ours, state_after = results
    assert repr(state) == repr(state_after), "the global generator went another way"
    return theirs, ours


@dataclass
class Difference:
    """How far results are apart. `add` more of them; sizes, dtypes and types must agree.

    Attributes:
        levels: how many values of images differ by how much: counts of 0 to 255 grey levels.
        points: the most that coordinates of annotations differ, in pixels.
        heatmaps: the most that heatmaps differ; they are from 0 to 1.
        segmaps: the share of the classes of segmentation maps that differ, at most.
    """

    levels: Array = field(default_factory=lambda: np.zeros(256, np.int64))
    points: float = 0.0
    heatmaps: float = 0.0
    segmaps: float = 0.0

    @property
    def largest(self) -> int:
        """In grey levels."""
        return int(np.flatnonzero(self.levels).max(initial=0))

    def percentile(self, share: float = 0.999) -> int:
        """That share of the values differs by no more grey levels than this."""
        return int(np.searchsorted(np.cumsum(self.levels), share * self.levels.sum()))

    def add(self, theirs: UnnormalizedBatch, ours: UnnormalizedBatch) -> None:
        for one, other in zip(theirs.images_aug, ours.images_aug, strict=True):
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
            if one.dtype != np.uint8:  # of its own range, as if that were 255
                apart = 255 * apart / (1 if one.dtype.kind in "bf" else np.iinfo(one.dtype).max)
            self.levels += np.bincount(np.ceil(apart - 1e-6).astype(int).ravel().clip(0, 255), minlength=256)
        for name in ANNOTATIONS:
            each = getattr(theirs, f"{name}_aug"), getattr(ours, f"{name}_aug")
            for one, other in zip(each[0] or [], each[1] or [], strict=True):
                self._add_annotations(name, one, other)

    def _add_annotations(self, name: str, one: Any, other: Any) -> None:
        assert type(one) is type(other)
        assert one.shape == other.shape
        if name == "heatmaps":
            assert one.arr_0to1.shape == other.arr_0to1.shape
            self.heatmaps = max(self.heatmaps, float(np.abs(one.arr_0to1 - other.arr_0to1).max(initial=0)))
        elif name == "segmentation_maps":
            assert (one.arr.shape, one.arr.dtype) == (other.arr.shape, other.arr.dtype)
            self.segmaps = max(self.segmaps, float((one.arr != other.arr).mean()))
        else:
            here, there = one.to_xy_array(), other.to_xy_array()
            assert here.shape == there.shape
            self.points = max(self.points, float(np.abs(here - there).max(initial=0)))


def difference(augmenter: Any, batch: UnnormalizedBatch, seed: int, kind: str = "fast") -> Difference:
    """How far the kernels are from imgaug with this batch and seed."""
    found = Difference()
    found.add(*both(augmenter, batch, seed, kind))
    return found
