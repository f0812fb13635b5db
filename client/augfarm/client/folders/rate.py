"""How fast a run is, and how long it will take. Pure: time is an argument."""

from __future__ import annotations

from collections import deque

__all__ = ["Rate", "in_words"]

#: The rate is that of the last so many seconds.
WINDOW_S = 30.0


class Rate:
    """Counts images as they are done. `now` is in seconds, and never goes back."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._done = 0
        self._marks: deque[tuple[float, int]] = deque([(now, 0)])

    def advance(self, images: int, now: float) -> None:
        """So many more are done."""
        self._done += images
        self._marks.append((now, self._done))
        while len(self._marks) > 2 and self._marks[1][0] <= now - WINDOW_S:
            self._marks.popleft()

    def per_second(self, now: float) -> float:
        """Images per second of late; 0 before any is done."""
        at, done = self._marks[0]
        return (self._done - done) / (now - at) if now > at else 0.0

    def overall(self, now: float) -> float:
        """Images per second since the beginning."""
        return self._done / (now - self._began) if now > self._began else 0.0

    def seconds_left(self, images: int, now: float) -> float | None:
        """How long so many more will take, or None where nobody knows."""
        rate = self.per_second(now)
        return images / rate if rate > 0 else None


def in_words(seconds: float) -> str:
    """A length of time for people: "4 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
