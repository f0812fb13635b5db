"""Runs that end before their end, and go on: by signals, full disks, and folders that changed."""

import os
import signal
import subprocess

import pytest

from augfarm.client.folders.writing import Writer
from augfarm.client.loading import load_spec
from farms import wait_until
from folders.samples import break_some, command, files_of

OPTIONS = ("--seed", 5, "--copies", 24, "--batch-size", 6)


class Runs:
    """Runs as processes of their own, to be ended. They have a spec file, and so no imgaug."""

    def __init__(self, spec, src, dst):
        self.words = (spec, src, dst, *OPTIONS)
        self.dst = dst
        self.running = None

    def start(self, broker):
        self.running = subprocess.Popen(
            command(*self.words, "--broker", broker, "--resume"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end_after(self, files, number):
        """Send the signal when so many outputs are there."""
        wait_until(lambda: len(files_of(self.dst)) >= files, f"{files} files", 60)
        self.running.send_signal(number)
        said, _ = self.running.communicate(timeout=60)
        return self.running.returncode, said


@pytest.fixture
def runs(pipeline, images, tmp_path):
    spec = tmp_path / "spec.json"
    spec.write_bytes(load_spec(f"{pipeline}:augmenter"))
    made = Runs(spec, images, tmp_path / "dst")
    (tmp_path / "dst").mkdir()
    yield made
    if made.running is not None and made.running.poll() is None:
        made.running.kill()
        made.running.wait()


@pytest.mark.slow
def test_a_run_that_is_stopped_and_killed_ends_as_one_that_is_not(
    runs, images, tmp_path, augfarm_run, farm_of
):
    break_some(images)
    farm = farm_of(2)
    runs.start(farm.clients)
    code, said = runs.end_after(20, signal.SIGINT)
    assert code == 130, said
    assert "Stopped before the end. The same command with --resume goes on." in said
    assert "Traceback" not in said
    assert not (tmp_path / "dst/.augfarm/aside").exists()

    done = len(files_of(tmp_path / "dst"))
    runs.start(farm.clients)
    wait_until(lambda: len(files_of(tmp_path / "dst")) > done + 10, "it goes on", 60)
    os.kill(farm.worker_pids()[0], signal.SIGKILL)
    code, said = runs.end_after(done + 40, signal.SIGKILL)
    assert code == -signal.SIGKILL, said
    with open(tmp_path / "dst/.augfarm/manifest.jsonl", "ab") as manifest:
        manifest.write(b'{"batch":55,"items":[["ca')
    (tmp_path / "dst" / "cat_aug0000.jpg").unlink()
    (tmp_path / "dst" / "cat_aug0001.jpg").write_bytes(b"")  # as a crash of the machine may leave it

    before = len(files_of(tmp_path / "dst"))
    resumed = augfarm_run(images, tmp_path / "dst", *OPTIONS, "--resume", code=1)
    assert "of them before" in resumed.stdout
    augfarm_run(images, tmp_path / "whole", *OPTIONS, code=1)
    whole = files_of(tmp_path / "whole")
    assert before < len(whole) == 9 * 24
    assert files_of(tmp_path / "dst") == whole


@pytest.mark.slow
def test_sigterm_stops_as_ctrl_c_does(runs, two_workers):
    runs.start(two_workers.clients)
    code, said = runs.end_after(1, signal.SIGTERM)
    assert code == 130, said


def test_a_run_that_is_complete_has_nothing_left_to_do(images, tmp_path, augfarm_run):
    augfarm_run(images, tmp_path / "dst", "--seed", 5)
    before = {path: os.stat(tmp_path / "dst" / path).st_mtime_ns for path in files_of(tmp_path / "dst")}
    done = augfarm_run(images, tmp_path / "dst", "--resume")
    assert "9 images" in done.stdout
    assert "(9 of them before)" in done.stdout
    assert before == {path: os.stat(tmp_path / "dst" / path).st_mtime_ns for path in before}


def test_other_options_are_another_run(images, tmp_path, augfarm_run):
    augfarm_run(images, tmp_path / "dst", "--seed", 5)
    done = augfarm_run(images, tmp_path / "dst", "--seed", 5, code=2)
    assert "holds a run already: --resume goes on with it" in done.stderr
    done = augfarm_run(images, tmp_path / "dst", "--copies", 2, "--quality", 50, "--resume", code=2)
    assert "copies was 1 and is 2, quality was null and is 50" in done.stderr


def test_a_folder_that_changed_is_an_error_that_names_the_image(images, tmp_path, augfarm_run):
    augfarm_run(images, tmp_path / "dst", "--seed", 5)
    (images / "added.jpg").write_bytes((images / "cat.jpg").read_bytes())
    done = augfarm_run(images, tmp_path / "dst", "--resume", code=2)
    assert "SRC is not what it was when this run began: added.jpg stands where cat.jpg stood" in done.stderr


def test_a_full_disk_loses_nothing(images, tmp_path, augfarm_run, monkeypatch):
    write = Writer.write

    def fill_up(writer, path, octets, **options):
        if len(files_of(tmp_path / "dst")) >= 5:
            raise OSError(28, "No space left on device", path)
        write(writer, path, octets, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write", fill_up)
        done = augfarm_run(images, tmp_path / "dst", "--seed", 5, "--batch-size", 3, code=2)
    assert "No space left on device. What is done is whole; the same command with --resume" in done.stderr
    assert len(files_of(tmp_path / "dst")) == 5
    augfarm_run(images, tmp_path / "dst", "--batch-size", 3, "--resume")
    augfarm_run(images, tmp_path / "whole", "--seed", 5, "--batch-size", 3)
    assert files_of(tmp_path / "dst") == files_of(tmp_path / "whole")


def test_an_image_that_could_not_be_read_is_tried_again(images, tmp_path, augfarm_run, monkeypatch):
    import builtins

    real = builtins.open

    def refuse(path, *arguments, **options):
        if str(path).endswith("grey.jpg"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", refuse)
        done = augfarm_run(images, tmp_path / "dst", "--seed", 5, code=1)
    assert "grey.jpg: cannot be read: Permission denied" in done.stdout
    augfarm_run(images, tmp_path / "dst", "--resume")
    augfarm_run(images, tmp_path / "whole", "--seed", 5)
    assert files_of(tmp_path / "dst") == files_of(tmp_path / "whole")
