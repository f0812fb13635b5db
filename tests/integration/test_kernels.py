"""kernels="fast" through a farm, replayed, refused, and on the command line."""

import json
import subprocess
import sys

import numpy as np
import pytest

from augfarm.client import Client, Pool
from augfarm.protocol import pipelines
from augfarm.protocol.augment import Recipe
from augfarm.protocol.errors import InvalidPipeline
from augfarm.worker import kernels
from farms import fingerprint, quokka_batches, tutorial

import imgaug.augmenters as iaa  # isort: skip

needs_kernels = pytest.mark.skipif(
    not kernels.replaced("fast"), reason="this imgaug is not the one kernels are for"
)


def pipeline():
    return iaa.Sequential(
        [iaa.PiecewiseAffine(0.05, nb_rows=2, nb_cols=3), iaa.MaxPooling(2), iaa.Fliplr(0.5)]
    )


def test_a_farm_augments_by_the_kernels_that_its_caller_chose(two_workers):
    batches = quokka_batches(1, images=1, size=32)
    results = {}
    for chosen in (None, "exact", "fast"):
        with Client(pipeline(), two_workers.clients, seed=3, seeding="batch", kernels=chosen) as client:
            results[chosen] = list(client.imap_batches(quokka_batches(1, images=1, size=32), with_info=True))
            infos = [info for _, info in results[chosen]]
            assert {info.kernels for info in infos} == {client.kernels} == {chosen or "exact"}
            again = [client.replay(batch, info) for batch, info in zip(batches, infos, strict=True)]
            assert [fingerprint(b) for b in again] == [fingerprint(b) for b, _ in results[chosen]]
    prints = {chosen: [fingerprint(batch) for batch, _ in each] for chosen, each in results.items()}
    assert prints[None] == prints["exact"]
    if kernels.replaced("fast"):
        assert prints["fast"] != prints["exact"]
    for (exact, _), (fast, _) in zip(results["exact"], results["fast"], strict=True):
        apart = np.abs(np.array(exact.images_aug, int) - np.array(fast.images_aug, int))
        assert apart.max() <= 8


def test_both_kinds_of_one_pipeline_are_two_pipelines():
    exact, fast = (pipelines.load(tutorial(), chosen) for chosen in ("exact", "fast"))
    assert pipelines.load(tutorial()) == exact
    assert pipelines.digest(exact) != pipelines.digest(fast)
    assert pipelines.kernels_of(exact) == "exact"
    assert pipelines.kernels_of(fast) == "fast"
    assert pipelines.load(fast) == fast  # a spec keeps what it says
    assert pipelines.load(fast, "exact") == exact


def test_a_worker_that_knows_only_form_1_refuses_a_fast_pipeline(monkeypatch):
    spec = pipelines.load(tutorial(), "fast")
    monkeypatch.setattr(pipelines, "SPEC_VERSION_OF_KERNELS", 1)  # as before there were kernels
    with pytest.raises(InvalidPipeline, match="a spec of form 2, expected 1"):
        Recipe(spec)


def test_a_worker_without_kernels_refuses_a_fast_pipeline_and_augments_exact_ones(monkeypatch):
    monkeypatch.setitem(sys.modules, "augfarm.worker.kernels", None)
    with pytest.raises(InvalidPipeline, match="asks for kernels 'fast', and there are none here"):
        Recipe(pipelines.load(tutorial(), "fast"))
    assert Recipe(pipelines.load(tutorial(), "exact")).kernels == "exact"


@pytest.mark.parametrize("bad", ["quick", 1, True, "FAST"])
def test_other_kernels_are_refused_before_anything_is_started(bad):
    for make in (Client, Pool):
        with pytest.raises(ValueError, match="expected kernels to be one of exact, fast, got"):
            make(iaa.Fliplr(0.5), kernels=bad)


def test_a_spec_with_other_kernels_is_refused_by_their_name():
    spec = json.loads(pipelines.load(iaa.Fliplr(0.5), "fast"))
    spec["imgaug"]["kernels"] = "turbo"
    with pytest.raises(InvalidPipeline, match="asks for kernels 'turbo', expected 'fast'"):
        pipelines.load(spec)


COMMANDS = ["run p.py:a in out", "preview p.py:a x.png", "demo", "spec p.py:a"]


@pytest.mark.parametrize(
    "command", [pytest.param(each, marks=pytest.mark.slow) for each in COMMANDS[1:]] + COMMANDS[:1]
)
def test_the_command_line_refuses_other_kernels_in_one_line(command, tmp_path):
    words = [sys.executable, "-m", "augfarm.client.cli", *command.split(), "--kernels", "quick"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert "expected kernels to be one of exact, fast, got 'quick'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@needs_kernels
def test_a_spec_made_with_fast_kernels_says_so(tmp_path):
    (tmp_path / "p.py").write_text("import imgaug.augmenters as iaa\na = iaa.PiecewiseAffine(0.03)\n")
    words = [sys.executable, "-m", "augfarm.client.cli", "spec", "p.py:a", "--kernels", "fast"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True)
    assert pipelines.kernels_of(done.stdout.strip().encode()) == "fast"
    assert kernels.installed(Recipe(done.stdout.strip().encode())._augmenter) == ["PiecewiseAffine"]
