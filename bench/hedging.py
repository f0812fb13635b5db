"""What hedging gains where one of four workers is ten times as slow as the others, and costs where none is.

    python bench/hedging.py        # a minute; writes bench/results/hedging.json

Workers sleep instead of augmenting, so that two cores can play four workers: this measures waiting, not work.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import scaffold
from paced import Paced

from augfarm.client import Client
from farms import Farm, running_farm

WORKERS = 4
SECONDS = 0.03
COUNT = 300
ROUNDS = 3


def run(farm: Farm, *, hedge: bool, ordered: bool, buffer: int) -> tuple[float, int]:
    """Seconds for COUNT batches, and how many of them were hedged."""
    before = farm.status()["totals"]["hedged"]
    with Client(Paced(SECONDS), farm.clients, hedge=hedge) as client:
        call = client.imap_batches if ordered else client.imap_batches_unordered
        results = call(islice(scaffold.batches(), COUNT), buffer)
        next(results)
        started = time.monotonic()
        for _ in results:
            pass
        seconds = time.monotonic() - started
    return seconds, farm.status()["totals"]["hedged"] - before


def measure(slow: int) -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory() as scratch, running_farm(Path(scratch), 0) as farm:
        scaffold.install_paced(Path(scratch))
        if WORKERS - slow:
            farm.start_workers(WORKERS - slow, *scaffold.PACED)
        if slow:
            os.environ["PACED_SLOWNESS"] = "10"
            farm.start_workers(slow, *scaffold.PACED)
            del os.environ["PACED_SLOWNESS"]
        for buffer in (8, 16, 32):
            for how, hedge, ordered in (
                ("ordered, hedge=False", False, True),
                ("ordered", True, True),
                ("unordered", True, False),
            ):
                found = [run(farm, hedge=hedge, ordered=ordered, buffer=buffer) for _ in range(ROUNDS)]
                seconds = statistics.median(seconds for seconds, _ in found)
                hedged = statistics.median(hedged for _, hedged in found)
                rate = (COUNT - 1) / seconds
                rows.append({"slow": slow, "buffer": buffer, "how": how, "rate": rate, "hedged": hedged})
                print(f"{slow} slow, buffer {buffer}, {how:22} {rate:6.1f} batches/s, {hedged:.0f} hedged")
    return rows


def main() -> None:
    scaffold.save("hedging", {"seconds": SECONDS, "workers": WORKERS, "rows": measure(1) + measure(0)})


if __name__ == "__main__":
    main()
