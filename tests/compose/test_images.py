"""What is in the images, and what is not."""

from __future__ import annotations

import pytest

from engine import TAG, Project

pytestmark = [pytest.mark.slow, pytest.mark.compose, pytest.mark.timeout(900)]

BASE = "python:3.11-slim-bookworm"
#: What each may add to its base, in MB; docs/deployment.md states the sizes.
MOST_MB = {"broker": 40, "client": 150, "worker": 550}


@pytest.mark.parametrize("image", MOST_MB)
def test_no_root_no_compiler_no_libgl(project: Project, image: str) -> None:
    script = (
        "id -u; for tool in cc gcc g++ c++ ld as make cmake; do command -v $tool; done;"
        "find / -xdev -name 'libGL*' -o -name 'libgcc.a' -o -name 'opencv_python-*' 2>/dev/null; echo end"
    )
    user, *found, end = project.docker(
        "run", "--rm", f"augfarm-{image}:{TAG}", "sh", "-c", script
    ).stdout.split()
    assert int(user) > 0
    assert (found, end) == ([], "end")


@pytest.mark.parametrize("image", MOST_MB)
def test_imgaug_is_where_it_is_needed_alone(project: Project, image: str) -> None:
    script = (
        "import importlib.util as u, augfarm.protocol.keys;"
        "print(*(name for name in ('imgaug', 'cv2', 'scipy', 'numpy', 'zmq') if u.find_spec(name)))"
    )
    said = project.docker("run", "--rm", f"augfarm-{image}:{TAG}", "python", "-c", script).stdout.split()
    assert (
        said
        == {
            "broker": ["zmq"],
            "client": ["numpy", "zmq"],
            "worker": ["imgaug", "cv2", "scipy", "numpy", "zmq"],
        }[image]
    )


@pytest.mark.parametrize("image", MOST_MB)
def test_it_is_no_larger_than_stated(project: Project, image: str) -> None:
    def size(name: str) -> int:
        return int(project.docker("image", "inspect", "-f", "{{.Size}}", name).stdout)

    assert size(f"augfarm-{image}:{TAG}") - size(BASE) < MOST_MB[image] * 10**6


@pytest.mark.parametrize("image", ["broker", "worker"])
def test_without_keys_it_does_not_start_and_says_why(project: Project, image: str) -> None:
    """Its ports are open to its network, so an image that is run as it is must not be an open farm."""
    done = project.docker("run", "--rm", f"augfarm-{image}:{TAG}", check=False)
    assert done.returncode == 2
    assert f"no keys of a {image} in /keys" in done.stderr
    assert "Traceback" not in done.stderr
