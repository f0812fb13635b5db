"""What bench/ writes into docs/ is what its results give, and docs/reliability.md names tests that exist."""

import ast
import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "reliability.md"


def test_the_table_of_faults_is_written_from_its_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    reliability = importlib.import_module("reliability")
    assert DOCUMENT.read_text() == reliability.document(), "run: python bench/reliability.py"


def test_the_tables_of_kernels_and_of_speed_are_written_from_their_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        monkeypatch.setenv(name, "1")  # as these programs do, so that it is undone
    differences, speed = (importlib.import_module(name) for name in ("kernel_differences", "augmenters"))
    rows = json.loads((ROOT / "bench/results/kernel-differences.json").read_text())["rows"]
    found = json.loads((ROOT / "bench/results/augmenters.json").read_text())
    assert differences.DOCUMENT.read_text() == differences.document(rows), "run: bench/kernel_differences.py"
    assert speed.DOCUMENT.read_text() == speed.document(found), "run: bench/augmenters.py --document"


def named_tests():
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    cells = [line.rstrip(" |").rpartition("|")[2] for line in lines]
    return sorted({name for cell in cells for name in re.findall(r"`([a-z_/]+(?:\.py(?:::\w+)?)?)`", cell)})


@pytest.mark.parametrize("name", named_tests())
def test_a_test_that_the_table_names_exists(name):
    path, _, function = name.partition("::")
    place = ROOT / "tests" / path
    assert place.exists()
    if function:
        defined = {n.name for n in ast.walk(ast.parse(place.read_text())) if isinstance(n, ast.FunctionDef)}
        assert function in defined
