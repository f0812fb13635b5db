"""Memory that was freed goes back to the system. A part of the shell; only glibc needs it.

Frames are allocated by libzmq's threads and freed by others; glibc keeps what is freed for itself, so after a
burst the broker would look, and count against a container's limit, as if it still held it.
"""

from __future__ import annotations

import ctypes

__all__ = ["Heap"]

#: Bytes that come in between two times, and seconds: to give memory back takes some 10 ms for a gigabyte.
TRIM_BYTES = 256 * 1024 * 1024
TRIM_PAUSE_S = 2.0
#: After so many bytes it is also done when nothing has come in for so many seconds: then it costs nobody.
IDLE_TRIM_BYTES = 4 * 1024 * 1024
IDLE_S = 1.0


class Heap:
    """Gives freed memory back: now and then while much comes in, and when it stops."""

    def __init__(self) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._came_in = 0
        self._last_in = 0.0
        self._not_before = 0.0

    def came_in(self, octets: int, now: float) -> None:
        """So many bytes were received."""
        self._came_in += octets
        if octets:
            self._last_in = now

    def deadline(self) -> float | None:
        """When :meth:`give_back` has something to do, or None."""
        if self._trim is None or self._came_in < IDLE_TRIM_BYTES:
            return None
        idle = self._last_in + IDLE_S
        return idle if self._came_in < TRIM_BYTES else min(idle, self._not_before)

    def give_back(self, now: float) -> None:
        """Call it often: it does something when it is time."""
        due = self.deadline()
        if due is None or now < due:
            return
        assert self._trim is not None
        self._trim(0)
        self._came_in, self._not_before = 0, now + TRIM_PAUSE_S
