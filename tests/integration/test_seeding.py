"""seeding="worker": each worker draws streams of its own, and any batch can be replayed."""

import imgaug
import numpy as np
import pytest
from imgaug import augmenters as iaa

from augfarm.client import Client, Seed
from farms import fingerprint, quokka_batches, ten_augmenters, wait_until

SEED = 11


def test_seeds_follow_base_seed_plus_worker_id(two_workers):
    """Against numpy and imgaug themselves, not against our own seeds module."""
    noise = iaa.AdditiveGaussianNoise(scale=40, per_channel=True)
    image = np.full((1, 16, 16, 3), 128, np.uint8)
    with Client(noise, two_workers.clients, seed=SEED) as client:
        results = list(client.imap_batches([image] * 12, with_info=True))
    assert len({info.worker_id for _, info in results}) == 2
    for result, info in results:
        root = np.random.SeedSequence(SEED + info.worker_id, spawn_key=(info.index,))
        local_seed, global_seed = root.spawn(2)
        augmenter = noise.deepcopy()
        imgaug.random.get_global_rng().state = np.random.SFC64(global_seed).state
        augmenter.seed_(imgaug.random.RNG(np.random.Generator(np.random.SFC64(local_seed))))
        assert np.array_equal(augmenter.augment_images(image), result)
        assert info.seed == Seed("worker", SEED, info.index, info.worker_id)


def test_no_two_batches_share_a_stream_whatever_their_worker(farm_of):
    noise = iaa.AdditiveGaussianNoise(scale=40, per_channel=True)
    image = np.full((1, 16, 16, 3), 128, np.uint8)
    farm = farm_of(3)
    with Client(noise, farm.clients, seed=SEED) as client:
        first = list(client.imap_batches([image] * 30, with_info=True))
        again = list(client.imap_batches([image] * 30, with_info=True))
    everything = [result.tobytes() for result, _ in first + again]
    assert len(set(everything)) == 60
    assert len({info.worker_id for _, info in first}) == 3


def test_ids_are_not_reused(farm_of):
    farm = farm_of(2)
    ids = {worker["id"] for worker in farm.status()["workers"]}
    assert ids == {0, 1}
    farm.processes[-1].terminate()
    wait_until(lambda: not farm.status()["workers"], "the workers leave")
    farm.start_workers(2)
    assert {worker["id"] for worker in farm.status()["workers"]} == {2, 3}


def test_replay_reproduces_any_batch(two_workers):
    batches = quokka_batches(6)
    for seeding in ("worker", "batch"):
        with Client(ten_augmenters(), two_workers.clients, seed=SEED, seeding=seeding) as client:
            state = imgaug.random.get_global_rng().state
            results = list(client.imap_batches_unordered(batches, with_info=True))
            for result, info in results:
                again = client.replay(batches[info.index], info)
                assert fingerprint(again) == fingerprint(result)
            assert str(imgaug.random.get_global_rng().state) == str(state)


def test_without_a_seed_the_client_draws_one_and_says_it(two_workers):
    noise = iaa.AdditiveGaussianNoise(scale=40)
    image = np.full((1, 16, 16, 3), 128, np.uint8)
    with Client(noise, two_workers.clients, seeding="batch") as client:
        (result,) = client.map_batches([image])
        drawn = client.seed
    with Client(noise, two_workers.clients, seed=drawn, seeding="batch") as client:
        assert np.array_equal(client.map_batches([image])[0], result)
    assert Client(noise, two_workers.clients).seed != drawn


def test_numbers_of_the_callers_own_seed_batches_as_counted_ones_do(two_workers):
    noise = iaa.AdditiveGaussianNoise(scale=40)
    image = np.full((1, 16, 16, 3), 128, np.uint8)
    with Client(noise, two_workers.clients, seed=SEED, seeding="batch") as client:
        batches = [{"images": image, "n": n} for n in (7, 2, 40)]
        results = client.imap_batches(batches, with_info=True, number=lambda batch: batch["n"])
        for result, info in results:
            assert info.index == result["n"]
            (counted,) = client.imap_batches([image], start=info.index)
            assert np.array_equal(result["images"], counted)
        assert client.workers == 2
        with pytest.raises(ValueError, match=r"a batch's number to be a whole number from 0 .*, got -1"):
            list(client.imap_batches([image], number=lambda batch: -1))
