"""Every augmenter: sent as a spec to a fresh process it gives the bytes that imgaug gives here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from farms import running_farm
from sweep import far_side, judging, table
from sweep.catalogue import AUGMENTERS
from sweep.judging import Verdict, is_same
from sweep.subjects import ANNOTATIONS, batches_of

pytestmark = pytest.mark.filterwarnings("ignore:AffineCv2 is deprecated")

#: Augmenters of imgcorruptlike wrap a package that is not always there.
HERE = {
    name: make
    for name, make in AUGMENTERS.items()
    if not name.startswith("imgcorruptlike.") or importlib.util.find_spec("imagecorruptions")
}
SHAPELY = importlib.util.find_spec("shapely") is not None
#: What gives back what it is given; it may raise.
IDLE = {"meta.Identity", "meta.Noop", "meta.AssertLambda", "meta.AssertShape"}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    return judging.judge(HERE, tmp_path_factory.mktemp("sweep"))


@pytest.mark.parametrize("name", HERE)
def test_equal_to_imgaug(verdicts: dict[str, Verdict], name: str) -> None:
    verdict = verdicts[name]
    assert verdict.outcome == "equal" or (verdict.outcome != "differs" and name in table.REASONS), verdict
    assert verdict.idle == (name in IDLE)


def test_the_document_says_what_was_found(verdicts: dict[str, Verdict]) -> None:
    """If this fails: ``cd tests && python -m sweep.write_table``."""
    recorded = table.recorded_here()
    if recorded is None:
        pytest.skip(f"nothing is recorded for {table.environment()}")
    absent = set() if SHAPELY else {"polygons"}
    for name, verdict in verdicts.items():
        assert verdict.outcome == recorded[name].outcome, name
        assert set(verdict.refuses) - absent == set(recorded[name].refuses) - absent, name


def test_the_document_is_what_the_sweep_writes() -> None:
    assert table.DOCUMENT.read_text() == table.render(table.read_lanes())


def test_at_least_182_of_187_are_equal_where_it_counts() -> None:
    lanes = {
        (lane["environment"]["imgaug"], lane["environment"]["numpy"][:2]): lane for lane in table.read_lanes()
    }
    for key in (("imgaug 0.4.0", "1."), ("imgaug 0.4.0", "2.")):
        bad = [each for each in lanes[key]["exceptions"].values() if each["outcome"] != "equal"]
        assert len(lanes[key]["augmenters"]) - len(bad) - len(lanes[key]["unlike_the_pool"]) >= 182
        assert len(lanes[key]["augmenters"]) >= 187


def test_every_exception_has_a_reason_and_every_reason_an_exception() -> None:
    exceptions = {
        name
        for lane in table.read_lanes()
        for name, each in lane["exceptions"].items()
        if each["outcome"] in ("unrepeatable", "differs")
    }
    assert exceptions == set(table.REASONS)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_equal_to_imgaugs_own_pool(verdicts: dict[str, Verdict]) -> None:
    with threadpool_limits(1):
        assert judging.unlike_the_pool(HERE, verdicts) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_equal_over_a_real_farm(
    verdicts: dict[str, Verdict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from augfarm.client import Client

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    equal = [name for name, verdict in verdicts.items() if verdict.outcome == "equal"]
    with running_farm(tmp_path, 0) as farm:
        farm.start_workers(2, "--allow-import", "sweep.my_augs")
        for name in equal:
            columns = tuple(each for each in ANNOTATIONS if each not in verdicts[name].refuses)
            expected = judging.augment_by_imgaug(HERE[name], batches_of(columns))
            with Client(HERE[name](), farm.clients, seed=far_side.BASE_SEED, seeding="batch") as client:
                assert is_same(client.map_batches(batches_of(columns)), expected), name
