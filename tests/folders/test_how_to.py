"""docs/folders.md: its commands do what it says, and its programs run."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from augfarm.client.folders.__main__ import app
from augfarm.client.loading import load_spec
from folders.dataset import make_dataset
from folders.samples import files_of, photograph

DOCUMENT = (Path(__file__).parents[2] / "docs" / "folders.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", DOCUMENT, re.M | re.S)
COMMANDS = [line for kind, text in BLOCKS if not kind for line in text.splitlines()]
PROGRAMS = [text for kind, text in BLOCKS if kind == "python"]

VOC = (
    "<annotation><filename>1.jpg</filename><object><name>cat</name><bndbox><xmin>20</xmin><ymin>20</ymin>"
    "<xmax>50</xmax><ymax>50</ymax></bndbox></object></annotation>"
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with all that the commands name."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "VOC2012/JPEGImages", "VOC2012/Annotations", "VOC2012/SegmentationClass"):
        Path(folder).mkdir(parents=True)
    photo = Image.fromarray(photograph((60, 80)))
    for path in ("photos/cat.jpg", "VOC2012/JPEGImages/1.jpg", "cat.jpg", "dog.jpg"):
        photo.save(path)
    Path("VOC2012/Annotations/1.xml").write_text(VOC)
    Image.fromarray(np.ones((60, 80), np.uint8)).save("VOC2012/SegmentationClass/1.png")
    make_dataset(tmp_path / "dataset", 6)
    shutil.move("dataset/coco.json", "dataset/instances.json")
    Path("my_pipeline.py").write_text(PROGRAMS[0])
    return tmp_path


def test_its_commands_run(place, augfarm_run, two_workers):
    for line in COMMANDS:
        program, command, *words = shlex.split(line)
        assert program == "augfarm"
        if command == "spec":
            (reference, _, target) = words
            Path(target).write_bytes(load_spec(reference))
            continue
        assert command == "run"
        words = [two_workers.clients if word == "tcp://farm:5555" else word for word in words]
        augfarm_run(*words[1:], pipeline=words[0])
    assert sorted(files_of("augmented")) == [f"cat_aug000{copy}.jpg" for copy in range(3)]
    assert sorted(files_of("augmented-there")) == ["cat_aug0000.jpg"]
    assert "instances.json" in files_of("out")
    assert len([path for path in files_of("out-yolo") if path.startswith("labels/")]) == 6
    assert sorted(files_of("out-voc")) == [
        "Annotations/1_aug0000.xml",
        "JPEGImages/1_aug0000.jpg",
        "SegmentationClass/1_aug0000.png",
    ]


def test_its_program_runs(place, two_workers, capsys, monkeypatch):
    Path("spec.json").write_bytes(load_spec("my_pipeline.py:augmenter"))
    exec(PROGRAMS[1].replace("tcp://farm:5555", two_workers.clients), {})
    assert capsys.readouterr().out.count("(60, 80, 3) ") == 2


def test_the_options_that_it_names_are_there():
    options = {option for parameter in typer.main.get_command(app).params for option in parameter.opts}
    named = set(re.findall(r"`(--[a-z-]+)", DOCUMENT))
    assert named
    assert named <= options
