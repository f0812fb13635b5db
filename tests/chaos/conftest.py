"""Farms whose workers note what they do, and the times that runs took to go on after a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from chaos.augmenters import Journal, Noted
from chaos.recovery import save, table
from farms import Farm, running_farm, wait_until

WORKERS = 2
#: What `make test` runs of this folder: one of each kind. The rest is slow.
QUICK = {
    "test_killed_at_random_moments[0]",
    "test_frozen_while_augmenting_and_thawed_after_its_batch_was_redone[True]",
    "test_killed_in_mid_run_again_and_again[batch]",
    "test_what_kills_its_process_is_given_up_after_three_and_nothing_else_is[exit-options0]",
    "test_left_in_mid_iteration",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here and item.name not in QUICK:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def journal(tmp_path) -> Journal:
    """What the augmenters of this test do; give it to `client_for`."""
    return Journal(tmp_path)


@pytest.fixture(scope="module")
def farm_of_this_file(tmp_path_factory) -> Iterator[Farm]:
    with running_farm(tmp_path_factory.mktemp("farm"), WORKERS, imports=(Noted.__module__,)) as farm:
        yield farm


@pytest.fixture
def farm(farm_of_this_file) -> Iterator[Farm]:
    """A farm of two workers that all tests of a file share, so each must leave it as it was."""
    farm = farm_of_this_file
    yield farm
    wait_until(lambda: len(farm.status()["workers"]) == WORKERS, "all workers are there")
    farm.wait_until_idle()


@pytest.fixture
def chaos_farm(tmp_path) -> Iterator[Callable[..., Farm]]:
    """A farm of a test's own, to do with as it likes: ``chaos_farm(2)``."""
    with ExitStack() as opened:

        def open_farm(workers: int, **options: Any) -> Farm:
            farm: AbstractContextManager[Farm] = running_farm(
                tmp_path, workers, imports=(Noted.__module__,), **options
            )
            return opened.enter_context(farm)

        yield open_farm


def pytest_terminal_summary(terminalreporter: Any) -> None:
    save()
    lines = table()
    if lines:
        terminalreporter.section("seconds until work went on: in the middle, and at most")
        for line in lines:
            terminalreporter.write_line(line)
