"""Units, compose file and Dockerfiles: systemd takes them, and the programs know every setting in them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from augfarm.worker.roster import EXIT_STILLBORN
from augfarm.worker.session import EXIT_REVOKED, EXIT_VERSION, EXIT_WRONG_PORT

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
#: Those of compose itself, not of a program.
COMPOSE_ONLY = {
    "AUGFARM_TAG",
    "AUGFARM_CLIENT_PORT",
    "AUGFARM_HTTP_PORT",
    "AUGFARM_WORKER_LIMIT",
    "AUGFARM_BROKER_LIMIT",
}


def known(program: str) -> set[str]:
    """The variables that a program reads."""
    room = ROOT / program / "augfarm" / program
    text = "".join(path.read_text() for path in room.rglob("*.py"))
    return set(re.findall(r'"(AUGFARM_[A-Z_]+)"', text))


def unit(path: Path) -> dict[str, list[str]]:
    """The settings of a unit, all sections together; one that is repeated has several values."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_units_variables_are_the_programs(path: Path) -> None:
    program = path.stem.removeprefix("augfarm-")
    settings = unit(path)
    variables = {value.partition("=")[0] for value in settings["Environment"]}
    assert variables
    assert variables <= known(program)
    assert settings["ExecStart"] == [f"/opt/augfarm/bin/augfarm {program}"]


def test_a_worker_that_would_fail_again_is_not_started_again() -> None:
    (codes,) = unit(ROOT / "deploy/systemd/augfarm-worker.service")["RestartPreventExitStatus"]
    assert {*map(int, codes.split())} == {EXIT_STILLBORN, EXIT_VERSION, EXIT_REVOKED, EXIT_WRONG_PORT}


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_unit(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    text = (
        path.read_text()
        .replace("/opt/augfarm/bin/augfarm", sys.executable)
        .replace("User=augfarm", "User=root")
    )
    copy.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    if "Failed to initialize manager" in done.stderr:
        pytest.skip("systemd-analyze does not work here")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("program", ["broker", "worker", "client"])
def test_an_images_variables_are_the_programs(program: str) -> None:
    text = (ROOT / program / "Dockerfile").read_text()
    assert set(re.findall(r"AUGFARM_[A-Z_]+", text)) <= known(program)


def test_the_compose_files_variables_are_the_programs_and_are_documented() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    names = set(re.findall(r"AUGFARM_[A-Z_]+", text))
    assert names - COMPOSE_ONLY <= known("broker") | known("worker") | known("client")
    asked = set(re.findall(r"\$\{(AUGFARM_[A-Z_]+)", text))
    documented = set(re.findall(r"AUGFARM_[A-Z_]+", (ROOT / "docs" / "deployment.md").read_text()))
    assert asked <= documented
