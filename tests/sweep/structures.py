"""Pipelines whose shape is the point: sharing, order, choice, depth, channels, colour spaces, blending."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import imgaug.augmenters as iaa
import imgaug.parameters as iap
import imgaug.random

from sweep import my_augs

__all__ = ["STRUCTURES"]


def _add() -> iaa.Augmenter:
    return iaa.Add((-60, 60), per_channel=0.5)


def _move() -> iaa.Augmenter:
    return iaa.Affine(rotate=(-20, 20), scale=(0.8, 1.2), order=[0, 1])


def _fixed(make: Callable[[], iaa.Augmenter]) -> iaa.Augmenter:
    """What `make` builds, with the same generators each time: to_deterministic() draws one from imgaug's."""
    state = imgaug.random.get_global_rng().state
    imgaug.random.seed(8)
    try:
        return make()
    finally:
        imgaug.random.get_global_rng().state = state


def _shared_generator() -> iaa.Augmenter:
    shared = imgaug.random.RNG(7)
    return iaa.Sequential([iaa.Add((-60, 60), seed=shared), _move(), iaa.Multiply((0.5, 1.5), seed=shared)])


def _shared_deterministic_generator() -> iaa.Augmenter:
    shared = imgaug.random.RNG(7)
    children = [iaa.Add((-60, 60), seed=shared), iaa.Multiply((0.5, 1.5), seed=shared)]
    for child in children:
        child.deterministic = True
    return iaa.Sequential([*children, _move()])


def _twice() -> iaa.Augmenter:
    same = _add()
    return iaa.Sequential([same, iaa.Sometimes(0.5, same, _move()), iaa.Fliplr(0.5), same])


def _same_parameter() -> iaa.Augmenter:
    shared = iap.DeterministicList([1, 5, 9])
    return iaa.Sequential([iaa.Add(shared), iaa.Crop(px=shared, keep_size=False), _move()])


def _ten_deep() -> iaa.Augmenter:
    pipeline: Any = iaa.Sequential([_add(), _move()], random_order=True)
    for wrap in (
        lambda child: iaa.Sometimes(0.9, child, iaa.Fliplr(1.0)),
        lambda child: iaa.SomeOf((1, 2), [child, _add()], random_order=True),
        lambda child: iaa.OneOf([child, child]),
        lambda child: iaa.BlendAlpha((0.5, 1.0), child, iaa.Invert(0.5)),
        lambda child: iaa.WithChannels([0, 2], child),
        lambda child: iaa.WithColorspace("HSV", children=child),
        lambda child: iaa.Sequential([child, iaa.Fliplr(0.5)], random_order=True),
        lambda child: iaa.KeepSizeByResize([child, iaa.Crop(px=(0, 3), keep_size=False)]),
        lambda child: iaa.BlendAlphaElementwise((0.3, 1.0), child),
        lambda child: iaa.Sequential([iaa.Sequential([]), child]),
    ):
        pipeline = wrap(pipeline)
    return pipeline


STRUCTURES: dict[str, Callable[[], iaa.Augmenter]] = {
    "random order": lambda: iaa.Sequential([_add(), _move(), iaa.Flipud(0.5), _add()], random_order=True),
    "lists as children": lambda: iaa.Sometimes(0.5, [_add(), _move()], [iaa.Flipud(0.5)]),
    "Sometimes": lambda: iaa.Sometimes(iap.Binomial((0.3, 0.7)), _add(), _move()),
    "SomeOf": lambda: iaa.SomeOf((0, None), [_add(), _move(), iaa.Fliplr(0.5)], random_order=True),
    "SomeOf of a number": lambda: iaa.SomeOf(2, [_add(), _move(), iaa.Fliplr(0.5)]),
    "OneOf": lambda: iaa.OneOf([_add(), _move(), iaa.Sequential([_add(), iaa.Fliplr(0.5)])]),
    "no children": lambda: iaa.Sequential(
        [iaa.Sequential([]), iaa.SomeOf(0, []), iaa.Sometimes(0.5), _add()]
    ),
    "WithChannels": lambda: iaa.WithChannels(1, [_add(), iaa.Multiply((0.5, 1.5))]),
    "WithColorspace": lambda: iaa.WithColorspace("Lab", children=iaa.WithChannels(0, _add())),
    "brightness": lambda: iaa.WithBrightnessChannels(_add(), to_colorspace=["HSV", "Lab"]),
    "blending of moves": lambda: iaa.BlendAlpha((0.0, 1.0), _move(), iaa.Sequential([_move(), _add()])),
    "shared generator": _shared_generator,
    "shared generator, deterministic": _shared_deterministic_generator,
    "the same augmenter three times": _twice,
    "the same parameter twice": _same_parameter,
    "ten deep": _ten_deep,
    "seeded": lambda: iaa.Sequential(
        [iaa.Add((-60, 60), seed=3), iaa.Affine(rotate=(-9, 9), seed=4)], seed=5
    ),
    "to_deterministic": lambda: _fixed(lambda: iaa.Sequential([_add(), _move()]).to_deterministic()),
    "a deterministic child": lambda: _fixed(
        lambda: iaa.Sequential([_add().to_deterministic(), _move(), iaa.Fliplr(0.5)], random_order=True)
    ),
    "the same deterministic child twice": lambda: _fixed(
        lambda: iaa.Sequential([child := _move().to_deterministic(), _add(), child])
    ),
    "not activated": lambda: iaa.Sequential([_off(iaa.Invert(1.0)), _move(), _off(iaa.Sequential([_add()]))]),
    "named": lambda: iaa.Sequential([iaa.Add((-9, 9), name="größer")], name='"quoted"\n'),
}

_GENERATORS: dict[str, Callable[[], Any]] = {
    "one number": lambda: iaa.StochasticParameterMaskGen(iap.Uniform(0.2, 0.8), True),
    "simplex noise": lambda: iaa.StochasticParameterMaskGen(iap.SimplexNoise((2, 8)), False),
    "some colours": lambda: iaa.SomeColorsMaskGen(nb_bins=(3, 6)),
    "horizontal": iaa.HorizontalLinearGradientMaskGen,
    "vertical": lambda: iaa.VerticalLinearGradientMaskGen(min_value=(0.1, 0.2), end_at=0.9),
    "grid": lambda: iaa.RegularGridMaskGen((2, 5), [3, 4], alpha=(0.2, 0.9)),
    "checkerboard": lambda: iaa.CheckerboardMaskGen((2, 5), 3),
    "classes": lambda: iaa.SegMapClassIdsMaskGen([1, 2, 3], nb_sample_classes=(1, 2)),
    "boxes": lambda: iaa.BoundingBoxesMaskGen(["cat", "dog"], nb_sample_labels=1),
    "boxes of all labels": lambda: iaa.BoundingBoxesMaskGen(None),
    "inverted twice": lambda: iaa.InvertMaskGen(0.5, iaa.InvertMaskGen(0.5, iaa.CheckerboardMaskGen(2, 3))),
}

STRUCTURES |= {
    f"mask generator: {name}": lambda make=make: iaa.BlendAlphaMask(make(), _add(), _move())
    for name, make in _GENERATORS.items()
}

_SAMPLERS: dict[str, Callable[[], Any]] = {
    "regular": lambda: iaa.RegularGridPointsSampler((3, 6), [4, 5]),
    "relative": lambda: iaa.RelativeRegularGridPointsSampler((0.1, 0.2), 0.1),
    "uniform": lambda: iaa.UniformPointsSampler((10, 30)),
    "dropout": lambda: iaa.DropoutPointsSampler(iaa.UniformPointsSampler(30), (0.1, 0.5)),
    "subsampling": lambda: iaa.SubsamplingPointsSampler(iaa.RegularGridPointsSampler(6, 6), 10),
}

STRUCTURES |= {
    f"point sampler: {name}": lambda make=make: iaa.Voronoi(make(), p_replace=(0.5, 1.0))
    for name, make in _SAMPLERS.items()
}

STRUCTURES |= {
    "the user's mask generator": lambda: iaa.BlendAlphaMask(my_augs.Stripes(0.5), _add(), _move()),
    "the user's point sampler": lambda: iaa.Voronoi(iaa.DropoutPointsSampler(my_augs.Diagonal((9, 30)), 0.1)),
    "the user's colorizer": lambda: iaa.Canny(alpha=(0.5, 1.0), colorizer=my_augs.Fade()),
    "the user's parameter": lambda: iaa.Add(my_augs.Steps(7), per_channel=True),
}


def _off(augmenter: iaa.Augmenter) -> iaa.Augmenter:
    augmenter.activated = False
    return augmenter
