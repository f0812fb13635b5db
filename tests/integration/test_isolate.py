"""`isolate=True`: the images that a batch fails of are named, and the rest comes, over real farms."""

import importlib
import io
import os
import subprocess
import sys

import imageio.v3 as iio
import imgaug as ia
import numpy as np
import pytest
from imgaug import augmenters as iaa
from imgaug.augmentables.batches import UnnormalizedBatch

from augfarm.client import (
    AugmentationFailed,
    BatchPoisoned,
    Client,
    FailedBatch,
    PartialBatch,
    Pool,
)
from augfarm.protocol import pipelines
from farms import quokka_batches, running_farm, wait_until

#: AssertShape raises on the worker for whatever is not 8 pixels high.
PICKY = iaa.Sequential([iaa.AssertShape((None, 8, None, 3)), iaa.Fliplr(1.0)])


def picture(number, height=8):
    return np.random.default_rng(number).integers(0, 200, (height, 12, 3), dtype=np.uint8)


def mixed(guilty, images=7):
    """A list of images, of which these make PICKY raise."""
    return [picture(number, 9 if number in guilty else 8) for number in range(images)]


def jpeg(image):
    buffer = io.BytesIO()
    iio.imwrite(buffer, image, extension=".jpg")
    return buffer.getvalue()


#: What dies does so a while after the answer before it has left: see docs/protocol.md, "Known weaknesses".
DEADLY = """
import os, time
from imgaug import augmenters as iaa

class Deadly(iaa.Identity):
    def _augment_batch_(self, batch, random_state, parents, hooks):
        if any(image.max() == 255 for image in batch.images):
            time.sleep(0.1)
            os._exit(3)
        if any(image.max() == 254 for image in batch.images):
            raise ValueError("254 is too much")
        return batch
"""


@pytest.fixture(scope="module")
def deadly(tmp_path_factory):
    """An augmenter that raises for an image with a 254 in it, and ends its process for one with a 255."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "deadly_images.py").write_text(DEADLY)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield importlib.import_module("deadly_images").Deadly()
    sys.modules.pop("deadly_images", None)


@pytest.fixture(scope="module")
def deadly_farm(deadly, tmp_path_factory):
    with running_farm(tmp_path_factory.mktemp("deadly"), 0, max_attempts=2) as farm:
        farm.start_workers(2, "--allow-import", "deadly_images")
        yield farm


@pytest.fixture
def picky(two_workers):
    with Client(PICKY, two_workers.clients, seed=3, seeding="batch", isolate=True) as client:
        yield client


@pytest.mark.parametrize("on_error", ["raise", "skip", "return"])
def test_the_rest_of_a_batch_comes_in_its_place_whatever_on_error_is(picky, on_error):
    guilty = [(), (2,), (), (0, 6), (1, 2, 3, 4, 5)]
    given = [mixed(each) for each in guilty]
    results = picky.imap_batches(given, 8, on_error=on_error, with_info=True)
    for images, expected, (result, info) in zip(given, guilty, results, strict=True):
        if not expected:
            assert isinstance(result, list)
            continue
        assert isinstance(result, PartialBatch)
        assert result.guilty == expected
        assert result.kept == tuple(n for n in range(7) if n not in expected)
        assert all(
            np.array_equal(mine, images[n][:, ::-1])
            for mine, n in zip(result.batch, result.kept, strict=True)
        )
        for image, error in result.errors.items():
            assert isinstance(error, AugmentationFailed)
            assert error.exception_type == "AssertionError"
            assert f"image {image} of batch {info.index}" in str(error)
            assert "AssertShape" in error.remote_traceback or "meta.py" in error.remote_traceback
            with pytest.raises(AssertionError):
                picky.replay([images[image]], error.seed)
        assert info.attempts == 0
        assert info.seconds_augmenting > 0


def test_unordered_each_batch_comes_once(picky):
    given = [mixed({number % 7} if number % 2 else ()) for number in range(12)]
    results = list(picky.imap_batches_unordered(given, 5, with_info=True))
    assert sorted(info.index for _, info in results) == list(range(12))
    for result, info in results:
        assert (result.guilty == (info.index % 7,)) if info.index % 2 else isinstance(result, list)


def test_every_form_comes_back_in_its_own(picky):
    points = [[(1.0, 2.0)], [(3.0, 4.0), (5.0, 6.0)], [], [(7.0, 0.0)]]
    extra = object()
    given = [
        {"images": mixed({1}, 4), "keypoints": points, "paths": ["a", "b", "c", "d"]},
        UnnormalizedBatch(images=mixed({0, 3}, 4), keypoints=points, data=extra),
    ]
    first, second = picky.map_batches(given)
    assert list(first.batch) == ["images", "keypoints", "paths"]
    assert first.batch["keypoints"] == [[(11.0, 2.0)], [], [(5.0, 0.0)]]
    assert first.batch["paths"] is given[0]["paths"], "the caller's own comes back whole"
    assert type(second.batch) is UnnormalizedBatch
    assert second.batch.data is extra
    assert second.batch.keypoints_unaug == points[1:3]
    assert [
        image is given[1].images_unaug[n] for image, n in zip(second.batch.images_unaug, (1, 2), strict=True)
    ]
    assert np.array_equal(second.batch.images_aug[0], picture(1)[:, ::-1])
    assert given[1].images_aug is None
    assert len(given[1].images_unaug) == 4


def test_a_batch_of_which_nothing_is_left_fails_whole(picky):
    given = [mixed({0, 1, 2}, 3), mixed((), 3)]
    failed, good = picky.map_batches(given, on_error="return")
    assert isinstance(failed, FailedBatch)
    assert failed.batch is given[0]
    assert "augmenting batch 0 raised" in str(failed.error)
    assert isinstance(good, list)
    with pytest.raises(AugmentationFailed, match="batch 2"):
        picky.map_batches([mixed({0, 1}, 2)])


def test_a_batch_whose_fields_do_not_match_its_images_fails_whole(picky):
    alone, together = picky.map_batches(
        [mixed({0}, 1), {"images": mixed({1}, 3), "heatmaps": []}], on_error="return"
    )
    assert isinstance(alone, FailedBatch)
    assert isinstance(together, FailedBatch)


def test_without_it_a_batch_fails_whole_and_in_pool_always(two_workers):
    with Client(PICKY, two_workers.clients) as client:
        (failed,) = client.map_batches([mixed({1})], on_error="return")
        assert isinstance(failed, FailedBatch)
    with Pool(PICKY, processes=1) as pool, pytest.raises(AssertionError):
        pool.map_batches([UnnormalizedBatch(images=mixed({1}))])


def test_a_broken_jpeg_is_named_among_good_ones(two_workers):
    image = ia.quokka(size=(64, 64))
    files = [jpeg(np.roll(image, n, axis=1)) for n in range(8)]
    files[5] = files[5][:700]
    files[6] = b"\xff\xd8\xff not a JPEG"
    with Client(iaa.Fliplr(1.0), two_workers.clients, isolate=True) as client:
        (result,) = client.map_batches([files])
    assert result.guilty == (5, 6)
    assert len(result.batch) == 6
    assert np.array_equal(result.batch[0], iio.imread(files[0])[:, ::-1])
    assert "image 5 of batch 0: images[5]: an image file that cannot be decoded" in str(result.errors[5])


def test_an_array_stays_one_and_the_generator_may_reuse_it(deadly, deadly_farm):
    """Parts are cut from the client's copy: the caller's array holds a later batch by then."""
    buffer = np.empty((4, 8, 12, 3), np.uint8)

    def source():
        for number in range(10):
            buffer[:] = number
            buffer[number % 4] = 254
            yield buffer

    with Client(deadly, deadly_farm.clients, isolate=True) as client:
        for number, result in enumerate(client.imap_batches(source(), 6)):
            assert result.guilty == (number % 4,)
            assert result.batch.shape == (3, 8, 12, 3)
            assert (result.batch == number).all()


def test_parts_need_no_credit_of_their_own(picky):
    """A position is one batch of output_buffer_size, however many requests it takes."""
    taken = 0

    def source():
        nonlocal taken
        for number in range(20):
            taken += 1
            yield mixed({number % 7, (number + 3) % 7})

    handed_over = 0
    for result in picky.imap_batches(source(), 2):
        handed_over += 1
        assert isinstance(result, PartialBatch)
        assert taken <= 2 + handed_over
    assert handed_over == 20


def test_leaving_in_the_middle_leaves_nothing(picky, two_workers):
    results = picky.imap_batches((mixed({n % 7}) for n in range(100)), 20)
    next(results)
    results.close()
    assert len(picky.map_batches([mixed(())] * 3)) == 3
    wait_until(
        lambda: not any(row["queued"] + row["leased"] for row in two_workers.status()["clients"]),
        "the broker has forgotten what was left",
    )


def test_the_same_farm_or_another_gives_the_same_rest_with_seeding_batch(two_workers):
    augmenter = iaa.Sequential([iaa.AssertShape((None, 48, None, 3)), iaa.Affine(rotate=(-30, 30))])
    batches = [batch.images_unaug for batch in quokka_batches(6, images=5, size=48)]
    for number, images in enumerate(batches):
        images[number % 5] = images[number % 5][:40]
    runs = []
    for method in ("imap_batches", "imap_batches_unordered", "imap_batches"):
        with Client(augmenter, two_workers.clients, seed=1, seeding="batch", isolate=True) as client:
            results = sorted(getattr(client, method)(batches, 6, with_info=True), key=lambda r: r[1].index)
            runs.append([b"".join(image.tobytes() for image in result.batch) for result, _ in results])
    assert runs[0] == runs[1] == runs[2]


# --- what kills its worker ---------------------------------------------------------------------------------


def some_deadly(killers, raisers=(), images=6):
    batch = np.stack([picture(n) for n in range(images)])
    batch[list(killers)] = 255
    batch[list(raisers)] = 254
    return batch


@pytest.mark.parametrize("method", ["imap_batches", "imap_batches_unordered"])
def test_images_that_kill_their_workers_are_named_while_the_broker_is_restarted(farm_of, deadly, method):
    farm = farm_of(0, max_attempts=1)
    farm.start_workers(2, "--allow-import", "deadly_images")
    guilty = [((), ()), ((1,), (4,)), ((), (0, 5)), ((), (2,)), ((3,), ()), ((), (3,)), ((), ())]
    given = [some_deadly(*each) for each in guilty]
    with Client(deadly, farm.clients, isolate=True) as client:
        got = {}
        for result, info in getattr(client, method)(given, 3, with_info=True):
            got[info.index] = result, info
            if len(got) in (1, 4):  # others are being halved
                farm.broker.kill()
                farm.broker.wait()
                farm.start_broker()
    assert sorted(got) == list(range(len(given)))
    if method == "imap_batches":
        assert list(got) == sorted(got)
    for number, (killers, raisers) in enumerate(guilty):
        result, info = got[number]
        if not killers and not raisers:
            assert np.array_equal(result, given[number])
            continue
        assert result.guilty == tuple(sorted(killers + raisers))
        assert np.array_equal(result.batch, given[number][list(result.kept)])
        for image in killers:
            assert isinstance(result.errors[image], BatchPoisoned)
            assert f"image {image} of batch {number} was given up: 1 worker" in str(result.errors[image])
        for image in raisers:
            assert result.errors[image].exception_text == "254 is too much"
        # One death at least for each part that it is in: six images, three, and one alone.
        assert info.attempts >= 3 * len(killers)


def test_the_deaths_of_each_part_are_counted_apart(deadly, deadly_farm):
    with Client(deadly, deadly_farm.clients, isolate=True) as client:
        ((result, info),) = client.imap_batches([some_deadly({1}, images=2)], with_info=True)
    assert (result.kept, result.guilty) == ((0,), (1,))
    assert result.errors[1].attempts == 2
    assert info.attempts == 4


# --- a trainer without imgaug ------------------------------------------------------------------------------

TRAINER = """
import sys
import numpy as np
from augfarm.client import Client, PartialBatch
spec, address = sys.argv[1:]
images = [np.full((9 if n == 2 else 8, 12, 3), n, np.uint8) for n in range(4)]
with Client(spec, address, isolate=True, dump_dir=".") as client:
    (result,) = client.map_batches([dict(images=images, keypoints=[[(1, 2)]] * 4)])
assert isinstance(result, PartialBatch) and result.guilty == (2,), result
assert len(result.batch["images"]) == len(result.batch["keypoints"]) == 3
assert result.errors[2].dump.endswith("batch-000000-image-002.augdump")
assert not any(name in sys.modules for name in ("imgaug", "cv2", "imageio", "scipy", "skimage"))
"""


def test_a_trainer_without_imgaug_needs_none_for_it(two_workers, tmp_path):
    (tmp_path / "spec.json").write_bytes(pipelines.encode(PICKY))
    done = subprocess.run(
        [sys.executable, "-c", TRAINER, tmp_path / "spec.json", two_workers.clients],
        capture_output=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr.decode()
