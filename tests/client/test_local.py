"""The local farm's arguments; its processes are tested in tests/integration."""

import importlib.util

import pytest

from augfarm.client import local
from augfarm.protocol.errors import FarmUnavailable


def test_without_imgaug_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FarmUnavailable, match=r"pip install --no-deps imgaug==0\.4\.0"):
        local.LocalFarm(1)


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
