"""The matrix's runner, and that docs/compatibility.md says what it found."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from augfarm import _mends
from matrix import environments, run
from matrix.environments import ENVIRONMENTS

REPORT = """<testsuites><testsuite>
    <testcase classname="tests.protocol.test_codec" name="test_one" />
    <testcase classname="tests.protocol.test_codec" name="test_two" />
    <testcase classname="tests.protocol.test_codec" name="test_bad[1]"><failure message="no" /></testcase>
    <testcase classname="tests.client.test_calls" name="test_broken"><error message="no" /></testcase>
    <testcase classname="tests.client.test_calls" name="test_absent"><skipped message="no numba" /></testcase>
</testsuite></testsuites>"""

VERSIONS = {
    "python": "3.11.7",
    "numpy": "2.4.6",
    "scipy": "1.17.1",
    "scikit-image": "0.26.0",
    "pillow": "13.0.0",
    "opencv-python-headless": "4.14.0.94",
    "imgaug": "imgaug 0.4.0",
}


@pytest.fixture
def row() -> run.Row:
    row = run.Row(ENVIRONMENTS[0], versions=VERSIONS, ran=185, broken={"a.A": "E: x", "b.B": "E: x"})
    run.read_report(row, REPORT)
    return row


def test_a_report_is_counted(row: run.Row) -> None:
    assert row.passed == 2
    assert row.failures == ["test_codec::test_bad[1]", "test_calls::test_broken"]
    assert row.skipped == Counter({"no numba": 1})
    assert not row.green


def test_no_tests_are_not_green() -> None:
    assert not run.Row(ENVIRONMENTS[0]).green
    assert not run.Row(ENVIRONMENTS[0], passed=1, problem="gone").green
    assert run.Row(ENVIRONMENTS[0], passed=1).green


def test_the_table_names_versions_failures_and_what_is_skipped(row: run.Row) -> None:
    untested = run.Row(ENVIRONMENTS[1], problem="untested: no Python 3.11 here")
    text = run.table([row, untested], "2026-01-01")
    lines = text.splitlines()
    assert len({line.count("|") for line in lines[:4]}) == 1
    assert (
        "(imgaug 0.4.0) | 3.11.7 | 2.4.6 | 1.17.1 | 0.26.0 | 13.0.0 | 4.14.0.94 | 2 | 2 | 1 | 185 of 187"
        in text
    )
    assert "failed: `test_codec::test_bad[1]`, `test_calls::test_broken`." in text
    assert "1 skipped: no numba." in text
    assert "does not run: `a.A`, `b.B`: `E: x`." in text
    assert f"**{ENVIRONMENTS[1].name}**: untested: no Python 3.11 here." in text


def test_many_names_are_counted(row: run.Row) -> None:
    row.failures = [f"test_{n}" for n in range(run.NAMED + 3)]
    assert f"`test_{run.NAMED - 1}` and 3 more." in run.table([row], "2026-01-01")


def test_only_the_table_of_the_document_is_replaced(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text(f"before\n{run.BEGIN}\nold\n{run.END}\nafter\n")
    run.write(document, "| new |")
    assert document.read_text() == f"before\n{run.BEGIN}\n\n| new |\n\n{run.END}\nafter\n"
    run.write(document, "| newer |")
    assert document.read_text() == f"before\n{run.BEGIN}\n\n| newer |\n\n{run.END}\nafter\n"


def test_an_environment_that_there_is_not() -> None:
    assert run.main(["no-such-environment"]) == 2


def test_this_python_is_found() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = environments.find_python(version)
    assert found
    said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60).stdout
    assert said.startswith(f"Python {version}.")
    assert environments.find_python("2.0") is None


def test_the_suite_exists() -> None:
    assert all((environments.ROOT / path).exists() for path in run.SUITE)


def test_the_document_has_every_environment_and_names_every_mend() -> None:
    text = run.DOCUMENT.read_text()
    _, _, rest = text.partition(run.BEGIN)
    table, _, _ = rest.partition(run.END)
    for environment in ENVIRONMENTS:
        assert f"| **{environment.name}**: {environment.what}" in table
    words = {
        "imgaug.augmenters.geometric": "ElasticTransformation",
        "imgaug.augmenters.color": "ChangeColorTemperature",
        "imgaug.augmenters.pillike": "Autocontrast",
        "imgaug.augmenters.imgcorruptlike": "GlassBlur",
        "imgaug.augmentables.bbs": "BoundingBox.draw_on_image",
        "imagecorruptions.corruptions": "imgcorruptlike.Fog",
    }
    assert set(words) == set(_mends.APPLIES)
    assert all(f"`{word}" in text or f"`pillike.{word}" in text for word in words.values())
