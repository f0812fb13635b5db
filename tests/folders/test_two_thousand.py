"""The long run: 2,000 images three times over, with a worker killed and the client stopped and killed."""

import json
import os
import signal
import subprocess

import pytest

from augfarm.client.loading import load_spec
from farms import wait_until
from folders.dataset import make_dataset
from folders.samples import break_some, command, files_of

PIPELINE = """
from imgaug import augmenters as iaa

augmenter = iaa.Sequential([
    iaa.Fliplr(0.5),
    iaa.Affine(rotate=(-20, 20), scale=(0.8, 1.2), translate_percent=(-0.2, 0.2)),
    iaa.Sometimes(0.3, iaa.GaussianBlur((0, 1.5))),
    iaa.Multiply((0.8, 1.2)),
    iaa.Sometimes(0.3, iaa.Crop(percent=(0, 0.2), keep_size=False)),
])
"""


def count_files(root):
    return sum(len(names) for folder, _, names in os.walk(root) if ".augfarm" not in folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_2000_images_three_times_over_stopped_and_killed_are_those_of_an_undisturbed_run(tmp_path, farm_of):
    src = tmp_path / "src"
    make_dataset(src, 2_000)
    broken = [f"images/{name}" for name in break_some_in(src / "images")]
    (tmp_path / "my_pipeline.py").write_text(PIPELINE)
    spec = tmp_path / "spec.json"
    spec.write_bytes(load_spec(f"{tmp_path / 'my_pipeline.py'}:augmenter"))
    words = (spec, src, tmp_path / "dst", "--copies", 3, "--seed", 8, "--min-visible", 0.2)
    words += ("--coco", src / "coco.json", "--yolo", src / "labels", "--resume")
    farm = farm_of(2)

    def start():
        return subprocess.Popen(
            command(*words, "--broker", farm.clients),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(files):
        wait_until(lambda: count_files(tmp_path / "dst") >= files, f"{files} files", 240)

    run = start()
    wait_for(1_000)
    os.kill(farm.worker_pids()[0], signal.SIGKILL)
    wait_for(3_000)
    run.send_signal(signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 130, said
    run = start()
    wait_for(6_000)
    os.kill(farm.worker_pids()[1], signal.SIGKILL)
    wait_for(7_000)
    run.kill()
    run.wait(60)
    assert count_files(tmp_path / "dst") < 12_000
    said, _ = (run := start()).communicate(timeout=300)
    assert run.returncode == 1, said
    print(said)

    alone = [*words[:2], tmp_path / "whole", *words[3:], "--processes", 1]
    done = subprocess.run(command(*alone), capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    print(done.stdout)
    whole, stopped = files_of(tmp_path / "whole"), files_of(tmp_path / "dst")
    assert whole.keys() == stopped.keys()
    assert [path for path in whole if whole[path] != stopped[path]] == []
    assert len(whole) == 2 * 6_000 + 1
    report = json.loads((tmp_path / "dst/.augfarm/report.json").read_text())
    assert [each["image"] for each in report["failed"]] == broken
    coco = json.loads(whole["coco.json"])
    assert len(coco["images"]) == 6_000
    assert len({each["id"] for each in coco["annotations"]}) == len(coco["annotations"]) > 6_000


def break_some_in(folder):
    (folder / "animals").mkdir()
    return break_some(folder)
