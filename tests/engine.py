"""A container engine for tests, and farms in it: one that runs, or one that shared/tools/engine-up starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from augfarm.client.report import ask
from farms import PATIENCE, free_port, wait_until

ROOT = Path(__file__).parents[1]
#: Starts an engine where none runs; beside this clone, or where the variable says.
ENGINE_UP = Path(os.environ.get("AUGFARM_ENGINE_UP", ROOT.parent / "shared/tools/engine-up"))
#: Images that tests build, so that they replace nobody's.
TAG = "test"
#: How long the engine may take for what it does at once on an idle machine, in seconds: eight containers that
#: import imgaug on two busy cores take more than a minute.
PATIENCE_WITH_CONTAINERS = 300.0
#: How long engine-up may take, in seconds: 40 on an idle machine where nothing is there yet.
ENGINE_UP_TIMEOUT = 300.0

Environment = dict[str, str]


@contextmanager
def running_engine() -> Iterator[Environment]:
    """The environment in which `docker compose` works. Skips the test where there is no engine."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AUGFARM_", "COMPOSE_"))}
    was_running = _answers(environment, "version")
    if os.geteuid() == 0 and ENGINE_UP.exists():
        # Also beside one that runs, which may lack compose or the base image.
        environment |= _bring_up()
    elif not was_running or not _answers(environment, "compose", "version"):
        pytest.skip("needs a container engine with compose, or root and engine-up ($AUGFARM_ENGINE_UP)")
    try:
        yield environment
    finally:
        if not was_running and ENGINE_UP.exists():
            subprocess.run(["bash", ENGINE_UP.with_name("engine-down")], check=True)


def _bring_up() -> Environment:
    try:
        done = subprocess.run(
            ["bash", ENGINE_UP], capture_output=True, text=True, check=False, timeout=ENGINE_UP_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"needs a container engine: {ENGINE_UP} has not made one in {ENGINE_UP_TIMEOUT:.0f} s")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        pytest.skip(f"needs a container engine: {ENGINE_UP} made none: {last}")
    return dict(re.findall(r"^export (\w+)=(.*)$", done.stdout, re.MULTILINE))


def _answers(environment: Environment, *command: str) -> bool:
    if shutil.which("docker") is None:
        return False
    done = subprocess.run(["docker", *command], env=environment, capture_output=True, check=False)
    return done.returncode == 0


class Project:
    """The farm of docker-compose.yml under a name of its own, with ports of its own."""

    def __init__(self, environment: Environment, directory: Path) -> None:
        self.name = f"augfarm-test-{os.getpid()}"
        self.directory = directory
        client_port, http_port = free_port(), free_port()
        self.address = f"tcp://127.0.0.1:{client_port}"
        self.page = f"http://127.0.0.1:{http_port}"
        self.environment = environment | {
            "AUGFARM_TAG": TAG,
            "AUGFARM_CLIENT_PORT": str(client_port),
            "AUGFARM_HTTP_PORT": str(http_port),
        }

    @property
    def keys(self) -> Path:
        """The keys of a client, copied out as the README says."""
        folder = self.directory / "farm-keys"
        if not folder.exists():
            self.compose("cp", "keys:/keys/client", str(folder))
        return folder

    def docker(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """A finished docker command; an error unless `check=False`."""
        options = {"check": True, "timeout": PATIENCE_WITH_CONTAINERS} | options
        done = subprocess.run(
            ["docker", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            **(options | {"check": False}),
        )
        assert done.returncode == 0 or not options["check"], f"{arguments}: {done.stdout}{done.stderr}"
        return done

    def compose(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """A finished docker compose command; an error unless `check=False`."""
        return self.docker("compose", "-p", self.name, *arguments, **options)

    def scale(self, workers: int) -> None:
        """As many workers as that, and healthy."""
        self.compose("up", "-d", "--scale", f"worker={workers}", "--wait")

    def containers(self, service: str) -> list[str]:
        """Those that run."""
        return self.compose("ps", "-q", service).stdout.split()

    def status(self) -> dict[str, Any]:
        return ask(self.address, PATIENCE, str(self.keys))

    def hosts(self) -> list[str]:
        """The containers whose workers have joined, by the beginning of their ids."""
        return [worker["environment"]["host"] for worker in self.status()["workers"]]

    def started(self) -> dict[str, str]:
        """When each long-running container was started last."""
        containers = self.containers("broker") + self.containers("worker")
        said = self.docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}}", *containers).stdout
        return dict(line.split() for line in said.splitlines())  # type: ignore[misc]

    def crash(self, container: str) -> None:
        """Kill all that runs in a container. Unlike `docker kill`, nobody has told the engine to."""
        self.docker("exec", container, "sh", "-c", "kill -9 -1", check=False)

    def wait_for_workers(self, count: int) -> None:
        what = f"{count} workers have joined"
        wait_until(lambda: len(self.hosts()) == count, what, PATIENCE_WITH_CONTAINERS)

    def clean_up(self) -> None:
        self.compose("--profile", "trainer", "down", "-v", "--remove-orphans", "--timeout", "5")
        for image in ("broker", "client", "worker"):
            self.docker("image", "rm", f"augfarm-{image}:{TAG}", check=False)
