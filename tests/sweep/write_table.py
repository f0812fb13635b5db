"""Run the sweep here, record what it found, and write docs/augmenters.md: ``python -m sweep.write_table``.

Call it in the directory tests, once in each environment that the document speaks of. It takes a minute.
"""

# ruff: noqa: E402  numpy reads its thread limits when it is loaded.
from __future__ import annotations

from augfarm.worker.environment import limit_threads

limit_threads()

import tempfile
from pathlib import Path

from sweep import catalogue, judging, table

__all__ = ["main"]


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        verdicts = judging.judge(catalogue.AUGMENTERS, Path(directory))
    table.write_lane(verdicts, judging.unlike_the_pool(catalogue.AUGMENTERS, verdicts))
    table.DOCUMENT.write_text(table.render(table.read_lanes()))
    print(f"wrote {table.DOCUMENT}")


if __name__ == "__main__":
    main()
