"""The same seed gives the same bytes as imgaug's own Pool, on any number of workers, local and remote."""

import imgaug.multicore
import pytest
from threadpoolctl import threadpool_limits

from augfarm.client import Client, Pool
from farms import fingerprint, quokka_batches, running_farm, ten_augmenters, tutorial

COUNT = 10
PIPELINES = {"tutorial": tutorial, "ten": ten_augmenters}


@pytest.fixture(scope="module", params=sorted(PIPELINES))
def job(request):
    """A pipeline, and what imgaug.multicore.Pool(seed=1) makes of the batches."""
    make = PIPELINES[request.param]
    # imgaug's Pool leaves BLAS all its threads, which slows it ten times here; the result is the same.
    with threadpool_limits(1), imgaug.multicore.Pool(make(), processes=2, seed=1) as pool:
        expected = [fingerprint(batch) for batch in pool.map_batches(quokka_batches(COUNT))]
    assert len(set(expected)) == COUNT
    return make, expected


@pytest.fixture(scope="module", params=[1, 2, 5])
def farm(request, tmp_path_factory):
    with running_farm(tmp_path_factory.mktemp(f"farm{request.param}"), request.param) as farm:
        yield farm


def test_remote(job, farm):
    make, expected = job
    with Client(make(), farm.clients, seed=1, seeding="batch") as client:
        ordered = [fingerprint(b) for b in client.imap_batches(iter(quokka_batches(COUNT)), 4)]
        assert ordered == expected
        unordered = client.imap_batches_unordered(quokka_batches(COUNT), start=0)
        assert {fingerprint(b) for b in unordered} == set(expected)


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_local_pool(job, processes):
    make, expected = job
    with Pool(make(), processes=processes, seed=1) as pool:
        ordered = [fingerprint(b) for b in pool.imap_batches(b for b in quokka_batches(COUNT))]
    assert ordered == expected
    with Pool(make(), processes=processes, seed=1) as pool:
        unordered = pool.imap_batches_unordered(b for b in quokka_batches(COUNT))
        assert {fingerprint(b) for b in unordered} == set(expected)


def test_what_stays_in_the_client_comes_back(two_workers):
    batches = quokka_batches(2)
    with Client(tutorial(), two_workers.clients) as client:
        for given, result in zip(batches, client.imap_batches(batches), strict=True):
            assert result is not given
            assert result.data is given.data
            assert result.images_unaug is given.images_unaug
            assert given.images_aug is None
            assert all(image.flags.writeable for image in result.images_aug)


def test_numbers_go_on_over_calls_and_start_sets_them(job, two_workers):
    make, expected = job
    with Client(make(), two_workers.clients, seed=1, seeding="batch") as client:
        batches = quokka_batches(COUNT)
        first = client.map_batches(batches[:4])
        second = client.map_batches(batches[4:7])
        assert [fingerprint(b) for b in first + second] == expected[:7]
        resumed = list(client.imap_batches(batches[8:], start=8, with_info=True))
        assert [fingerprint(b) for b, _ in resumed] == expected[8:]
        assert [info.index for _, info in resumed] == [8, 9]


def test_pool_counts_over_its_lifetime_also_when_closed_between(job):
    make, expected = job
    pool = Pool(make(), processes=1, seed=1)
    batches = quokka_batches(6)
    first = pool.map_batches(batches[:3])
    pool.close()
    pool.join()
    second = pool.map_batches(batches[3:])
    pool.terminate()
    assert [fingerprint(b) for b in first + second] == expected[:6]
