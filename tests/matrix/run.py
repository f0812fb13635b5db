"""The tests that matter, in every environment of the matrix: ``make test-matrix`` (a quarter of an hour).

Makes the environments under .venvs (kept for the next time; ``--fresh`` makes them anew, with what is newest
by then), runs SUITE in each, prints what it found and writes it as a table into docs/compatibility.md. Ends
with 1 if a test failed or an environment could not be made. ``run.py numpy-1 imaug`` runs these alone and
writes nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from matrix.environments import (
    ENVIRONMENTS,
    PATIENCE,
    ROOT,
    UNTESTED,
    Environment,
    find_python,
    make,
)

DOCUMENT = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- made by `make test-matrix`: begin -->", "<!-- end -->"

#: The wire, batches and pipelines; the client's core; one worker; farms with results equal to imgaug's Pool.
SUITE = (
    "tests/protocol",
    "tests/client",
    "tests/worker/test_engine.py",
    "tests/integration/test_command_line.py",
    "tests/integration/test_equality.py",
    "tests/integration/test_forms.py",
    "tests/integration/test_seeding.py",
)

#: How many tests or augmenters a note names before it only counts.
NAMED = 6


@dataclass
class Row:
    """What one environment gave. `problem` is why it gave nothing."""

    environment: Environment
    problem: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    ran: int = 0
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def green(self) -> bool:
        return not self.problem and self.passed > 0 and not self.failures


def run(environment: Environment, *, fresh: bool) -> Row:
    """Make the environment and run everything in it."""
    row = Row(environment)
    python = find_python(environment.python)
    if python is None:
        row.problem = f"untested: no Python {environment.python} here"
        return row
    problem = make(environment, python, fresh=fresh)
    if problem:
        row.problem = f"could not be made: {problem}"
        return row
    survey = _in(environment, ["tests/matrix/survey.py"])
    if survey.returncode:
        row.problem = f"imgaug does not run: {survey.stderr.strip().splitlines()[-1]}"
        return row
    found = json.loads(survey.stdout.splitlines()[-1])
    row.versions, row.ran, row.broken = found["versions"], found["ran"], found["failed"]
    report = environment.directory / "report.xml"
    report.unlink(missing_ok=True)
    done = _in(environment, ["-m", "pytest", "-q", "-m", "not slow", f"--junit-xml={report}", *SUITE])
    (environment.directory / "report.log").write_text(done.stdout + done.stderr)
    if report.exists():
        read_report(row, report.read_text())
    else:
        row.problem = f"pytest did not run: see {environment.directory.relative_to(ROOT)}/report.log"
    return row


def _in(environment: Environment, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "VIRTUAL_ENV": str(environment.directory)}
    return subprocess.run(
        [str(environment.executable), *arguments],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def read_report(row: Row, xml: str) -> None:
    """Take passed, failed and skipped tests from pytest's report."""
    for case in ElementTree.fromstring(xml).iter("testcase"):
        name = f"{(case.get('classname') or '').rpartition('.')[2]}::{case.get('name')}"
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            row.failures.append(name)
        elif skip is not None:
            row.skipped[skip.get("message") or "no reason given"] += 1
        else:
            row.passed += 1


# --- the table ---------------------------------------------------------------------------------------------

HEAD = (
    "| environment | Python | numpy | scipy | scikit-image | Pillow | OpenCV | passed | failed | skipped"
    " | augmenters that run |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)


def table(rows: list[Row], day: str) -> str:
    """The rows as Markdown, with notes below."""
    lines = [*HEAD, *map(_line, rows), ""]
    lines += [f"- **{row.environment.name}**: {note}." for row in rows for note in _notes(row)]
    lines += ["", f"Run on {day}. Untested: {'; '.join(UNTESTED)}."]
    return "\n".join(lines)


def _line(row: Row) -> str:
    head = f"| **{row.environment.name}**: {row.environment.what}"
    if row.problem:
        return f"{head} | {row.environment.python} |{' |' * 9}"
    names = ("python", "numpy", "scipy", "scikit-image", "pillow", "opencv-python-headless")
    versions = " | ".join(row.versions[name] for name in names)
    augmenters = f"{row.ran} of {row.ran + len(row.broken)}"
    counts = f"{row.passed} | {len(row.failures)} | {sum(row.skipped.values())}"
    return f"{head} ({row.versions['imgaug']}) | {versions} | {counts} | {augmenters} |"


def _notes(row: Row) -> list[str]:
    if row.problem:
        return [row.problem]
    notes = []
    if row.failures:
        notes.append(f"failed: {_named(row.failures)}")
    for reason, count in sorted(row.skipped.items()):
        notes.append(f"{count} skipped: {reason}")
    for error in sorted(set(row.broken.values())):
        names = [name for name, raised in row.broken.items() if raised == error]
        notes.append(f"does not run: {_named(names)}: `{error.partition('. ')[0]}`")
    return notes


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(f"`{name}`" for name in names[:NAMED]) + more


def write(document: Path, text: str) -> None:
    """Put the table between its marks in the document."""
    before, _, rest = document.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main(arguments: list[str]) -> int:
    fresh = "--fresh" in arguments
    names = [argument for argument in arguments if argument != "--fresh"]
    unknown = set(names) - {environment.name for environment in ENVIRONMENTS}
    if unknown:
        print(f"no such environment: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for environment in ENVIRONMENTS:
        if names and environment.name not in names:
            continue
        start = time.monotonic()
        print(f"{environment.name} ...", flush=True)
        row = run(environment, fresh=fresh)
        rows.append(row)
        print(f"  {_summary(row)}, {time.monotonic() - start:.0f} s", flush=True)
    text = table(rows, time.strftime("%Y-%m-%d"))
    print(f"\n{text}")
    if not names:
        write(DOCUMENT, text)
    return 0 if all(row.green for row in rows) else 1


def _summary(row: Row) -> str:
    if row.problem:
        return row.problem
    counts: dict[str, Any] = {
        "passed": row.passed,
        "failed": len(row.failures),
        "skipped": sum(row.skipped.values()),
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
