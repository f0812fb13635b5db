"""The farm of docker-compose.yml, built and brought up once with eight workers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from augfarm.client import Client
from chaos.faults import Background
from compose import job
from engine import PATIENCE_WITH_CONTAINERS, TAG, Project, running_engine

#: More than any run here takes.
MOST_BATCHES = 300
#: What is loaded ahead. Two for each worker.
BUFFER = 16


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Images that are built, and no farm yet."""
    with running_engine() as environment:
        project = Project(environment, tmp_path_factory.mktemp("compose"))
        try:
            project.compose("--profile", "trainer", "build", timeout=1200)
            yield project
        finally:
            project.clean_up()


@pytest.fixture(scope="session")
def farm(project: Project) -> Project:
    """Eight workers that have joined. Tests put right what they disturb."""
    project.scale(8)
    return project


@pytest.fixture(scope="session")
def expected(project: Project) -> list[str]:
    """The digest of each batch of the job, by plain imgaug in a worker's container."""
    source = Path(job.__file__).read_text()
    run = ("run", "--rm", "-i", "--network", "none", "-e", "OPENBLAS_NUM_THREADS=1")
    run += (f"augfarm-worker:{TAG}", "python", "-")
    return project.docker(*run, str(MOST_BATCHES), input=source).stdout.split()


class Run:
    """A job from this host, during which something happens to the farm."""

    def __init__(self, farm: Project, expected: list[str]) -> None:
        self._farm = farm
        self._expected = expected

    def __call__(self, *actions: Callable[[], object]) -> list[Any]:
        """The facts about each batch. Fails unless every batch came back right, once and in order.

        The actions are done one after the other while batches flow, and again some when they are done.
        """
        digests, infos = [], []
        client = Client(
            job.pipeline(), self._farm.address, seed=job.SEED, seeding="batch", keys=self._farm.keys
        )
        with client:
            for images, info in client.imap_batches(_batches(actions), BUFFER, with_info=True):
                digests.append(job.digest(images))
                infos.append(info)
        assert digests == self._expected[: len(digests)]
        assert [info.index for info in infos] == list(range(len(digests)))
        return infos


def _batches(actions: tuple[Callable[[], object], ...]) -> Iterator[Any]:
    """Slowly while something is done, so that the job is not over before it."""
    numbers = iter(range(MOST_BATCHES))
    yield from _some(numbers, 2 * BUFFER)
    for action in actions:
        done = Background(action)
        for number in numbers:
            yield job.batch(number)
            done.join(0.2)
            if not done.is_alive():
                break
        done.finish(2 * PATIENCE_WITH_CONTAINERS)
        yield from _some(numbers, 2 * BUFFER)


def _some(numbers: Iterator[int], count: int) -> Iterator[Any]:
    for number in itertools.islice(numbers, count):
        yield job.batch(number)


@pytest.fixture
def run(farm: Project, expected: list[str]) -> Run:
    return Run(farm, expected)
