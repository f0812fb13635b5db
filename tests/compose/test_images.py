"""What is in the images, and what is not."""

from __future__ import annotations

import pytest

from engine import TAG, Project

pytestmark = [pytest.mark.slow, pytest.mark.compose, pytest.mark.timeout(900)]

BASE = "python:3.11-slim-bookworm"
#: What each may add to its base, in MB; docs/deployment.md states the sizes.
MOST_MB = {"broker": 40, "client": 150, "worker": 550}


#: Of these packages, which an image has.
PACKAGES = {
    "broker": ["zmq"],
    "client": ["numpy", "zmq"],
    "worker": ["cv2", "imgaug", "numpy", "scipy", "zmq"],
}


@pytest.mark.parametrize("image", MOST_MB)
def test_no_root_no_compiler_no_libgl_and_imgaug_in_the_workers_alone(project: Project, image: str) -> None:
    find = "import importlib.util as u; print(*filter(u.find_spec, 'cv2 imgaug numpy scipy zmq'.split()))"
    script = (
        f'id -u; python -c "{find}";'
        "for tool in cc gcc g++ c++ ld as make cmake; do command -v $tool; done;"
        "find / -xdev -name 'libGL*' -o -name 'libgcc.a' -o -name 'opencv_python-*' 2>/dev/null; true"
    )
    said = project.docker("run", "--rm", "--network", "none", f"augfarm-{image}:{TAG}", "sh", "-c", script)
    user, packages, *unwanted = said.stdout.splitlines()
    assert int(user) > 0
    assert packages.split() == PACKAGES[image]
    assert unwanted == []


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
