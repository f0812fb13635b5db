"""The decoders under atheris, each for some seconds: coverage leads it where Hypothesis does not come."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .targets import TARGETS

SECONDS = 5


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_decoder_gives_a_value_or_its_own_error(target, tmp_path):
    pytest.importorskip("atheris", reason="atheris is not installed: it has wheels for Linux on x86-64 only")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    arguments = [target, str(corpus), f"-max_total_time={SECONDS}", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.fuzz_decoders", *arguments],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert "Done" in done.stderr, done.stderr[-2000:]
