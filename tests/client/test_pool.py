"""Pool's arguments, as imgaug.multicore.Pool checks them; no process is started here."""

import numpy as np
import pytest
from imgaug import augmenters as iaa

from augfarm.client import Pool
from augfarm.client.pool import InvalidArgument
from augfarm.protocol import processes

AUGMENTER = iaa.Identity()


@pytest.mark.parametrize(
    ("cores", "asked", "expected"),
    [(1, -1, 1), (3, -1, 2), (4, -2, 2), (4, -100, 1), (4, None, 4), (2, 5, 5)],
)
def test_processes(monkeypatch, cores, asked, expected):
    monkeypatch.setattr(processes.os, "cpu_count", lambda: cores)
    pool = Pool(AUGMENTER, processes=asked)
    assert pool._workers == expected
    assert pool.processes == asked


def test_processes_where_the_number_of_cores_is_unknown(monkeypatch):
    monkeypatch.setattr(processes.os, "cpu_count", lambda: None)
    assert Pool(AUGMENTER)._workers == Pool(AUGMENTER, processes=-1)._workers == 1


@pytest.mark.parametrize("seed", [None, 0, 1, 2**31 - 1, np.int64(7)])
def test_seeds_that_imgaug_takes(seed):
    assert Pool(AUGMENTER, seed=seed).seed == seed


@pytest.mark.parametrize("error", [AssertionError, ValueError])
@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": -1},
        {"seed": 2**31},
        {"seed": 2**31 - 1 + 100},
        {"seed": "1"},
        {"processes": 0},
        {"processes": 1.5},
        {"maxtasksperchild": 0},
    ],
)
def test_arguments_out_of_range_are_imgaugs_errors_and_ours(arguments, error):
    with pytest.raises(error, match=r"[Ee]xpected .?" + next(iter(arguments))):
        Pool(AUGMENTER, **arguments)


@pytest.mark.parametrize(
    "method", ["imap_batches", "imap_batches_unordered", "map_batches", "map_batches_async"]
)
def test_chunksize_is_checked_before_anything_starts(method):
    pool = Pool(AUGMENTER)
    with pytest.raises(InvalidArgument, match="chunksize"):
        getattr(pool, method)([], chunksize=0)
    assert pool._client is None


@pytest.mark.parametrize("method", ["imap_batches", "imap_batches_unordered"])
def test_a_negative_buffer_is_an_assertion_error_before_anything_starts(method):
    pool = Pool(AUGMENTER)
    with pytest.raises(AssertionError, match="buffer size to be greater than zero"):
        getattr(pool, method)([], output_buffer_size=-1)
    assert pool._client is None


def test_close_terminate_and_join_before_anything_started_do_nothing():
    pool = Pool(AUGMENTER)
    pool.join()
    pool.close()
    pool.terminate()
    pool.join()
    assert pool._client is None
