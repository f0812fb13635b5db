"""The files that the images are built from agree with each other and with pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
IMAGES = ("broker", "client", "worker")


def pins(path: Path) -> dict[str, str]:
    """The versions in a requirements file; every line must be a pin."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    matches = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line) for line in lines]
    assert all(matches), [line for line, match in zip(lines, matches, strict=True) if not match]
    return {canonicalize_name(match[1]): match[2] for match in matches if match}


def wanted(section: str) -> list[Requirement]:
    """A list of requirements in pyproject.toml, which Python 3.10 cannot parse."""
    text = re.search(rf"^{section} = \[$(.*?)^\]$", (ROOT / "pyproject.toml").read_text(), re.M | re.S)
    assert text is not None
    return [Requirement(line) for line in re.findall(r'^ *"(.+?)"', text[1], re.M)]


def test_each_file_pins_and_all_pin_the_same() -> None:
    versions: dict[str, set[str]] = {}
    for image in IMAGES:
        for name, version in pins(ROOT / image / "requirements.txt").items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
    assert pins(ROOT / "deploy" / "build-requirements.txt")["hatchling"]


@pytest.mark.parametrize("image", IMAGES)
def test_the_pins_are_what_pyproject_asks_for(image: str) -> None:
    found = pins(ROOT / image / "requirements.txt")
    asked = wanted("dependencies") + (wanted("worker") if image == "worker" else [])
    for requirement in asked:
        name = canonicalize_name(requirement.name)
        if (image, name) == ("broker", "numpy"):
            assert name not in found  # the broker never looks into a batch
        else:
            assert requirement.specifier.contains(found[name]), requirement
    assert ("imgaug" in found) == (image == "worker")
    assert "opencv-python" not in found


def test_the_images_make_the_wheel_in_one_way() -> None:
    """So that it is made once, and the engine's cache serves the other two."""
    stages = {(ROOT / image / "Dockerfile").read_text().split("FROM ")[1].rstrip() for image in IMAGES}
    assert len(stages) == 1


@pytest.mark.parametrize("name", [*(f"{image}/Dockerfile" for image in IMAGES), "docker-compose.yml"])
def test_nothing_is_fetched_but_the_base_and_pinned_packages(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "syntax=" not in text  # it would be pulled
    assert not re.search(r"https?://|curl|wget|apt-get|ADD ", text)
    bases = set(re.findall(r"^FROM (\S+)", text, re.M))
    assert bases <= {"python:3.11-slim-bookworm"}
