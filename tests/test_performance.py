"""docs/performance.md says what its results give: ratios round by round, and where others are ahead."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "performance.md"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module


def contender(*seconds, cpu=1.0, peak=100e6):
    return {"seconds": list(seconds), "cpu_seconds": [{"client": cpu}], "peak_bytes": peak, "batches": 8}


def throughput(**contenders):
    return {"processes": 2, "jobs": {"flip": {"shape": [16, 8, 8, 3], "contenders": contenders}}}


def link(mbit, bare, augfarm, delay_ms=0):
    return {"mbit": mbit, "delay_ms": delay_ms, "rates": {"bare": bare, "augfarm": augfarm}}


def verdicts(bench, results):
    return {target.what: target for target in bench("ratios").targets(results)}


def test_a_ratio_compares_rounds_that_were_next_to_each_other(bench):
    results = {"throughput": throughput(augfarm=contender(1, 4, 2), **{"imgaug's Pool": contender(6, 4, 10)})}
    found = bench("ratios").ratio(results, "flip", "imgaug's Pool")
    assert (found.median, found.least, found.most) == (5, 1, 6)
    assert verdicts(bench, results)["`flip`: as fast as imgaug's Pool"].met


def test_what_was_not_measured_is_said_so(bench):
    for target in bench("ratios").targets({}):
        assert not target.measured
    missing = {"Ray actors": {"left out": "not installed: ray"}}
    results = {"throughput": throughput(augfarm=contender(1), **missing)}
    assert bench("ratios").ratio(results, "flip", "Ray actors") is None


def test_whoever_needs_less_is_named_with_what(bench):
    others = {
        "one core": contender(2, cpu=0.5),
        "Ray actors": contender(2, cpu=3, peak=900e6),
        "torch's DataLoader": contender(0.5, peak=50e6),
        "augfarm, sockets": contender(0.1),
    }
    lost = bench("ratios").losses({"throughput": throughput(augfarm=contender(1), **others)})
    assert lost == [
        ("flip", "one core", {"CPU": 2}),
        ("flip", "torch's DataLoader", {"time": 2, "memory": 2}),
    ]


def test_a_broker_with_many_workers_is_compared_with_one_that_differs_in_nothing_else(bench):
    rows = [
        {"workers": 4, "clients": 64, "queued": 10, "us": [1, 1]},
        {"workers": 4, "clients": 4, "queued": 1000, "us": [40, 20]},
        {"workers": 512, "clients": 4, "queued": 1000, "us": [60, 20]},
    ]
    found = bench("ratios").broker_growth(rows)
    assert (found.least, found.median, found.most) == (1, 1.25, 1.5)


@pytest.mark.parametrize(
    ("bare_at_1000", "judged"), [(120e6, "1,000 Mbit/s"), (100e6, "200 Mbit/s")], ids=["filled", "not filled"]
)
def test_a_link_that_bare_zeromq_does_not_fill_proves_nothing(bench, bare_at_1000, judged):
    links = [
        link(200, [24e6], [23e6]),
        link(1000, [bare_at_1000], [50e6]),
        link(1000, [1], [1], delay_ms=20),
    ]
    (target,) = [t for t in bench("ratios").targets({"wire": {"links": links}}) if "bare" in t.what]
    assert judged in target.what
    assert target.met == (judged == "200 Mbit/s")


def test_numbers_are_written_without_exponents_and_with_few_digits(bench):
    report = bench("report")
    assert report.spread([1234.6, 5000, 0.00123]) == "1,235 (0.00123 to 5,000)"
    assert report.spread([0.5, 99.96, 7]) == "7.00 (0.500 to 100)"


def test_the_page_is_written_from_its_results(bench):
    if not DOCUMENT.exists():
        pytest.skip("nothing was measured here: make bench")
    report = bench("report")
    assert DOCUMENT.read_text() == report.document(report.results()), "run: python bench/report.py"
