"""What imgaug's own tests ask of imgaug.multicore.Pool, asked of ours, and of imgaug running on ours.

The cases are those of imgaug's test_multicore.py (TestPool) and test_meta.py (batches, pool), written anew.
"""

import imgaug.multicore
import numpy as np
import pytest
from imgaug import augmenters as iaa
from imgaug.augmentables.batches import Batch, UnnormalizedBatch
from imgaug.augmentables.kps import Keypoint, KeypointsOnImage
from threadpoolctl import threadpool_limits

from augfarm.client import AugmentationFailed, Pool, use_for_imgaug
from farms import fingerprint, quokka_batches, ten_augmenters, tutorial

#: Far more values than batches: two batches alike by chance are as good as impossible.
ADD = iaa.Add(list(range(256)), per_channel=True)


def noise_batches(count):
    return [Batch(images=np.zeros((2, 4, 4, 3), np.uint8)) for _ in range(count)]


@pytest.fixture(scope="module")
def pool():
    with Pool(ADD, processes=2, seed=1) as pool:
        yield pool


def images_of(batches):
    return [np.asarray(batch.images_aug).tobytes() for batch in batches]


def test_inputs_are_not_lost(pool):
    images = np.zeros((1, 1, 1, 3), np.uint8)
    batches = [Batch(images=images + number, data=number) for number in range(64)]
    for results in (
        pool.map_batches(batches),
        pool.map_batches_async(batches).get(60),
        list(pool.imap_batches(iter(batches))),
        list(pool.imap_batches_unordered(iter(batches))),
        list(pool.imap_batches(iter(batches), chunksize=4, output_buffer_size=2)),
    ):
        assert sorted(int(b.images_unaug[0, 0, 0, 0]) for b in results) == list(range(64))
        assert sorted(b.data for b in results) == list(range(64))
        assert all(b.images_aug is not None for b in results)
    assert all(batch.images_aug is None for batch in batches)


def test_the_same_seed_gives_the_same_and_another_another():
    def run(seed):
        with Pool(ADD, processes=2, seed=seed) as pool:
            return images_of(pool.map_batches(noise_batches(8)))

    first, again, other = run(1), run(1), run(2)
    assert first == again
    assert len(set(first)) == 8
    # imgaug's own: batch i + 1 of seed 1 is batch i of seed 2, and nothing else is shared.
    assert first[1:] == other[:-1]
    assert other[-1] not in first


def test_without_a_seed_runs_and_batches_differ():
    runs = []
    for _ in range(2):
        with Pool(ADD, processes=2) as pool:
            runs += images_of(pool.map_batches(noise_batches(6)))
    assert len(set(runs)) == 12


def test_images_and_keypoints_move_together(pool):
    image = np.zeros((40, 40, 3), np.uint8)
    image[10, 10] = 255
    keypoints = KeypointsOnImage([Keypoint(x=10, y=10)], shape=image.shape)
    batches = [Batch(images=np.stack([image] * 3), keypoints=[keypoints] * 3) for _ in range(6)]
    with Pool(iaa.Affine(translate_px=(-5, 5)), processes=2, seed=3) as moving:
        for batch in moving.imap_batches(iter(batches)):
            for moved, points in zip(batch.images_aug, batch.keypoints_aug, strict=True):
                row, column = np.argwhere(moved[..., 0] == 255)[0]
                assert (points.keypoints[0].y, points.keypoints[0].x) == (row, column)


def test_types_may_be_mixed_and_are_kept(pool):
    batches = [noise_batches(1)[0], UnnormalizedBatch(images=[np.zeros((4, 5, 3), np.uint8)])]
    results = list(pool.imap_batches(iter(batches * 2)))
    assert [type(result) for result in results] == [Batch, UnnormalizedBatch] * 2


def test_reuse_after_close_and_terminate_and_join():
    pool = Pool(ADD, processes=1, seed=1)
    assert len(pool.map_batches(noise_batches(2))) == 2
    with pytest.raises(ValueError, match="running"):
        pool.join()
    pool.close()
    pool.join()
    assert len(pool.map_batches(noise_batches(2))) == 2
    pool.terminate()
    pool.join()


def test_callbacks(pool):
    results, errors = [], []
    pool.map_batches_async(noise_batches(3), callback=results.append).get(60)
    assert len(results[0]) == 3
    pool.map_batches_async([3], error_callback=errors.append).wait(60)
    assert len(errors) == 1


def test_an_error_is_the_type_it_was_on_the_worker():
    with Pool(iaa.AssertShape((None, 8, 8, 3)), processes=1) as pool:
        with pytest.raises(AssertionError) as caught:
            pool.map_batches(noise_batches(1))
        assert isinstance(caught.value, AugmentationFailed)
        assert caught.value.index == 0
        with pytest.raises(AssertionError):
            pool.map_batches_async(noise_batches(1)).get(60)


def test_maxtasksperchild_replaces_processes():
    with Pool(ADD, processes=1, maxtasksperchild=2, seed=1) as pool:
        batches = [
            info.worker_id for _, info in pool._running().imap_batches(noise_batches(7), with_info=True)
        ]
    assert len(set(batches)) == 4


# --- imgaug on augfarm -------------------------------------------------------------------------------------


def test_imgaug_itself_runs_on_a_local_farm_until_it_is_undone():
    original = imgaug.multicore.Pool
    augmenter = ten_augmenters()
    with use_for_imgaug():
        assert issubclass(imgaug.multicore.Pool, Pool)
        with augmenter.pool(processes=2, seed=1) as pool:
            ours = [fingerprint(b) for b in pool.imap_batches(b for b in quokka_batches(6))]
    assert imgaug.multicore.Pool is original
    with augmenter.pool(processes=2, seed=1) as pool:
        assert [fingerprint(b) for b in pool.map_batches(quokka_batches(6))] == ours


def test_augment_batches_in_the_background_runs_on_a_remote_farm(two_workers):
    done = sum(worker["done"] for worker in two_workers.status()["workers"])
    flip = iaa.Fliplr(1.0)
    substitution = use_for_imgaug(two_workers.clients)
    try:
        batches = quokka_batches(25)
        results = list(flip.augment_batches(batches, background=True))
    finally:
        substitution.undo()
        substitution.undo()
    # Those that an earlier test left under way may come to it, and batches that were given to both workers.
    assert sum(worker["done"] for worker in two_workers.status()["workers"]) >= done + 25
    for given, result in zip(batches, results, strict=True):
        assert result.data == given.data
        assert np.array_equal(result.images_aug[0], given.images_unaug[0][:, ::-1])
        assert result.keypoints_aug[0].keypoints[0].x == pytest.approx(
            64 - given.keypoints_unaug[0].keypoints[0].x
        )


@pytest.mark.parametrize("leave", ["break", "raise"])
def test_leaving_augment_batches_early_does_not_hang(two_workers, leave):
    """imgaug's own Pool hangs in both."""
    with use_for_imgaug(two_workers.clients):
        for _ in iaa.Identity().augment_batches(iter(noise_batches(200)), background=True):
            if leave == "break":
                break
        picky = iaa.AssertShape((None, 8, 8, 3))
        if leave == "raise":
            with pytest.raises(AssertionError):
                list(picky.augment_batches(iter(noise_batches(200)), background=True))


def test_a_bad_address_is_refused_and_changes_nothing():
    original = imgaug.multicore.Pool
    with pytest.raises(ValueError, match="address"):
        use_for_imgaug("5555")
    assert imgaug.multicore.Pool is original


#: Written as in imgaug's notebook on multicore augmentation; only the first line differs between the two.
NOTEBOOK = """
{importing}

with multicore.Pool(aug, processes=-1, maxtasksperchild=20, seed=1) as pool:
    batches_aug = pool.map_batches(batches)

with aug.pool(processes=2, maxtasksperchild=20, seed=1) as pool:
    batches_aug += list(pool.imap_batches(create_generator(batches)))

with multicore.Pool(aug, seed=1) as pool:
    batches_aug += list(pool.imap_batches(create_generator(batches), output_buffer_size=5))
    batches_aug += pool.map_batches(batches, chunksize=2)
"""


def test_the_tutorials_text_gives_the_same_arrays_with_only_its_import_changed():
    def create_generator(batches):
        yield from batches

    def run(importing):
        names = {"aug": tutorial(), "batches": quokka_batches(6), "create_generator": create_generator}
        exec(NOTEBOOK.format(importing=importing), names)
        return [fingerprint(batch) for batch in names["batches_aug"]]

    with threadpool_limits(1):
        theirs = run("from imgaug import multicore")
    ours = run("import augfarm.client as multicore")
    assert len(theirs) == 24
    assert ours == theirs
    # The last six are numbered on from the six before them in the same pool.
    assert len(set(theirs)) == 12
