"""Pipelines of every shape, and every stochastic parameter, sent to a fresh process."""

from __future__ import annotations

import pytest
from threadpoolctl import threadpool_limits

from augfarm.compat import imgaug_distribution
from sweep import judging
from sweep.judging import Verdict
from sweep.parameters import public_parameters, users_of
from sweep.structures import STRUCTURES

PIPELINES = STRUCTURES | {
    f"parameter: {name}": lambda name=name: users_of(name) for name in public_parameters()
}
#: In the fork imaug: noise kept from one batch to the next, and choices among parameters.
IN_IMAUG = {"parameter: FrequencyNoise": "unrepeatable", "parameter: Choice": "fails"}
KNOWN = IN_IMAUG if imgaug_distribution()[0] == "imaug" else {}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    return judging.judge(PIPELINES, tmp_path_factory.mktemp("structures"))


@pytest.mark.parametrize("name", PIPELINES)
def test_equal_to_imgaug(verdicts: dict[str, Verdict], name: str) -> None:
    assert verdicts[name].outcome == KNOWN.get(name, "equal"), verdicts[name]
    assert not verdicts[name].idle


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_equal_to_imgaugs_own_pool(verdicts: dict[str, Verdict]) -> None:
    with threadpool_limits(1):
        assert judging.unlike_the_pool(PIPELINES, verdicts) == []
