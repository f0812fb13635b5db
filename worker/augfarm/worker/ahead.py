"""How many batches a worker should have: at work, waiting, and on their way. Pure.

Two are enough as long as a batch takes longer than it takes to get another: one is at work and one waits.
Where it does not, since batches are small, the broker is busy, or it is far away, more are taken ahead, so
that the worker is not idle for a round trip: what is ahead should last as long as one.

A round trip is from the answer that grants credit until the batch comes that uses it. It is seen where the
worker was idle by then, and the least of the last few counts: the others had waited for something else, too.
What comes only after :data:`MOST_TRIP_S` waited for a client.
"""

from __future__ import annotations

import math
from collections import deque

from augfarm.protocol import limits

__all__ = ["MOST_AHEAD", "Ahead"]

#: What is ahead should last so long at least, in seconds: several times what a busy broker needs to send
#: more.
AHEAD_S = 0.004
#: At most so many batches for that alone: what a worker holds is lost with it.
MOST_NEAR = 8
#: At most so many in any case.
MOST_AHEAD = 32
#: And no more than two of which so many bytes came: what the worker holds, and what a slow link has to carry
#: before the last of a call's batches comes back.
MOST_AHEAD_BYTES = 16 * limits.MIB
#: The longest round trip that is believed, in seconds: once round the earth. So what waits at a worker that
#: was wrong about it lasts no longer than that.
MOST_TRIP_S = 0.25
#: A batch that came so soon after the last one was finished may have been here before, in seconds.
IDLE_S = 0.001
#: Batches are not expected to take less than this, in seconds.
SHORTEST_S = 1e-5
#: How many round trips are remembered.
TRIPS = 8
#: How much the last batch counts in what one is expected to take.
LAST_COUNTS = 0.2


class Ahead:
    """What a worker has learned about its batches and its way to the broker. Times are in seconds."""

    def __init__(self) -> None:
        #: What a batch takes, and how large it is; None before the first.
        self._usual_s: float | None = None
        self._usual_bytes = 0.0
        #: When each credit was granted that is not used, the oldest first.
        self._granted: deque[float] = deque()
        self._trips: deque[float] = deque(maxlen=TRIPS)
        self._finished_at: float | None = None

    def connected(self, credit: int, now: float) -> None:
        """A connection begins, with so many credits."""
        self._granted = deque([now] * credit)
        self._trips.clear()
        self._finished_at = None

    def granted(self, credit: int, now: float) -> None:
        """So many batches more may come."""
        self._granted.extend([now] * credit)

    def came(self, octets: int, now: float, *, alone: bool) -> None:
        """A batch of so many bytes came; `alone`: and there was none here."""
        granted_at = self._granted.popleft()
        before = self._usual_bytes or octets
        self._usual_bytes = before + LAST_COUNTS * (octets - before)
        if alone and self._finished_at is not None and now - self._finished_at > IDLE_S:
            trip = now - granted_at
            if trip <= MOST_TRIP_S:
                self._trips.append(trip)

    def finished(self, seconds: float | None, now: float) -> None:
        """The batch at work is done, and took so long; None where it failed."""
        self._finished_at = now
        if seconds is not None:
            before = seconds if self._usual_s is None else self._usual_s
            self._usual_s = before + LAST_COUNTS * (seconds - before)

    def wanted(self) -> int:
        """How many batches should be here or on their way."""
        if self._usual_s is None:
            return limits.WORKER_CREDIT
        near = int(AHEAD_S / max(self._usual_s, AHEAD_S / MOST_NEAR))
        far = 0
        if self._trips and min(self._trips) > AHEAD_S:
            far = 1 + math.ceil(min(self._trips) / max(self._usual_s, SHORTEST_S))
        by_size = int(MOST_AHEAD_BYTES / max(self._usual_bytes, 1.0))
        return max(limits.WORKER_CREDIT, min(MOST_AHEAD, max(near, far), by_size))
