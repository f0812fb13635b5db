"""Every form of a batch over a real farm: what imgaug's Pool would give comes back, in the same form."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import imgaug.augmenters as iaa
import numpy as np
from imgaug.augmentables.batches import Batch, UnnormalizedBatch

from alike import assert_same
from augfarm.client import Client
from farms import Farm
from sweep import far_side, judging
from sweep.forms import FORMS, NORMALIZED

#: imgaug's own limits: these augmenters take all dtypes and all sizes.
ANY_DTYPE = ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
ANY_DTYPE += ("float16", "float32", "float64")


def pipeline() -> iaa.Augmenter:
    return iaa.Sequential(
        [iaa.Fliplr(0.5), iaa.Affine(rotate=(-20, 20)), iaa.Crop(px=(0, 3), keep_size=False)]
    )


def flips() -> iaa.Augmenter:
    return iaa.Sequential([iaa.Fliplr(0.5), iaa.Flipud(0.5), iaa.Crop(px=(0, 3), keep_size=False)])


@pytest.fixture(scope="module")
def client(two_workers: Farm) -> Iterator[Client]:
    with Client(pipeline(), two_workers.clients, seed=far_side.BASE_SEED, seeding="batch") as client:
        yield client


@pytest.fixture(scope="module")
def flipping(two_workers: Farm) -> Iterator[Client]:
    with Client(flips(), two_workers.clients, seed=far_side.BASE_SEED, seeding="batch") as client:
        yield client


def one(client: Client, batch: Any) -> Any:
    (result,) = client.imap_batches([batch], start=0)
    return result


@pytest.mark.parametrize("name", FORMS)
def test_every_form(client: Client, name: str) -> None:
    batch = UnnormalizedBatch(**FORMS[name], data=[name])
    expected = judging.augment_by_imgaug(pipeline, [copy.deepcopy(batch)])[0]
    assert_same(one(client, batch), expected)


def test_normalized(client: Client) -> None:
    expected = judging.augment_by_imgaug(pipeline, [Batch(**copy.deepcopy(NORMALIZED))])[0]
    assert_same(one(client, Batch(**NORMALIZED)), expected)


@pytest.mark.parametrize(
    "shape", [(2, 9, 7, 3), (2, 9, 7, 1), (2, 9, 7), (1, 0, 7, 3), (1, 9, 0, 1), (0, 9, 7, 3)]
)
@pytest.mark.parametrize("dtype", ANY_DTYPE)
def test_every_dtype_to_its_ends(flipping: Client, shape: tuple[int, ...], dtype: str) -> None:
    images = np.frombuffer(np.random.default_rng(5).bytes(8 * 2 * 9 * 7 * 3), np.uint8)
    wide = images[: np.prod(shape, dtype=int) * np.dtype(dtype).itemsize]
    array = (wide > 127 if dtype == "bool" else wide.view(dtype)).reshape(shape)
    expected = judging.augment_by_imgaug(flips, [UnnormalizedBatch(images=array.copy())])[0]
    assert_same(one(flipping, array), expected.images_aug)


def test_twenty_megapixels_beside_a_thumbnail(flipping: Client) -> None:
    large = np.arange(4000 * 5000 * 3, dtype=np.uint32).astype(np.uint8).reshape(4000, 5000, 3)
    keypoints = [[(1.0, 2.0), (4999.0, 3999.0)], [(0.5, 0.5)]]
    batch = UnnormalizedBatch(images=[large, large[:32, :32].copy()], keypoints=keypoints)
    expected = judging.augment_by_imgaug(flips, [copy.deepcopy(batch)])[0]
    result = one(flipping, batch)
    assert_same(result.images_aug, expected.images_aug)
    assert_same(result.keypoints_aug, expected.keypoints_aug)
