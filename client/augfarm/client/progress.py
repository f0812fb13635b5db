"""A progress bar for long runs: done, rate, time left, and what the run is waiting for. Needs rich."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from .outcomes import Outcome

__all__ = ["Progress"]


class Progress:
    """Shows one call's progress on standard error; used by the caller's thread alone.

    Args:
        total: how many batches there will be, or None where nobody knows.
        description: what stands before the bar.
    """

    def __init__(self, total: int | None, description: str = "augmenting") -> None:
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[note]}"),
            console=Console(stderr=True, soft_wrap=True),
            # What the caller prints belongs to its own output; on a terminal it goes above the bar.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._task = self._bar.add_task(description, total=total, rate="", note="")
        self._workers: set[int] = set()
        self._failed = 0
        self._bar.start()

    def advance(self, outcome: Outcome) -> None:
        """One more batch is done, or failed."""
        if outcome.worker_id is not None:
            self._workers.add(outcome.worker_id)
        self._failed += outcome.error is not None
        speed = self._bar.tasks[0].finished_speed or self._bar.tasks[0].speed
        notes = [f"{len(self._workers)} workers"] if self._workers else []
        if self._failed:
            notes.append(f"{self._failed} failed")
        rate = f"{speed:.1f} batches/s" if speed else ""
        self._bar.update(self._task, advance=1, rate=rate, note=", ".join(notes))

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()


def length_of(batches: Iterable[Any]) -> int | None:
    """How many batches there are, where the iterable knows."""
    try:
        return len(batches)  # type: ignore[arg-type]
    except TypeError:
        return None
