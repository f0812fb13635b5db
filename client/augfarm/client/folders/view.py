"""What a run shows while it works: a bar on a terminal, elsewhere a line now and then; on standard error."""

from __future__ import annotations

import sys
import time
from typing import Any

from .rate import Rate, in_words

__all__ = ["View"]

#: Between two lines where standard error is no terminal, in seconds.
LINE_INTERVAL_S = 30.0


class View:
    """Shows how far a run is; for one thread."""

    def __init__(self) -> None:
        #: From the first result on: before that the farm starts.
        self._rate: Rate | None = None
        self._line_at = time.monotonic() + LINE_INTERVAL_S
        self.total: int | None = None
        self._done = 0
        self._failed = 0
        self._bar: Any = None
        if sys.stderr.isatty():
            self._bar, self._task = _bar()

    def skip(self, images: int) -> None:
        """So many were done by an earlier run."""
        self._done += images

    def advance(self, images: int, *, failed: int, workers: int) -> None:
        """So many more are done, of which some failed; the farm has so many workers."""
        now = time.monotonic()
        self._done += images
        self._failed += failed
        if self._rate is None:
            self._rate = Rate(now)
        else:
            self._rate.advance(images, now)
        if self._bar is not None:
            notes = self._notes(self._rate, now, workers)
            self._bar.update(self._task, completed=self._done, total=self.total, notes=", ".join(notes))
        elif now >= self._line_at:
            self._line_at = now + LINE_INTERVAL_S
            of = f" of {self.total}" if self.total is not None else ""
            print(
                f"{self._done}{of} images, {', '.join(self._notes(self._rate, now, workers))}",
                file=sys.stderr,
                flush=True,
            )

    def overall(self) -> float:
        """Images per second since the first result."""
        return 0.0 if self._rate is None else self._rate.overall(time.monotonic())

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.stop()

    def _notes(self, rate: Rate, now: float, workers: int) -> list[str]:
        notes = [f"{rate.per_second(now):.1f} images/s"]
        if self.total is not None:
            left = rate.seconds_left(max(0, self.total - self._done), now)
            if left is not None:
                notes.append(f"{in_words(left)} left")
        notes.append(f"{workers} worker{'' if workers == 1 else 's'}")
        if self._failed:
            notes.append(f"{self._failed} failed")
        return notes


def _bar() -> tuple[Any, Any]:
    from rich import progress
    from rich.console import Console

    bar = progress.Progress(
        progress.BarColumn(20),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[notes]}"),
        console=Console(stderr=True, soft_wrap=True),
    )
    task = bar.add_task("", total=None, notes="starting")
    bar.start()
    return bar, task
