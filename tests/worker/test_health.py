"""What a pool says of its processes, and the check that looks at it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from augfarm.worker.health import Health, look

PATIENCE = 40.0


def wait_for(folder: Path, text: str) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not look(folder)[1].startswith(text) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert look(folder)[1].startswith(text)
    return look(folder)[0]


def test_healthy_is_where_all_have_joined(tmp_path: Path) -> None:
    health = Health(tmp_path / "new", 2)
    assert look(tmp_path / "new") == (False, "0 of 2 worker processes have joined the broker")
    health.joined(11)
    assert not look(tmp_path / "new")[0]
    health.joined(12)
    assert look(tmp_path / "new")[0]
    health.left(11)
    health.left(11)
    assert not look(tmp_path / "new")[0]


def test_what_an_earlier_pool_left_does_not_count(tmp_path: Path) -> None:
    Health(tmp_path, 1).joined(11)
    later = Health(tmp_path, 1)
    assert not look(tmp_path)[0]
    later.joined(12)
    later.close()
    assert look(tmp_path) == (False, f"no worker pool says anything in {tmp_path}")


def test_a_folder_that_is_gone_ends_no_worker_and_is_not_healthy(tmp_path: Path) -> None:
    health = Health(tmp_path / "gone", 1)
    health.joined(11)
    (tmp_path / "gone" / "11").unlink()
    (tmp_path / "gone" / "wanted").unlink()
    (tmp_path / "gone").rmdir()
    health.joined(12)
    health.left(11)
    assert not look(tmp_path / "gone")[0]


@pytest.mark.parametrize("by", ["argument", "environment", "nothing"])
def test_the_check_is_a_program(tmp_path: Path, by: str) -> None:
    Health(tmp_path, 1).joined(11)
    environment = {k: v for k, v in os.environ.items() if k != "AUGFARM_HEALTH"}
    done = subprocess.run(
        [sys.executable, "-m", "augfarm.worker.health", *([str(tmp_path)] if by == "argument" else [])],
        env=environment | ({"AUGFARM_HEALTH": str(tmp_path)} if by == "environment" else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (by != "nothing")
    assert ("1 of 1" in done.stdout) == (by != "nothing")


def test_a_pool_is_healthy_as_long_as_its_processes_are_joined(
    broker: Any, start_worker: Callable[..., Any], tmp_path: Path
) -> None:
    start_worker("--broker", broker.address, "--processes", "2", "--health", str(tmp_path))
    first = broker.admit(0)
    assert not wait_for(tmp_path, "1 of 2")
    broker.admit(1)
    assert wait_for(tmp_path, "2 of 2")
    broker.restart()
    assert not wait_for(tmp_path, "0 of 2")
    first = broker.admit(0)
    broker.admit(1)
    assert wait_for(tmp_path, "2 of 2")
    os.kill(int(first.command.environment["pid"]), 9)
    assert not wait_for(tmp_path, "1 of 2")
    broker.admit(2)
    assert wait_for(tmp_path, "2 of 2")


def test_a_pool_that_has_left_is_not_healthy(
    broker: Any, start_worker: Callable[..., Any], tmp_path: Path
) -> None:
    worker = start_worker("--broker", broker.address, "--processes", "1", "--health", str(tmp_path))
    broker.admit()
    assert wait_for(tmp_path, "1 of 1")
    worker.process.kill()
    worker.wait()
    assert list(tmp_path.iterdir())  # nobody was left to say so, and the next pool clears it
    worker = start_worker("--broker", broker.address, "--processes", "1", "--health", str(tmp_path))
    assert not wait_for(tmp_path, "0 of 1")
    worker.terminate()
    assert not wait_for(tmp_path, "no worker pool")


def test_a_folder_that_cannot_be_written_is_an_error_at_once(
    start_worker: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    code, said = start_worker("--health", str(tmp_path / "file")).wait()
    assert code == 2
    assert "--health" in said
    assert "Traceback" not in said
