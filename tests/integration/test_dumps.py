"""`dump_dir` and `augfarm replay`: from a batch that failed on a farm to the same failure in one process."""

import importlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imgaug import augmenters as iaa

from augfarm.client import AugmentationFailed, BatchPoisoned, Client, FailedBatch, FarmRefused, replay_dump
from augfarm.client.replay import read_dump
from augfarm.protocol import pipelines
from augfarm.protocol.seeds import Seed

PICKY = iaa.AssertShape((None, 8, None, 3))
GOOD = np.zeros((2, 8, 8, 3), np.uint8)
WRONG = np.zeros((2, 9, 8, 3), np.uint8)


def typed(command, cwd):
    """What somebody gets who types the command that an error ends with."""
    program, *arguments = shlex.split(command)
    assert program == "augfarm"
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=cwd,
    )
    return done.returncode, done.stdout, done.stderr


def names(folder):
    return sorted(os.listdir(folder))


def test_the_command_that_an_error_ends_with_gives_the_same_error(two_workers, tmp_path):
    with Client(PICKY, two_workers.clients, seed=3, dump_dir=tmp_path) as client:
        with pytest.raises(AugmentationFailed) as caught:
            client.map_batches([GOOD, WRONG, WRONG])
        assert names(tmp_path) == ["batch-000001.augdump"], "what nobody was told of is not dumped"
    error = caught.value
    command = str(error).rpartition("To run it again here: ")[2]
    assert command == error.replay_command
    dump = read_dump(error.dump)
    assert dump.seed == error.seed == Seed("worker", 3, 1, error.worker_id)
    assert dump.workers == ({k: v for k, v in _environment(two_workers).items() if k not in ("host", "pid")},)
    with pytest.raises(AssertionError, match=r"got 9"):
        replay_dump(error.dump)
    code, out, err = typed(command, tmp_path)
    assert code == 1, err
    assert "now: it fails by the same error" in out
    assert "differs" not in out


def _environment(farm):
    return farm.status()["workers"][0]["environment"]


@pytest.mark.parametrize("on_error", ["skip", "return"])
def test_every_failed_batch_is_dumped_whoever_looks(two_workers, tmp_path, on_error):
    broken = [b"\xff\xd8\xff no JPEG"]
    with Client(PICKY, two_workers.clients, dump_dir=tmp_path) as client:
        results = client.map_batches([GOOD, WRONG, broken, GOOD], on_error=on_error)
    assert names(tmp_path) == ["batch-000001.augdump", "batch-000002.augdump"]
    assert [read_dump(tmp_path / name).kind for name in names(tmp_path)] == ["raised", "batch"]
    if on_error == "return":
        failed = [result for result in results if isinstance(result, FailedBatch)]
        assert [Path(each.error.dump).name for each in failed] == names(tmp_path)


def test_a_refused_pipeline_or_batch_has_no_dump(two_workers, tmp_path):
    import json

    spec = json.loads(pipelines.encode(PICKY))
    spec["imgaug"]["version"] = "9.9.9"
    with Client(spec, two_workers.clients, dump_dir=tmp_path) as client, pytest.raises(FarmRefused):
        client.map_batches([WRONG])
    with Client(PICKY, two_workers.clients, dump_dir=tmp_path) as client:
        (failed,) = client.map_batches([7], on_error="return")
    assert isinstance(failed, FailedBatch)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_used_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(ValueError, match="expected dump_dir to be a folder"):
        Client(PICKY, processes=1, dump_dir=tmp_path / "none")


#: What dies does so a while after the answer before it has left: see docs/protocol.md, "Known weaknesses".
MINE = """
import os, time
from imgaug import augmenters as iaa

class Mine(iaa.Identity):
    def _augment_batch_(self, batch, random_state, parents, hooks):
        for image in batch.images:
            if image.max() == 255:
                {bad}
        return batch
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    path = tmp_path / "mended_later.py"

    def write(bad):
        path.write_text(MINE.format(bad=bad))

    write("time.sleep(0.1); os._exit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("mended_later", None)
    yield importlib.import_module("mended_later").Mine(), write
    sys.modules.pop("mended_later", None)


def test_an_image_that_kills_its_workers_is_dumped_replayed_and_passes_when_mended(farm_of, mine, tmp_path):
    augmenter, write = mine
    farm = farm_of(0, max_attempts=1)
    farm.start_workers(1, "--allow-import", "mended_later")
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    batch = np.zeros((3, 300, 300, 3), np.uint8)
    batch[1] = 255
    with Client(augmenter, farm.clients, isolate=True, dump_dir=dumps) as client:
        (partial,) = client.map_batches([batch])
    assert partial.guilty == (1,)
    error = partial.errors[1]
    assert isinstance(error, BatchPoisoned)
    assert names(dumps) == ["batch-000000-image-001.augdump"]
    assert str(error).endswith(f"augfarm replay {error.dump} --allow-import mended_later")
    assert Path(error.dump).stat().st_size < 300_000, "of the batch it has that image alone"
    code, out, _ = typed(error.replay_command, tmp_path)
    assert (code, out.splitlines()[-1]) == (1, "now: it ended its process, with code 3")
    write("raise ValueError('too bright')")
    code, out, _ = typed(error.replay_command, tmp_path)
    assert (code, out.splitlines()[-1]) == (1, "ValueError: too bright")
    assert "now: it fails by another error" in out
    write("image[...] = 0")
    code, out, _ = typed(error.replay_command, tmp_path)
    assert (code, out.splitlines()[-1]) == (0, "now: it passes")


def test_a_batch_of_which_nothing_is_left_is_dumped_whole(two_workers, tmp_path):
    with Client(PICKY, two_workers.clients, isolate=True, dump_dir=tmp_path) as client:
        (failed,) = client.map_batches([WRONG], on_error="return")
    assert names(tmp_path) == ["batch-000000.augdump"]
    assert failed.error.dump == str(tmp_path / "batch-000000.augdump")
