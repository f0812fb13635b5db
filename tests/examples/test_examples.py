"""Every example runs, says what it promises, and writes its picture. On fewer batches than by default."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from augfarm.client import BatchInfo
from augfarm.client.loading import load_spec
from augfarm.client.sheet import POINT_COLOUR
from farms import Farm

EXAMPLES = Path(__file__).parents[2] / "examples"
#: For each script: batches to run here, and the height and width of its picture, or None.
SCRIPTS: dict[str, tuple[int, tuple[int, int] | None]] = {
    "01_one_core_and_a_farm": (2, (320, 552)),
    "02_keypoints": (2, (320, 552)),
    "03_pool_with_seed": (2, (476, 688)),
    "04_generators": (8, (476, 552)),
    "05_rate_limiting": (12, None),
    "06_augment_batches": (2, (320, 552)),
    "07_training_loop": (20, (360, 640)),
    "08_custom_augmenter": (2, (320, 688)),
    "09_without_imgaug": (2, None),
}
#: What its output looks like.
EXPECTED = {
    "01_one_core_and_a_farm": r"one core: 2 batches in [\d.]+ s\n"
    r"the farm: 2 batches in [\d.]+ s, [\d.]+ times as fast\n",
    "02_keypoints": r"2 batches augmented.*\n(-?\d+,-?\d+(, |\n)){16}",
    "03_pool_with_seed": r"seed 1: (\w{16})\nseed 1 again: \1\nseed 1000: (?!\1)\w{16}\n",
    "04_generators": r"8 batches of 16 images taken from a generator without end\n",
    "05_rate_limiting": r"( *\d+ ms  (Loading batch|Consuming batch|Requesting a batch).*\n){36}",
    "06_augment_batches": r"inside the block imgaug's Pool is augfarm\.client\.pool\.Pool\n"
    r"2 batches of 16 images augmented\nafter it, it is imgaug\.multicore\.Pool again\n",
    "07_training_loop": r"( +(queued|wire|augmenting|waiting): +[\d.]+ ms a batch\n){4}"
    r"the trainer asked .*\nbottleneck: the (loader|farm|trainer)\nright (.*\n)right (.*\n)",
    "08_custom_augmenter": r"2 batches on a local farm and on a remote one, images equal\n",
    "09_without_imgaug": r"2 batches of 16 images in [\d.]+ s, augmented by [12] workers?\n"
    r"sha256 [0-9a-f]{64}\n",
}
#: Quick enough for every run, and where: on a farm that runs, or on one of the script's own.
QUICK = {
    ("02_keypoints", "remote"),
    ("04_generators", "remote"),
    ("05_rate_limiting", "local"),
    ("07_training_loop", "remote"),
    ("08_custom_augmenter", "local"),
}


def run(name: str, directory: Path, broker: str | None, batches: int | None = None) -> str:
    """The script's output; its picture is in the directory."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AUGFARM_")}
    if broker is not None:
        environment["AUGFARM_BROKER"] = broker
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", "--batches", str(batches or SCRIPTS[name][0])],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(name: str, output: str, directory: Path) -> None:
    # On a busy machine a farm may need so long to start that the client says so.
    output = re.sub(r"(?m)^.*augfarm: .*still waiting\n", "", output)
    assert re.fullmatch(EXPECTED[name], output), output
    size = SCRIPTS[name][1]
    assert [path.name for path in directory.iterdir()] == ([f"{name}.png"] if size else [])
    picture = iio.imread(directory / f"{name}.png") if size else np.zeros(0)
    assert size is None or picture.shape == (*size, 3)
    if name == "02_keypoints":
        assert (picture == POINT_COLOUR).all(axis=2).sum() > 8 * 20  # eight images with points on them
    elif name == "03_pool_with_seed":
        rows = [picture[8 + 156 * row :][:128] for row in range(3)]
        assert np.array_equal(rows[0], rows[1])
        assert not np.array_equal(rows[0], rows[2])
    elif name == "05_rate_limiting":
        check_rate(re.findall(r"(Loading|Consuming) batch (\d+)", output))
    elif name == "08_custom_augmenter":
        assert not np.array_equal(picture[8:136, 8:136], picture[8:136, 144:272])  # before, after


def check_rate(lines: list[tuple[str, str]]) -> None:
    """Loaded and consumed in order; when the k-th is consumed, at most 5 + k were loaded."""
    loaded = consumed = 0
    for what, number in lines:
        if what == "Loading":
            assert int(number) == loaded
            loaded += 1
        else:
            assert int(number) == consumed
            consumed += 1
            assert loaded <= 5 + consumed
        # The next one may have been handed over, and its credit used, before its line is written.
        assert consumed <= loaded <= 5 + consumed + 1
    assert loaded == consumed == 12


@pytest.mark.parametrize(
    ("name", "where"),
    [
        pytest.param(name, where, marks=() if (name, where) in QUICK else pytest.mark.slow)
        for name in SCRIPTS
        for where in ("local", "remote")
        if (name, where) != ("08_custom_augmenter", "remote")  # its workers need an option
    ],
)
def test_example(name: str, where: str, tmp_path: Path, two_workers: Farm) -> None:
    broker = two_workers.clients if where == "remote" else None
    check(name, run(name, tmp_path, broker), tmp_path)


@pytest.mark.slow
def test_the_custom_augmenter_on_a_farm_that_runs(tmp_path: Path, farm_of: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES))
    farm = farm_of(0)
    farm.start_workers(1, "--allow-import", "my_augs")
    directory = tmp_path / "run"
    directory.mkdir()
    check("08_custom_augmenter", run("08_custom_augmenter", directory, farm.clients), directory)


@pytest.mark.slow
def test_the_network_learns_more_from_augmented_pictures(tmp_path: Path, two_workers: Farm) -> None:
    output = run("07_training_loop", tmp_path, two_workers.clients, batches=200)
    plain, augmented = (int(share) for share in re.findall(r"(\d+)%", output))
    assert augmented >= plain + 10


@pytest.mark.parametrize(
    ("spec", "source"),
    [("07_training_loop", "07_training_loop"), ("09_without_imgaug", "01_one_core_and_a_farm")],
)
def test_the_specs_are_what_augfarm_spec_writes(spec: str, source: str) -> None:
    written = json.loads((EXAMPLES / f"{spec}.json").read_text())
    fresh = json.loads(load_spec(f"{EXAMPLES / source}.py:augmenter"))
    if written["imgaug"] != fresh["imgaug"]:
        pytest.skip(f"they are for {written['imgaug']}")
    assert written == fresh


def test_with_its_spec_the_training_loop_does_not_import_imgaug(tmp_path: Path, two_workers: Farm) -> None:
    block = "import runpy, sys; sys.modules['imgaug'] = sys.modules['cv2'] = None; del sys.argv[0];"
    script = EXAMPLES / "07_training_loop.py"
    code = f"{block} runpy.run_path(sys.argv[0], run_name='__main__')"
    options = ("--batches", "20", "--spec", script.with_suffix(".json"))
    done = subprocess.run(
        [sys.executable, "-c", code, script, *options],
        cwd=tmp_path,
        env=os.environ | {"AUGFARM_BROKER": two_workers.clients},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check("07_training_loop", done.stdout, tmp_path)


def test_every_script_is_tested_and_in_the_list() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("[0-9]*.py")) == sorted(SCRIPTS)
    listed = re.findall(r"`(\w+)\.py`", (EXAMPLES / "README.md").read_text())
    assert set(listed) == {path.stem for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize(
    ("queued", "at_work", "requesting", "training", "expected"),
    [
        (9.0, 1.0, 0.1, 5.0, "trainer"),
        (9.0, 1.0, 5.0, 0.1, "farm"),
        (0.1, 1.0, 5.0, 0.1, "loader"),
    ],
)
def test_who_is_the_bottleneck(
    queued: float, at_work: float, requesting: float, training: float, expected: str
) -> None:
    info = BatchInfo(0, 0, None, 0, queued, at_work / 2, at_work / 2, 0.0)
    assert load("07_training_loop").bottleneck([info] * 3, requesting, training) == expected
