"""The local farm's arguments, and its children's ends; real ones are tested in tests/integration."""

import importlib.util
import os
import signal
import subprocess
import sys

import pytest

from augfarm.client import local
from augfarm.protocol.errors import FarmUnavailable


def test_without_imgaug_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FarmUnavailable, match=r"pip install --no-deps imgaug==0\.4\.0"):
        local.LocalFarm(1)


@pytest.fixture
def scratches(monkeypatch, tmp_path):
    """Where scratch directories are made."""
    monkeypatch.setattr(local.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(local, "MAX_SCRATCH_LENGTH", 1000)
    return tmp_path


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


class Child:
    """A process that has ended with this code, or runs (None)."""

    def __init__(self, code=None):
        self.code = code
        self.pid = 0

    def poll(self):
        return self.code

    def terminate(self):
        self.code = -signal.SIGTERM

    def wait(self, timeout=None):
        return self.code


@pytest.mark.parametrize("error", [OSError("no more processes"), KeyboardInterrupt()])
def test_a_farm_that_cannot_start_leaves_nothing(monkeypatch, scratches, error):
    started, before = [], descriptors()

    def start(self, name):
        if started:
            raise error
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return started[0]

    monkeypatch.setattr(local.LocalFarm, "_start", start)
    with pytest.raises(type(error)):
        local.LocalFarm(1)
    assert started[0].returncode == -signal.SIGTERM
    assert not list(scratches.iterdir())
    assert descriptors() == before


def test_children_that_still_import_end_at_once(scratches):
    """They look at the pipe only once they have imported all that they need."""
    farm = local.LocalFarm(1)
    farm.stop()
    assert {child.returncode for child in farm._children.values()} == {-signal.SIGTERM}
    assert not list(scratches.iterdir())


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_children_that_end_before_any_worker_joins_are_given_up_however_long_a_start_takes(
    monkeypatch, scratches, seconds
):
    now, started = [0.0], []

    def start(self, name):
        started.append(name)
        return Child(0 if name == "worker" else None)

    monkeypatch.setattr(local.LocalFarm, "_start", start)
    monkeypatch.setattr(local.time, "monotonic", lambda: now[0])
    farm = local.LocalFarm(1)
    reasons = []
    while not reasons and len(started) < 100:
        now[0] += seconds
        reasons += filter(None, [farm.look_after()])
    farm.stop()
    assert "worker ended with code 0" in reasons[0]
    assert started.count("worker") == 1 + local.MAX_RESTARTS


def test_children_that_end_now_and_then_are_always_started_again(monkeypatch, scratches):
    now = [0.0]
    monkeypatch.setattr(local.LocalFarm, "_start", lambda self, name: Child(-9))
    monkeypatch.setattr(local.time, "monotonic", lambda: now[0])
    farm = local.LocalFarm(1)
    for _ in range(100):
        now[0] += local.RESTART_WINDOW_S
        assert farm.look_after() is None
        farm.saw_workers()
    farm.stop()


def test_a_deep_temporary_directory_is_avoided(monkeypatch, tmp_path):
    deep = tmp_path / ("d" * 80)
    deep.mkdir()
    monkeypatch.setattr(local.tempfile, "tempdir", str(deep))
    scratch = local._make_scratch()
    assert len(scratch) < local.MAX_SCRATCH_LENGTH
    assert not list(deep.iterdir())
    local.shutil.rmtree(scratch)


@pytest.mark.parametrize(("path", "expected"), [(["", "/a"], ["/a", "{here}"]), (["/b", "/a"], ["/b", "/a"])])
def test_children_look_in_the_working_directory_only_if_this_process_does_and_last(
    monkeypatch, tmp_path, path, expected
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local.sys, "path", path)
    found = local._environment()["PYTHONPATH"].split(local.os.pathsep)
    assert found == [entry.format(here=tmp_path) for entry in expected]
