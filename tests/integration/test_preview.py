"""`augfarm preview`, as a user types it, and docs/howto-preview.md."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import imgaug
import imgaug.augmenters as iaa
import numpy as np
import pytest

from augfarm.client import Client
from augfarm.client.preview.__main__ import main
from augfarm.client.preview.drawing import POINT_COLOUR
from augfarm.client.preview.layout import LEAST_SIDE
from augfarm.client.sheet import MESSAGE_GROUND
from augfarm.protocol import pipelines
from farms import ten_augmenters

AUGFARM = Path(sys.executable).with_name("augfarm")
HOWTO = Path(__file__).parents[2] / "docs" / "howto-preview.md"
PHOTOGRAPH = Path(imgaug.__file__).with_name("quokka.jpg")
PIPELINE = """
import numpy as np
from imgaug import augmenters as iaa

class Stripe(iaa.Augmenter):
    def _augment_batch_(self, batch, random_state, parents, hooks):
        for image in batch.images:
            image[:, :4] = 255
        return batch
    def get_parameters(self):
        return []

noise = iaa.Sequential([iaa.Fliplr(0.5), iaa.AdditiveGaussianNoise(scale=40)])
colour = iaa.AddToHue((-50, 50))
own = iaa.Sequential([Stripe()])
"""


def run(words, cwd, **environment):
    return subprocess.run(
        [AUGFARM, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if not k.startswith("AUGFARM_")} | environment,
        check=False,
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "augs.py").write_text(PIPELINE)
    iio.imwrite(tmp_path / "colours.png", iio.imread(PHOTOGRAPH)[:48, :64])
    iio.imwrite(tmp_path / "grey.png", iio.imread(PHOTOGRAPH)[:48, :64, 0])
    return tmp_path


@pytest.fixture
def preview(folder, monkeypatch, capsys):
    """The command in this process: to start another one takes longer than what it does."""
    monkeypatch.chdir(folder)

    def command(*words, broker=None):
        monkeypatch.setattr(sys, "argv", ["augfarm preview", *map(str, words)])
        monkeypatch.setattr(sys, "path", [*sys.path])
        if broker is not None:
            monkeypatch.setenv("AUGFARM_BROKER", broker)
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return command


def client_of(farm):
    """A client of the same pipeline as augs.py:noise."""
    pipeline = iaa.Sequential([iaa.Fliplr(0.5), iaa.AdditiveGaussianNoise(scale=40)])
    return Client(pipeline, farm.clients)


def test_a_sheet_of_two_images_by_a_farm_that_runs(folder, preview, two_workers):
    code, out, err = preview(
        "augs.py:noise", "colours.png", "grey.png", "-n", 3, "--broker", two_workers.clients
    )
    assert (code, err) == (0, "")
    assert re.fullmatch(r"sheet\.png: \d+×\d+ pixels\n", out)
    sheet = iio.imread(folder / "sheet.png")
    assert sheet.shape[0] > 2 * LEAST_SIDE
    assert sheet.std() > 20


def test_a_seed_alone_equals_what_the_client_shows(folder, preview, two_workers):
    code, _, err = preview("augs.py:noise", "colours.png", "--seed", 7, broker=two_workers.clients)
    assert (code, err) == (0, "")
    with client_of(two_workers) as client:
        expected = np.asarray(client.preview([iio.imread(folder / "colours.png")], seed=7))
    sheet = iio.imread(folder / "sheet.png")
    assert sheet.shape == expected.shape
    assert np.array_equal(sheet[48:], expected[48:])  # above is the image's name


def test_each_augmenter_of_ones_own_on_a_farm_that_is_started(folder):
    words = ["augs.py:own", "colours.png", "--each", "--processes", 1, "-n", 1, "-o", "each.png"]
    done = run(["preview", *words], folder)
    assert done.returncode == 0, done.stderr
    assert iio.imread(folder / "each.png").shape[0] > 2 * LEAST_SIDE


def test_errors_of_the_pipeline_are_on_the_sheet_and_told(folder, preview, two_workers):
    code, _, err = preview("augs.py:colour", "grey.png", "-n", 2, broker=two_workers.clients)
    assert code == 1
    assert re.fullmatch(r"augfarm preview: 2 variants failed: \w+Error: .*\n", err)
    sheet = iio.imread(folder / "sheet.png")
    assert (sheet == MESSAGE_GROUND).all(axis=2).sum() > 2 * LEAST_SIDE**2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["augs.py:noise", "nothing.png"], "cannot read nothing.png: No such file"),
        (["augs.py:noise", "augs.py"], "augs.py: expected a JPEG, PNG"),
        (["augs.py:nothing", "grey.png"], "augs.py has no 'nothing'"),
        (["augs.py:noise", "grey.png", "-o", "sheet.pdf"], "expected a name that ends with one of .png"),
        (["augs.py:noise", "grey.png", "-o", "no/sheet.png"], "no/sheet.png: there is no folder no"),
        (["augs.py:noise", "grey.png", "-o", "grey.png"], "it is one of the images"),
        (["augs.py:noise", "grey.png", "-n", "2000"], "a sheet of 2001 pictures"),
        (["augs.py:noise", "grey.png", "--broker", "tcp://a:1", "--processes", "1"], "not both"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_nothing_is_written(words, message, folder, preview, two_workers):
    before = (folder / "grey.png").read_bytes()
    code, out, err = preview(*words, broker=two_workers.clients)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"augfarm preview: .*\n", err)
    assert message in err
    assert (folder / "grey.png").read_bytes() == before
    assert not (folder / "sheet.png").exists()


def without(folder, *names):
    """An environment for programs that cannot import these packages."""
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name.split('.')[0] in {names}: raise ModuleNotFoundError(f'no {{name}}')\n"
        "sys.meta_path.insert(0, Block())\n"
    )
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def test_without_pillow_it_says_what_to_install(folder):
    done = run(["preview", "augs.py:noise", "grey.png"], folder, **without(folder, "PIL"))
    assert done.returncode == 2
    assert done.stderr == "augfarm preview: to draw needs Pillow here: pip install 'augfarm[preview]'\n"


def test_without_imgaug_a_spec_and_a_farm_elsewhere_are_enough(folder, two_workers):
    (folder / "spec.json").write_bytes(pipelines.encode(ten_augmenters()))
    images = np.full((1, 32, 32, 3), 90, np.uint8)
    np.savez(folder / "batch.npz", images=images, keypoints=[[(8, 8), (24, 8)]])
    words = ["spec.json", "batch.npz", "--each", "-n", 2, "--broker", two_workers.clients]
    others = ("imgaug", "cv2", "imageio", "scipy", "skimage")
    done = run(["preview", *words], folder, **without(folder, *others))
    assert done.returncode == 0, done.stderr
    sheet = iio.imread(folder / "sheet.png")
    assert (sheet == POINT_COLOUR).all(axis=2).sum() > 15 * 3 * 10


def blocks():
    """The how-to's blocks, each with its kind: "python", or "" for commands."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", HOWTO.read_text(), re.S | re.M)


@pytest.mark.slow
def test_the_how_tos_commands_run_and_make_its_pictures(tmp_path, two_workers):
    (tmp_path / "quokka.jpg").write_bytes(PHOTOGRAPH.read_bytes())
    scripts = {re.match(r"# (\w+\.py)\n", block)[1]: block for kind, block in blocks() if kind == "python"}
    for name, block in scripts.items():
        (tmp_path / name).write_text(block)
    environment = os.environ | {"AUGFARM_BROKER": two_workers.clients}
    for name in ("sheet.py", "batch.py"):
        subprocess.run([sys.executable, name], cwd=tmp_path, env=environment, timeout=60, check=True)
    commands = [line for kind, block in blocks() if not kind for line in block.splitlines()]
    assert len(commands) >= 6
    for line in commands:
        words, _, output = line.replace("tcp://BROKER:5555", two_workers.clients).partition(" > ")
        program, *words = shlex.split(words)
        assert program == "augfarm"
        done = run(words, tmp_path, AUGFARM_BROKER=two_workers.clients)
        assert done.returncode == 0, done.stderr
        if output:
            (tmp_path / output).write_text(done.stdout)
    shown = re.findall(r"\]\(images/(.*?)\)", HOWTO.read_text())
    assert len(shown) == 4
    for name in shown:
        made, kept = iio.imread(tmp_path / name), iio.imread(HOWTO.parent / "images" / name)
        assert made.shape == kept.shape
        assert np.abs(made.astype(int) - kept.astype(int)).mean() < 8, f"{name} shows something else"


def test_the_how_tos_pictures_are_there_and_small():
    for name in re.findall(r"\]\(images/(.*?)\)", HOWTO.read_text()):
        assert 0 < (HOWTO.parent / "images" / name).stat().st_size < 400_000
