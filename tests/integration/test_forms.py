"""Forms of batches over a real farm: what goes in comes back in the same form."""

import io

import imageio.v3 as iio
import imgaug as ia
import numpy as np
import pytest
from imgaug import augmenters as iaa
from imgaug.augmentables.batches import Batch

from augfarm.client import Client
from farms import quokka_batches

FLIP = iaa.Fliplr(1.0)


@pytest.fixture(scope="module")
def client(two_workers):
    with Client(FLIP, two_workers.clients) as client:
        yield client


def one(client, batch):
    (result,) = client.map_batches([batch])
    return result


@pytest.mark.parametrize("shape", [(2, 9, 7, 3), (2, 9, 7), (1, 1, 1, 1), (0, 9, 7, 3), (3, 200, 300, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "uint16"])
def test_arrays(client, shape, dtype):
    batch = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    result = one(client, batch)
    assert result.dtype == batch.dtype
    assert np.array_equal(result, batch[:, :, ::-1])
    assert result.flags.writeable


def test_lists_of_images_of_any_size(client):
    images = [np.random.default_rng(n).integers(0, 255, (4 + n, 5, 3), dtype=np.uint8) for n in range(3)]
    result = one(client, images)
    assert isinstance(result, list)
    assert all(np.array_equal(r, i[:, ::-1]) for r, i in zip(result, images, strict=True))


def test_encoded_files_are_decoded_by_the_worker(client):
    image = ia.quokka(size=(64, 64))
    files = []
    for extension in (".png", ".bmp", ".tiff"):
        buffer = io.BytesIO()
        iio.imwrite(buffer, image, extension=extension)
        files.append(buffer.getvalue())
    for result in one(client, [*files, image]):
        assert np.array_equal(result, image[:, ::-1])


def test_dicts_keep_the_callers_own_keys(client):
    batch = {
        "images": np.zeros((1, 10, 10, 3), np.uint8),
        "keypoints": [[(2.0, 3.0)]],
        "segmentation_maps": np.eye(10, dtype=np.int32)[None, ..., None],
        "path": object(),
    }
    result = one(client, batch)
    assert list(result) == list(batch)
    assert result["path"] is batch["path"]
    assert result["keypoints"] == [[(8.0, 3.0)]]
    assert np.array_equal(result["segmentation_maps"], batch["segmentation_maps"][:, :, ::-1])


def test_imgaugs_own_batches(client):
    unnormalized = quokka_batches(1)[0]
    result = one(client, unnormalized)
    assert type(result) is type(unnormalized)
    assert np.array_equal(result.images_aug[0], unnormalized.images_unaug[0][:, ::-1])
    normalized = Batch(images=np.zeros((1, 4, 4, 3), np.uint8), data=[1])
    result = one(client, normalized)
    assert type(result) is Batch
    assert result.data is normalized.data


def test_a_generator_may_reuse_its_array(client):
    """The batch is copied when it is taken."""
    buffer = np.empty((1, 600, 600, 3), np.uint8)

    def source():
        for number in range(20):
            buffer[...] = number
            yield buffer

    for number, result in enumerate(client.imap_batches(source(), 8)):
        assert (result == number).all()


def test_the_caller_may_write_to_results_and_keep_them(client):
    results = client.map_batches([np.full((1, 300, 300, 3), n, np.uint8) for n in range(6)])
    for number, result in enumerate(results):
        result += 100
        assert (result == number + 100).all()
