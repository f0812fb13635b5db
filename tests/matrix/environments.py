"""The environments in which the tests that matter are run, and how each is made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ENVIRONMENTS", "ROOT", "UNTESTED", "VENVS", "Environment", "find_python", "make"]

ROOT = Path(__file__).parents[2]
VENVS = ROOT / ".venvs"

TOOLS = ("pytest>=8", "pytest-timeout>=2.3", "hypothesis>=6.100", "threadpoolctl>=3", "pycocotools>=2.0.7")
NEWEST = ("numpy", "scipy", "scikit-image", "Pillow", "imageio", "six", "opencv-python-headless<5")
NUMPY_1 = (
    *("numpy==1.26.4", "scipy", "scikit-image==0.24.*", "Pillow", "imageio", "six"),
    "opencv-python-headless==4.11.0.86",
)
#: The lower bounds in pyproject.toml.
OLDEST = (
    *("numpy==1.23.5", "scipy==1.9.3", "scikit-image==0.22.0", "Pillow==10.1.0", "imageio==2.33.0"),
    *("six==1.16.0", "opencv-python-headless==4.11.0.86"),
    *("pyzmq==26.0.0", "msgpack==1.0.5", "typer==0.15.4", "rich==13.0.0"),
)
#: Both without what they require: opencv-python, which overwrites the headless one and needs libGL.
IMGAUG = ("imgaug==0.4.0", "imagecorruptions==1.1.2")
IMAUG = ("imaug==0.4.3", "imagecorruptions-imaug==1.1.5")

#: Seconds for one run of pip, and for one run of the tests.
PATIENCE = 1800


@dataclass(frozen=True)
class Environment:
    """One row of the table. `packages` are installed with what they require, `bare` without."""

    name: str
    python: str
    what: str
    packages: tuple[str, ...] = NEWEST
    bare: tuple[str, ...] = IMGAUG

    @property
    def directory(self) -> Path:
        return VENVS / self.name

    @property
    def executable(self) -> Path:
        return self.directory / "bin" / "python"


ENVIRONMENTS = (
    Environment("newest", "3.11", "imgaug, the newest for this Python"),
    Environment("numpy-1", "3.11", "imgaug on numpy 1", NUMPY_1),
    Environment("oldest", "3.10", "the oldest versions that augfarm asks for", OLDEST),
    Environment("imaug", "3.11", "the fork imaug", (*NEWEST, "numba"), IMAUG),
    Environment("opencv-5", "3.11", "imgaug on OpenCV 5", (*NEWEST[:-1], "opencv-python-headless>=5")),
    Environment("python-3.10", "3.10", "imgaug, the newest for this Python"),
    Environment("python-3.12", "3.12", "imgaug, the newest for this Python"),
    Environment("python-3.13", "3.13", "imgaug, the newest for this Python"),
)

#: What no run covers, for the document.
UNTESTED = (
    "Python 3.14 and later",
    "macOS and Windows",
    "the wheels opencv-python and opencv-contrib-python (the headless one is what is tested)",
    "the forks sindre-imgaug, imgaug-denk, pyimgaug and imgaug3",
)


def find_python(version: str) -> str | None:
    """A Python of this version (``"3.12"``) on this machine, or None."""
    for candidate in _pythons(version):
        check = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
        try:
            done = subprocess.run([candidate, "-c", check], capture_output=True, text=True, timeout=60)
        except OSError:
            continue
        if done.returncode == 0 and done.stdout.strip() == version:
            return candidate
    return None


def _pythons(version: str) -> Iterator[str]:
    yield sys.executable
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(map(str, pyenv.glob(f"versions/{version}*/bin/python")))


def make(environment: Environment, python: str, *, fresh: bool = False) -> str | None:
    """Make the environment's venv, unless it is there; what went wrong, or None."""
    ready = environment.directory / ".ready"
    wanted = repr(environment)
    if not fresh and ready.exists() and ready.read_text() == wanted:
        return None
    shutil.rmtree(environment.directory, ignore_errors=True)
    pip = [str(environment.executable), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    steps = [
        [python, "-m", "venv", str(environment.directory)],
        [*pip, "--editable", str(ROOT), *environment.packages, *TOOLS],
        [*pip, "--no-deps", *environment.bare],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            return _last_error(done.stderr)
    ready.write_text(wanted)
    return None


def _last_error(text: str) -> str:
    errors = [line for line in text.splitlines() if line.startswith("ERROR")]
    return (errors or text.splitlines() or ["without a word"])[-1]
