"""A folder of real images of many kinds, and runs over it."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from types import SimpleNamespace

import pytest

from augfarm.client.folders import __main__ as program
from folders.samples import PIPELINE, make_folder


@pytest.fixture
def images(tmp_path):
    """A folder SRC with good images."""
    root = tmp_path / "src"
    root.mkdir()
    make_folder(root)
    return root


@pytest.fixture
def pipeline(tmp_path):
    path = tmp_path / "my_pipeline.py"
    path.write_text(PIPELINE)
    return path


@pytest.fixture
def augfarm_run(pipeline, two_workers, monkeypatch):
    """Runs `augfarm run` in this process: ``augfarm_run(src, dst, "--copies", 2)``; returns what it said."""

    given = pipeline

    def run(src, dst, *options, name="augmenter", code=0, pipeline=None):
        words = [pipeline or f"{given}:{name}", src, dst, *options]
        if "--broker" not in options:
            words += ["--broker", two_workers.clients]
        monkeypatch.setattr(sys, "argv", ["augfarm run", *map(str, words)])
        stdout, stderr = io.StringIO(), io.StringIO()
        with redirect_stdout(stdout), redirect_stderr(stderr), pytest.raises(SystemExit) as ended:
            program.main()
        assert ended.value.code == code, stdout.getvalue() + stderr.getvalue()
        return SimpleNamespace(stdout=stdout.getvalue(), stderr=stderr.getvalue())

    return run
