"""`augfarm run` as a user knows it, on a farm of two workers."""

import importlib.util
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from augfarm.client.folders.names import output_name
from augfarm.client.loading import load_spec
from folders.samples import break_some, command, files_of, make_folder, photograph

KINDS = {
    "cat_aug0001.jpg": ("JPEG", "RGB", (80, 60)),
    "grey_aug0001.jpg": ("JPEG", "L", (80, 60)),
    "animals/cat_aug0001.webp": ("WEBP", "RGB", (80, 60)),
    "animals/cat_aug0001.bmp": ("BMP", "RGB", (80, 40)),
    "animals/deep_aug0001.png": ("PNG", "I;16", (80, 60)),
    "animals/wild/alpha_aug0001.png": ("PNG", "RGBA", (80, 60)),
    "animals/wild/scan_aug0001.tif": ("TIFF", "RGB", (50, 60)),
    "lying_aug0001.JPG": ("JPEG", "RGB", (60, 80)),
}


def png(pixels):
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def opened(octets):
    return Image.open(io.BytesIO(octets))


def test_a_folder_is_augmented_into_another(images, tmp_path, augfarm_run):
    before = files_of(images)
    done = augfarm_run(images, tmp_path / "dst", "--copies", 2, "--seed", 7)
    assert re.search(r"18 images in .*dst, .*, .* images/s", done.stdout)
    written = files_of(tmp_path / "dst")
    assert set(written) == {output_name(path, copy) for path in before for copy in (0, 1)}
    assert written["cat_aug0000.jpg"] != written["cat_aug0001.jpg"]
    for path, kind in KINDS.items():
        result = opened(written[path])
        assert (result.format, result.mode, result.size) == kind
    assert files_of(images) == before


def test_an_identity_changes_no_pixel(images, tmp_path, augfarm_run):
    (images / "animals" / "cat.bmp").unlink()  # of which another becomes cat.png
    augfarm_run(images, tmp_path / "dst", "--format", "png", name="identity")
    written = files_of(tmp_path / "dst")
    for path, octets in files_of(images).items():
        expected, given = (
            ImageOps.exif_transpose(opened(octets)),
            opened(written[output_name(path, 0, "png")]),
        )
        if expected.mode == "P":
            expected, given = expected.convert("RGB"), given.convert("RGB")
        np.testing.assert_array_equal(np.asarray(given), np.asarray(expected))


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(images, tmp_path, augfarm_run):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        augfarm_run(images, tmp_path / name, "--seed", seed)
    a, b, c = (files_of(tmp_path / name) for name in "abc")
    assert a == b
    assert a != c


def test_a_seed_that_was_drawn_is_shown_and_gives_the_same_again(images, tmp_path, augfarm_run):
    done = augfarm_run(images, tmp_path / "a")
    (seed,) = re.findall(r"seed (\d+)", done.stderr)
    augfarm_run(images, tmp_path / "b", "--seed", seed)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_broken_files_are_listed_and_the_rest_is_done(images, tmp_path, augfarm_run):
    broken = break_some(images)
    done = augfarm_run(images, tmp_path / "dst", "--copies", 2, code=1)
    assert "3 failed:" in done.stdout
    for path in broken:
        assert re.search(
            rf"{path}: (an image file that cannot be decoded|is empty|is no image file)", done.stdout
        )
    report = json.loads((tmp_path / "dst/.augfarm/report.json").read_text())
    assert [each["image"] for each in report["failed"]] == broken
    assert len(files_of(tmp_path / "dst")) == 18 == report["written"]


def test_an_image_that_the_pipeline_does_not_take_says_so(images, tmp_path, augfarm_run, pipeline):
    pipeline.write_text(pipeline.read_text() + "\nhue = iaa.AddToHue((-20, 20))\n")
    done = augfarm_run(images, tmp_path / "dst", name="hue", code=1)
    assert re.search(r"grey\.jpg: the pipeline raised AssertionError: ", done.stdout)
    assert "cat_aug0000.jpg" in files_of(tmp_path / "dst")
    augfarm_run(images, tmp_path / "rgb", "--rgb", name="hue")
    assert {opened(each).mode for each in files_of(tmp_path / "rgb").values()} <= {"RGB", "P"}


def test_options_that_make_no_sense_are_named(images, tmp_path, augfarm_run):
    for option, value, text in (
        ("--format", "gif", "expected --format to be one of jpeg"),
        ("--copies", "0", "Invalid value for '--copies'"),
        ("--quality", "101", "Invalid value for '--quality'"),
    ):
        done = augfarm_run(images, tmp_path / "dst", option, value, code=2)
        assert text in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("src", ["none", "dst"])
def test_a_folder_without_images_is_no_mystery(tmp_path, augfarm_run, src):
    (tmp_path / "dst").mkdir()
    (tmp_path / "dst" / "a.txt").write_text("")
    done = augfarm_run(tmp_path / src, tmp_path / "out", code=2 if src == "none" else 0)
    assert ("is not there: expected a folder" in done.stderr) or ("No images there" in done.stdout)


def test_a_pipeline_that_is_not_there_costs_nothing(images, tmp_path, augfarm_run):
    done = augfarm_run(images, tmp_path / "dst", name="none", code=2)
    assert "has no 'none'" in done.stderr
    assert not (tmp_path / "dst").exists()


def test_two_sources_with_one_output_name(tmp_path, augfarm_run):
    src = tmp_path / "src"
    src.mkdir()
    make_folder(src)
    done = augfarm_run(src, tmp_path / "dst", "--format", "png", code=1)
    assert "animals/cat.webp: its outputs would have the names of those of animals/cat.bmp" in done.stdout
    assert len(files_of(tmp_path / "dst")) == 8


def test_anothers_file_is_not_overwritten(images, tmp_path, augfarm_run):
    (tmp_path / "dst" / "animals").mkdir(parents=True)
    other = tmp_path / "dst" / "animals" / "cat_aug0000.bmp"
    other.write_text("mine")
    done = augfarm_run(images, tmp_path / "dst", "--seed", 5, code=2)
    assert "animals/cat_aug0000.bmp is there already, and not of this run" in done.stderr
    assert other.read_text() == "mine"
    other.unlink()
    augfarm_run(images, tmp_path / "dst", "--seed", 5, "--resume")
    augfarm_run(images, tmp_path / "whole", "--seed", 5)
    assert files_of(tmp_path / "dst") == files_of(tmp_path / "whole")


def test_names_that_are_no_text_and_files_that_are_far_down(tmp_path, augfarm_run):
    src = tmp_path / "src"
    deep = src.joinpath(*["deep"] * 20)
    deep.mkdir(parents=True)
    (deep / "ü$ '\n.png").write_bytes(png(photograph((20, 20))))
    (src / os.fsdecode(b"caf\xe9.png")).write_bytes(png(photograph((20, 20))))
    (src / os.fsdecode(b"bad\xe9.png")).write_bytes(b"no")
    done = augfarm_run(src, tmp_path / "dst", code=1)
    assert "bad\\xe9.png: is no image file" in done.stdout
    names = {os.path.basename(path) for path in files_of(tmp_path / "dst")}
    assert names == {"ü$ '\n_aug0000.png", os.fsdecode(b"caf\xe9_aug0000.png")}
    augfarm_run(src, tmp_path / "dst", "--resume", code=1)


def test_a_farm_that_cannot_be_had_is_what_the_error_says(images, tmp_path, augfarm_run, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.delenv("AUGFARM_BROKER", raising=False)
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "imgaug" else find_spec(name)
    )
    done = augfarm_run(images, tmp_path / "dst", "--processes", 1, code=2)
    assert "augfarm run: a local farm needs imgaug here: pip install" in done.stderr


def test_the_client_needs_neither_imgaug_nor_pillow(images, tmp_path, pipeline, two_workers):
    spec = tmp_path / "spec.json"
    spec.write_bytes(load_spec(f"{pipeline}:augmenter"))
    names = ("imgaug", "cv2", "imageio", "scipy", "skimage", "PIL")
    code = (
        "import sys\n"
        "class Block:\n    def find_spec(self, name, *_):\n"
        f"        if name.split('.')[0] in {names}: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from augfarm.client.folders.__main__ import main\n"
        "main()"
    )
    words = [spec, images, tmp_path / "dst", "--broker", two_workers.clients]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(files_of(tmp_path / "dst")) == 9


def test_the_program_runs_it_and_has_help(two_workers):
    done = subprocess.run(command("--help"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    for option in ("--copies", "--resume", "--coco", "--min-visible"):
        assert option in done.stdout
