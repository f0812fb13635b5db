"""Workers that cannot start are an error, at once; imgaug's Pool starts them again for ever."""

import os
import subprocess
import sys

import numpy as np
import pytest

import hazards
from augfarm.client import Client, FarmUnavailable, Pool
from deadline import DEADLINE, in_time
from farms import alive

IMAGE = np.zeros((1, 8, 8, 3), np.uint8)

#: Fails where workers import it, and not in the trainer.
UNABLE = """
import os, sys
from imgaug import augmenters as iaa

class Mine(iaa.Identity):
    pass

if getattr(sys.modules["__main__"].__spec__, "name", "").startswith("augfarm.worker"):
    {what}
"""
RAISES = ("raise RuntimeError('no licence')", "no licence")
DIE_AT_ONCE = ("os.register_at_fork(after_in_child=lambda: os._exit(9))", "none began to work; giving up")
EXITS = ("os._exit(0)", "")
unable = pytest.mark.parametrize(
    ("what", "said"), [RAISES, DIE_AT_ONCE], ids=["their module raises", "their processes die at once"]
)


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """A module with an augmenter of the trainer's own, with which no worker can start."""
    name = f"unable_{len(sys.modules)}"
    (tmp_path / f"{name}.py").write_text(UNABLE.format(what=request.getfixturevalue("what")))
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__(name)
    del sys.modules[name]


@pytest.mark.parametrize("kind", [Pool, Client])
@unable
def test_a_local_farm_whose_workers_cannot_start_is_an_error(module, kind, what, said, capfd):
    def run():
        with kind(module.Mine(), processes=2) as pool:
            pool.map_batches([IMAGE])

    with pytest.raises(FarmUnavailable, match="worker ended with code 2") as caught:
        in_time(run)
    assert caught.value.waiting_for == "workers"
    assert said in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("what", "said"), [EXITS])
def test_workers_that_end_while_they_import_are_not_started_for_ever(module, what, said):
    def run():
        with Client(module.Mine(), processes=1) as client:
            client.map_batches([IMAGE])

    with pytest.raises(FarmUnavailable, match="worker ended with code 0"):
        in_time(run)


@pytest.mark.parametrize(("what", "said"), [DIE_AT_ONCE])
def test_a_remote_pool_whose_workers_cannot_start_says_why_and_ends(module, tmp_path, what, said):
    arguments = ["--broker", "tcp://127.0.0.1:1", "--processes", "2", "--allow-import", module.__name__]
    pool = subprocess.run(
        [sys.executable, "-m", "augfarm.worker", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert pool.returncode == 2
    assert said in pool.stderr


def test_a_client_that_cannot_start_its_thread_leaves_no_farm(monkeypatch):
    farms = []

    def start(self):
        farms.append(self._keeper)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("augfarm.client.service.Service.start", start)
    with pytest.raises(RuntimeError, match="new thread"):
        Client(hazards.Hazard(), processes=1)
    assert not any(map(alive, farms[0].pids().values()))
    assert not os.path.exists(farms[0]._scratch)
