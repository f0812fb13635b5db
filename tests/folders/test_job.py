"""What is done with results, without a farm."""

import numpy as np
import pytest

from augfarm.client.folders.job import Job, Order, Step
from augfarm.client.folders.manifest import Manifest
from augfarm.client.folders.writing import Writer
from augfarm.client.outcomes import FailedBatch, PartialBatch
from augfarm.protocol.errors import AugmentationFailed, BatchPoisoned
from augfarm.protocol.images import EncodedImage
from folders.samples import files_of, make_folder


@pytest.fixture
def open_job(tmp_path):
    src, own = tmp_path / "src", tmp_path / "dst" / ".augfarm"
    src.mkdir()
    own.mkdir(parents=True)
    make_folder(src)
    opened = []

    def open_it(copies=1, batch_size=4):
        while opened:
            opened.pop().close()
        opened.append(Manifest(own / "manifest.jsonl", {"seed": 1}, resume=True))
        return Job(Order(str(src), copies, batch_size), opened[-1], Writer(tmp_path / "dst", own / "aside"))

    yield open_it
    for manifest in opened:
        manifest.close()


def result(batch, text=b"x"):
    images = [EncodedImage(text * 3, (1, 1, 3)) for _ in batch["images"]]
    return {**batch, "images": images}


def partial(batch, guilty, error):
    kept = tuple(place for place in range(len(batch["images"])) if place != guilty)
    whole = result(batch, b"p")
    return PartialBatch(
        {**whole, "images": [whole["images"][k] for k in kept]}, kept, (guilty,), {guilty: error}
    )


def test_batches_are_numbered_by_their_place(open_job):
    job = open_job()
    batches = list(job.batches())
    assert [job.number(batch) for batch in batches] == [0, 1, 2]
    for batch in reversed(batches):
        assert job.take(result(batch)) == Step(len(batch["images"]), 0)
    assert job.written == 9
    again = open_job()
    assert list(again.batches()) == []
    assert (again.done_before, again.written_before, again.written) == (9, 9, 0)


def test_a_file_is_read_once_for_all_its_copies(open_job, monkeypatch):
    import builtins

    read = []
    real = builtins.open
    monkeypatch.setattr(builtins, "open", lambda path, *a, **k: read.append(str(path)) or real(path, *a, **k))
    batches = list(open_job(copies=5, batch_size=4).batches())
    images = [path for path in read if "/src/" in path]
    assert len(images) == len(set(images)) == 9
    assert sum(len(batch["images"]) for batch in batches) == 45


@pytest.mark.parametrize("isolated", [True, False])
def test_images_that_ended_their_workers_are_tried_again_and_replaced(open_job, tmp_path, isolated):
    job = open_job()
    dead = BatchPoisoned("x", index=1, attempts=3)
    batches = list(job.batches())
    job.take(result(batches[0]))
    job.take(partial(batches[1], 2, dead) if isolated else FailedBatch(1, dead, batches[1]))
    job.take(result(batches[2]))
    assert len(job.failures) == (1 if isolated else 4)
    again = open_job()
    (batch,) = again.batches()
    assert again.number(batch) == 1
    assert again.take(result(batch, b"y")) == Step(4, 0)
    assert len(again.failures) == 0
    assert sorted(set(files_of(tmp_path / "dst").values())) == [b"xxx", b"yyy"]


def test_images_that_failed_for_good_are_not_tried_again(open_job):
    job = open_job()
    batches = list(job.batches())
    error = AugmentationFailed("x", index=0, worker_id=0, exception_type="ValueError", exception_text="no")
    assert job.take(partial(batches[0], 1, error)) == Step(4, 1)
    for batch in batches[1:]:
        job.take(result(batch))
    again = open_job()
    assert list(again.batches()) == []
    assert (again.written_before, len(again.failures)) == (8, 1)


def test_a_batch_of_which_nothing_can_be_read_is_written_down(open_job, tmp_path):
    for path in (tmp_path / "src").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    job = open_job()
    assert list(job.batches()) == []
    assert job.take_empty() == [Step(4, 4), Step(4, 4), Step(1, 1)]
    assert len(job.failures) == 9
    assert np.all([each["reason"] == "is empty" for each in job.failures.report()])
