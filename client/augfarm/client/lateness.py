"""When a batch is late. Pure.

Late is what has been away for FACTOR times the median of the last answers, and for LEAST_S. Until FEWEST
answers have come nothing is late.
"""

from __future__ import annotations

from collections import deque

__all__ = ["FACTOR", "FEWEST", "LEAST_S", "Lateness"]

#: Batches of one pipeline differ by less than this, as each waits for as many others before it. Were it
#: higher, who waits for a slow worker would wait longer; lower, batches would be augmented twice for nothing.
FACTOR = 2.0
#: Below this a second try costs more than the wait, in seconds.
LEAST_S = 0.05
#: Answers that the median is taken of, and how many there must be.
SAMPLES = 32
FEWEST = 8


class Lateness:
    """How long answers take, and so when one is late."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=SAMPLES)
        #: How long a batch may be away before it is late, in seconds; None: nobody knows yet.
        self.allowed: float | None = None

    def answered(self, seconds: float) -> None:
        """An answer came after so many seconds."""
        self._last.append(seconds)
        if len(self._last) >= FEWEST:
            self.allowed = max(LEAST_S, FACTOR * sorted(self._last)[len(self._last) // 2])
