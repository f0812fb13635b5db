"""Farms as fixtures, and Hypothesis profiles: few examples in a normal run, many with ``thorough``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import augfarm.compat  # noqa: F401  before any test imports imgaug, which numpy 2 would stop

from farms import Farm, running_farm  # isort: skip

_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("normal", max_examples=60, **_COMMON)
settings.register_profile("thorough", max_examples=20_000, **_COMMON)
settings.load_profile("normal")


@pytest.fixture(scope="session")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm that no test disturbs."""
    with running_farm(tmp_path_factory.mktemp("farm"), 2) as farm:
        yield farm


@pytest.fixture
def farm_of(tmp_path: Path) -> Iterator[Callable[..., Farm]]:
    """A farm of a test's own, to do with as it likes: ``farm_of(2)``."""
    opened = []

    def open_farm(workers: int, **options: Any) -> Farm:
        context = running_farm(tmp_path, workers, **options)
        opened.append(context)
        return context.__enter__()

    yield open_farm
    for context in opened:
        context.__exit__(None, None, None)
