"""A trainer without imgaug, on a numpy of its own, drives a farm by a spec file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from augfarm.client import Client
from augfarm.protocol import pipelines
from farms import ten_augmenters

ROOT = Path(__file__).parents[2]

TRAINER = """
import sys
{block}
import numpy as np
from augfarm.client import Client
spec, address = sys.argv[1:]
images = np.arange(4 * 32 * 32 * 3, dtype=np.uint8).reshape(4, 32, 32, 3)
batch = dict(images=images, keypoints=[[(1, 2), (3, 4)]] * 4, label=object())
with Client(spec, address, seed=5, seeding="batch") as client:
    (result,) = client.map_batches([batch])
assert result["label"] is batch["label"]
assert not any(name in sys.modules for name in ("imgaug", "cv2", "imageio", "scipy", "skimage"))
sys.stdout.buffer.write(np.asarray(result["images"]).tobytes())
sys.stderr.write(np.__version__)
"""


def expected(address):
    images = np.arange(4 * 32 * 32 * 3, dtype=np.uint8).reshape(4, 32, 32, 3)
    with Client(ten_augmenters(), address, seed=5, seeding="batch") as client:
        (result,) = client.map_batches([{"images": images, "keypoints": [[(1, 2), (3, 4)]] * 4}])
    return np.asarray(result["images"]).tobytes()


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.json"
    path.write_bytes(pipelines.encode(ten_augmenters()))
    return str(path)


def test_a_client_that_cannot_import_imgaug(two_workers, spec):
    names = ("imgaug", "cv2", "imageio", "scipy", "skimage", "PIL")
    block = "class Block:\n    def find_spec(self, name, *_):\n"
    block += (
        f"        if name.split('.')[0] in {names}: raise ImportError(name)\nsys.meta_path.insert(0, Block())"
    )
    code = TRAINER.format(block=block)
    done = subprocess.run(
        [sys.executable, "-c", code, spec, two_workers.clients], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == expected(two_workers.clients)


def test_importing_the_client_leaves_numpy_as_it_is():
    code = "import numpy; before = set(vars(numpy)); import augfarm.client; assert set(vars(numpy)) == before"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.slow
def test_the_base_install_in_an_environment_of_its_own(two_workers, spec, tmp_path):
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", ROOT, "numpy>=2.2"], check=True)
    installed = subprocess.run(
        [python, "-m", "pip", "list"], capture_output=True, text=True, check=True
    ).stdout
    assert not {"imgaug", "scipy", "opencv"} & set(installed.lower().replace("-", " ").split())
    done = subprocess.run(
        [python, "-c", TRAINER.format(block=""), spec, two_workers.clients],
        capture_output=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert tuple(map(int, done.stderr.decode().split(".")[:2])) >= (2, 2)
    assert done.stdout == expected(two_workers.clients)
