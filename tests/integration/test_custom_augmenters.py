"""Functions and classes of a user's own: refused with words that help, and at work where they are allowed."""

import importlib
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import imgaug.augmenters as iaa
import imgaug.parameters as iap
import numpy as np
import pytest

from augfarm.client import AugmentationFailed, Client, FarmRefused
from farms import quokka_batches, running_farm, wait_until

BIN = Path(sys.executable).parent

TRAIN = """
import augfarm.compat
import imgaug.augmenters as iaa
import numpy as np
from augfarm.client import Client
{imports}
with Client(iaa.Sequential([iaa.Fliplr(0.5), {augmenter}]), timeout=60) as client:
    print(np.sum(client.map_batches([np.zeros((1, 4, 4, 3), np.uint8)])[0]))
"""
#: Adds one to each of the 48 values.
FUNCTION = """
def brighter(images, random_state, parents, hooks):
    return [image + 1 for image in images]
"""

KINDS = """
import numpy as np
import imgaug.augmenters as iaa
import imgaug.parameters as iap

def darker(images, random_state, parents, hooks):
    return [image // 2 for image in images]

def moved(keypoints, random_state, parents, hooks):
    return [each.shift(x=int(random_state.integers(1, 9))) for each in keypoints]

def small(images, random_state, parents, hooks):
    return all(image.shape[0] <= 64 for image in images)

class Sevens(iap.StochasticParameter):
    def __init__(self, most):
        super().__init__()
        self.most = most
    def _draw_samples(self, size, random_state):
        return 7 * random_state.integers(0, self.most // 7 + 1, size=size)
"""
COLOURS = """
import imgaug.augmenters as iaa
class Shift(iaa.Augmenter):
    def __init__(self, by, **base):
        super().__init__(**base)
        self.by = by
    def _augment_batch_(self, batch, random_state, parents, hooks):
        shifts = self.by.draw_samples((batch.nb_rows,), random_state=random_state)
        batch.images = [image + int(shift) for image, shift in zip(batch.images, shifts)]
        return batch
    def get_parameters(self):
        return [self.by]
"""


def python(*arguments, cwd, **environment):
    """A finished Python of a user's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AUGFARM_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def train(directory, imports, augmenter, **environment):
    (directory / "train.py").write_text(TRAIN.format(imports=imports, augmenter=augmenter))
    return python("train.py", cwd=directory, **environment)


def last_line(done):
    assert done.returncode == 1
    return done.stderr.strip().splitlines()[-1]


def start_worker(farm, command, directory):
    """Type the command that a message names, where it says, and wait until the worker has joined."""
    with (directory / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [BIN / command[0], *command[1:]],
            cwd=directory,
            env=os.environ | {"AUGFARM_BROKER": farm.workers, "AUGFARM_PROCESSES": "1"},
            stdout=log,
            stderr=log,
        )
    farm.processes.append(process)
    wait_until(lambda: farm.status()["workers"], "a worker joins")
    return process


def test_a_user_who_does_what_the_messages_say_arrives(farm_of, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    farm = farm_of(1)
    remote = {"AUGFARM_BROKER": farm.clients}

    message = last_line(train(mine, "", "iaa.Lambda(lambda images, r, p, h: images)", **remote))
    assert message.startswith("augfarm.protocol.errors.InvalidPipeline: Sequential[1].Lambda.func_images: ")
    file = re.search(r"say (\w+\.py)", message)[1]
    command = re.search(r"augfarm worker --allow-import \w+", message)[0].split()

    (mine / file).write_text(FUNCTION)
    imports, augmenter = f"from {file[:-3]} import brighter", "iaa.Lambda(brighter)"
    # The worker that is there was not told.
    message = last_line(train(mine, imports, augmenter, **remote))
    assert message.startswith("augfarm.protocol.errors.FarmRefused: worker 0 refused the pipeline: ")
    assert "Sequential[1].Lambda.func_images: module 'my_augs' is not allowed" in message
    assert re.search(r"--allow-import \w+", message)[0].split() == command[2:]

    farm.processes[-1].terminate()
    wait_until(lambda: not farm.status()["workers"], "that worker leaves")
    start_worker(farm, command, mine)
    done = train(mine, imports, augmenter, **remote)
    assert (done.returncode, done.stdout.strip()) == (0, "48"), done.stderr


def test_a_local_farm_needs_no_option_also_in_an_interactive_session(tmp_path):
    (tmp_path / "my_augs.py").write_text(FUNCTION)
    code = TRAIN.format(imports="from my_augs import brighter", augmenter="iaa.Lambda(brighter)")
    # As in a notebook, where modules are found in the working directory. (A script: examples/08.)
    done = python("-c", code, cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "48"), done.stderr


def test_what_a_script_itself_defines_is_refused_by_name(tmp_path):
    script = """
        import functools
        import augfarm.compat
        import imgaug.augmenters as iaa
        from augfarm.client import Client, InvalidPipeline
        def plain(images, random_state, parents, hooks): return images
        class Own(iaa.Augmenter):
            def get_parameters(self): return []
        def local():
            def inner(images, random_state, parents, hooks): return images
            return inner
        for offender in (
            Own(),
            iaa.Lambda(func_keypoints=plain),
            iaa.Sometimes(0.5, iaa.AssertLambda(func_images=lambda *a: True)),
            iaa.Lambda(local()),
            iaa.Lambda(functools.partial(plain, parents=None)),
        ):
            try: Client(iaa.Sequential([iaa.Noop(), offender]))
            except InvalidPipeline as error: print(error)
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    done = python("script.py", cwd=tmp_path)
    lines = done.stdout.splitlines()
    expected = [
        "Sequential[1].Own: the class 'Own' stands in the script itself",
        "Sequential[1].Lambda.func_keypoints: the function 'plain' stands in the script itself",
        "Sequential[1].Sometimes.then_list[0].AssertLambda.func_images.func: the function '<lambda>' was",
        "Sequential[1].Lambda.func_images: the function 'local.<locals>.inner' was made in place",
        "Sequential[1].Lambda.func_images: a partial is no plain function",
    ]
    assert len(lines) == len(expected), done.stderr
    for line, beginning in zip(lines, expected, strict=True):
        assert line.startswith(beginning)
        assert line.endswith("augfarm worker --allow-import my_augs (a local farm needs no option)")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package of a user's, `my_kinds` with `my_kinds.colours`, importable here and beside the workers."""
    directory = tmp_path_factory.mktemp("package")
    (directory / "my_kinds").mkdir()
    (directory / "my_kinds" / "__init__.py").write_text(KINDS)
    (directory / "my_kinds" / "colours.py").write_text(COLOURS)
    sys.path.insert(0, str(directory))
    importlib.import_module("my_kinds.colours")
    yield directory
    sys.path.remove(str(directory))
    for name in ("my_kinds", "my_kinds.colours"):
        del sys.modules[name]


@pytest.fixture(scope="module")
def farm(package):
    """Two workers that may use all of the package."""
    with running_farm(package, 0) as farm:
        allowed = ("--allow-import", "my_kinds", "--allow-import", "my_kinds.colours")
        farm.start_workers(2, *allowed)
        yield farm


def pipelines():
    import my_kinds
    import my_kinds.colours

    return {
        "functions": iaa.Lambda(func_images=my_kinds.darker, func_keypoints=my_kinds.moved),
        "assertion": iaa.AssertLambda(func_images=my_kinds.small),
        "parameter": iaa.Add(my_kinds.Sevens(70)),
        "augmenter": my_kinds.colours.Shift(iap.Choice([1, 30])),
        "all nested": iaa.Sequential(
            [
                iaa.Sometimes(0.5, iaa.Lambda(func_images=my_kinds.darker)),
                my_kinds.colours.Shift(my_kinds.Sevens(49)),
            ],
            random_order=True,
        ),
    }


@pytest.mark.parametrize("name", ["functions", "assertion", "parameter", "augmenter", "all nested"])
def test_what_is_allowed_works_and_gives_what_it_gives_here(farm, name):
    given = quokka_batches(4)
    with Client(pipelines()[name], farm.clients, seed=5) as client:
        results = client.map_batches(given, with_info=True)
        for batch, (there, info) in zip(given, results, strict=True):
            here = client.replay(batch, info)
            assert np.array_equal(here.images_aug, there.images_aug)
            assert [k.to_xy_array().tolist() for k in here.keypoints_aug] == [
                k.to_xy_array().tolist() for k in there.keypoints_aug
            ]
    changed = any(
        not np.array_equal(b.images_unaug, t.images_aug) for b, (t, _) in zip(given, results, strict=True)
    )
    assert changed == (name != "assertion")


def test_an_assertion_that_fails_says_so(farm):
    with (
        Client(pipelines()["assertion"], farm.clients) as client,
        pytest.raises(AugmentationFailed) as caught,
    ):
        client.map_batches(quokka_batches(1, size=80))
    assert caught.value.exception_type == "AssertionError"


def test_a_package_that_is_allowed_does_not_allow_its_modules(package):
    with running_farm(package, 0) as farm:
        farm.start_workers(1, "--allow-import", "my_kinds")
        with Client(pipelines()["parameter"], farm.clients) as client:
            assert len(client.map_batches(quokka_batches(1))) == 1
        with (
            Client(pipelines()["augmenter"], farm.clients) as client,
            pytest.raises(
                FarmRefused, match=r"'my_kinds\.colours' is not allowed.*--allow-import my_kinds\.colours"
            ),
        ):
            client.map_batches(quokka_batches(1))


def test_a_spec_of_the_command_line_names_the_module(farm, package):
    (package / "my_pipeline.py").write_text(
        "import my_kinds\nimport imgaug.augmenters as iaa\npipeline = iaa.Lambda(my_kinds.darker)\n"
    )
    done = subprocess.run(
        [BIN / "augfarm", "spec", "my_pipeline.py:pipeline"],
        cwd=package,
        capture_output=True,
        text=True,
        check=True,
    )
    (package / "spec.json").write_text(done.stdout)
    with Client(package / "spec.json", farm.clients) as client:
        result = client.map_batches([np.full((1, 2, 2, 3), 9, np.uint8)])[0]
    assert np.array_equal(result, np.full((1, 2, 2, 3), 4))
