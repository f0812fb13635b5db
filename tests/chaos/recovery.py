"""How long work stood still after each kind of fault. Told at the end of the test run; nothing is judged."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from pathlib import Path

#: The environment variable that names a file for all times; bench/reliability.py sets it.
FILE_VARIABLE = "AUGFARM_RECOVERY"

_seconds: dict[str, list[float]] = defaultdict(list)


class Stopwatch:
    """Started by a fault, or by its repair; :meth:`stop` it when the first batch comes that waited for it."""

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._since = time.monotonic()

    def stop(self) -> None:
        _seconds[self._fault].append(time.monotonic() - self._since)


def table() -> list[str]:
    """A line for each kind of fault: the middle and the longest time, in seconds."""
    return [
        f"{fault:60} {sorted(times)[len(times) // 2]:6.2f} {max(times):6.2f}  (of {len(times)})"
        for fault, times in sorted(_seconds.items())
    ]


def save() -> None:
    """Write all times to the file that the environment names, if it names one."""
    if path := os.environ.get(FILE_VARIABLE):
        Path(path).write_text(json.dumps({"seconds": _seconds}))
