"""Which augmenters kernels replace, and that they replace nothing else."""

import copy

import imgaug.augmenters as iaa
import numpy as np
import pytest

from augfarm.worker import kernels
from augfarm.worker.kernels import registry
from kernel_cases import both, picture

pytestmark = pytest.mark.skipif(
    not kernels.replaced("fast"), reason="this imgaug is not the one kernels are for"
)


class Mine(iaa.PiecewiseAffine):
    """A user's own."""


def pipeline():
    return iaa.Sequential([iaa.Sometimes(0.5, [iaa.PiecewiseAffine(0.03)]), iaa.Fliplr(0.5)])


def test_augmenters_are_replaced_wherever_they_stand_in_a_pipeline():
    augmenter = iaa.Sequential(
        [
            iaa.Sometimes(
                0.5, iaa.PiecewiseAffine(0.03), iaa.BlendAlpha(0.5, iaa.Voronoi(iaa.UniformPointsSampler(9)))
            ),
            iaa.MaxPooling(2),
        ]
    )
    assert kernels.install(augmenter) == ["MaxPooling", "PiecewiseAffine", "Voronoi"]
    assert kernels.installed(augmenter) == ["MaxPooling", "PiecewiseAffine", "Voronoi"]


def test_an_exact_pipeline_gets_only_kernels_that_are_equal_bit_for_bit():
    augmenter = iaa.Sequential(
        [iaa.PiecewiseAffine(0.03), iaa.MaxPooling(2), iaa.ElasticTransformation(9.0, 3.0)]
    )
    assert kernels.install(augmenter, "exact") == ["MaxPooling"]


def test_a_subclass_of_the_users_keeps_its_own_code():
    augmenter = Mine(0.03)
    assert kernels.install(augmenter) == []
    assert type(augmenter) is Mine


def test_another_pipeline_of_the_process_stays_imgaugs():
    before = vars(iaa.PiecewiseAffine).copy()
    other, replaced = pipeline(), pipeline()
    kernels.install(replaced)
    assert vars(iaa.PiecewiseAffine) == before
    assert kernels.installed(other) == []
    assert type(other[0].then_list[0]) is iaa.PiecewiseAffine


def test_a_replaced_augmenter_has_the_name_of_its_class_and_can_be_copied():
    augmenter = pipeline()
    shown = str(augmenter)
    kernels.install(augmenter)
    assert str(augmenter) == shown
    assert kernels.installed(copy.deepcopy(augmenter)) == ["PiecewiseAffine"]


def test_an_imgaug_whose_files_are_others_keeps_its_code_module_by_module(monkeypatch):
    monkeypatch.setitem(registry._SOURCES, "imgaug.augmenters.geometric", "another file")
    registry.replaced.cache_clear()
    try:
        augmenter = iaa.Sequential([iaa.PiecewiseAffine(0.03), iaa.MaxPooling(2)])
        assert kernels.install(augmenter) == ["MaxPooling"]
    finally:
        registry.replaced.cache_clear()


def test_every_kernel_that_is_named_is_there():
    assert len(kernels.replaced("fast")) == len(kernels.known())
    assert all(issubclass(kernel, original) for original, kernel in kernels.replaced("fast").items())


def test_images_that_stand_twice_in_a_list_are_augmented_once_each():
    image = picture("photograph", np.random.default_rng(0), 40, 50)
    for augmenter in (
        iaa.Multiply(1.3),
        iaa.GaussianBlur(1.0),
        iaa.PiecewiseAffine(0.03),
        iaa.pillike.FilterBlur(),
    ):
        from imgaug.augmentables.batches import UnnormalizedBatch

        theirs, ours = both(
            iaa.Sequential([iaa.Fliplr(0.5), augmenter]), UnnormalizedBatch(images=[image] * 4), 1
        )
        differs = max(
            np.abs(one.astype(int) - other.astype(int)).max()
            for one, other in zip(theirs.images_aug, ours.images_aug, strict=True)
        )
        assert differs <= 4, augmenter
