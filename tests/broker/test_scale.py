"""A batch costs the core the same, however many workers, clients and batches there are.

Costs are counted, not timed: the core's instructions of Python. `bench/core_scale.py` takes times.
"""

import importlib
import sys
from pathlib import Path

import pytest

BENCH = str(Path(__file__).parents[2] / "bench")
BATCHES = 100


@pytest.fixture
def simulated(monkeypatch):
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("simulated")


def instructions_of_a_batch(farm):
    """That are executed from its submission until its answer was received."""
    count = 0

    def count_instructions(frame, event, _):
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return count_instructions

    def only_the_cores(frame, event, argument):
        return count_instructions(frame, event, argument) if "/augfarm/" in frame.f_code.co_filename else None

    farm.run(BATCHES)
    before = sys.gettrace()
    sys.settrace(only_the_cores)
    try:
        farm.run(BATCHES)
    finally:
        sys.settrace(before)
    farm.core.check()
    return count / BATCHES


@pytest.mark.parametrize(
    ("few", "many"),
    [
        pytest.param((4, 4, 100), (512, 4, 100), id="workers"),
        pytest.param((4, 1, 100), (4, 64, 100), id="clients"),
        pytest.param((12, 4, -4), (512, 4, -1004), id="workers that wait"),
        pytest.param((4, 4, 10), (4, 4, 5000), id="queued batches"),
        pytest.param((4, 1, 10), (512, 64, 5000), id="all of them"),
    ],
)
def test_a_batch_costs_the_same_in_a_large_farm(simulated, few, many):
    in_a_small_farm = instructions_of_a_batch(simulated.SimulatedFarm(*few))
    in_a_large_farm = instructions_of_a_batch(simulated.SimulatedFarm(*many))
    assert in_a_small_farm > 100, "instructions are counted"
    assert in_a_large_farm <= 1.05 * in_a_small_farm
