"""The program `augfarm`, as a user types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import pytest

from augfarm.protocol import pipelines

AUGFARM = Path(sys.executable).with_name("augfarm")


def augfarm(*arguments, cwd=None, **environment):
    return subprocess.run(
        [AUGFARM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=cwd,
        env=os.environ | environment,
        check=False,
    )


def test_help_names_the_commands():
    done = augfarm("--help")
    assert done.returncode == 0
    for command in ("demo", "preview", "broker", "worker", "spec", "replay", "status"):
        assert command in done.stdout


@pytest.mark.parametrize(
    ("command", "option"),
    [("broker", "--clients"), ("worker", "--processes"), ("demo", "--batches"), ("preview", "--each")],
)
def test_each_program_has_its_own_help(command, option):
    done = augfarm(command, "--help")
    assert done.returncode == 0
    assert option in done.stdout


def test_spec_of_a_file_a_module_and_a_function(tmp_path):
    (tmp_path / "my_augs.py").write_text(
        "from imgaug import augmenters as iaa\n"
        "flip = iaa.Sequential([iaa.Fliplr(0.5)])\n"
        "def make():\n    return flip\n"
    )
    (tmp_path / "by_module.py").write_text("from my_augs import flip\n")
    specs = [
        augfarm("spec", reference, cwd=tmp_path)
        for reference in ("my_augs.py:flip", "my_augs.py:make", "by_module:flip")
    ]
    assert {done.returncode for done in specs} == {0}, specs
    assert all(pipelines.decode(done.stdout.strip().encode())[0].p.p.value == 0.5 for done in specs)
    (tmp_path / "spec.json").write_text(specs[0].stdout)
    assert augfarm("spec", "spec.json", cwd=tmp_path).stdout == specs[0].stdout


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nothing.json", "no such"),
        ("my.py", "which name"),
        ("my.py:x", "no such file"),
        ("os:path", "augmenter"),
    ],
)
def test_spec_of_what_is_no_pipeline_is_one_line(reference, message, tmp_path):
    done = augfarm("spec", reference, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_status_for_people_and_as_json(two_workers):
    report = json.loads(augfarm("status", "--broker", two_workers.clients, "--json").stdout)
    assert len(report["workers"]) == 2
    assert all(worker["route"] == "relay" for worker in report["workers"])
    text = augfarm("status", AUGFARM_BROKER=two_workers.clients).stdout
    assert "workers" in text
    assert two_workers.clients in text


def test_status_of_no_broker_is_one_line():
    done = augfarm("status", "--broker", "tcp://127.0.0.1:1", "--timeout", "0.5")
    assert done.returncode == 2
    assert "no broker at tcp://127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_demo_measures_compares_and_writes_a_picture(tmp_path):
    done = augfarm("demo", "--batches", 2, "--processes", 2, "-o", "sheet.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "speed-up" in done.stdout
    assert "same bytes" in done.stdout
    sheet = iio.imread(tmp_path / "sheet.png")
    assert sheet.shape[0] > 400
    assert sheet.shape[1] > 1000
    assert sheet.std() > 20
