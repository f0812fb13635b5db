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


class Heap:
    """Gives freed memory back, now and then, after much has come in."""

    def __init__(self) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._came_in = 0
        self._at = 0.0

    def came_in(self, octets: int) -> None:
        """So many bytes were received."""
        self._came_in += octets

    def deadline(self) -> float | None:
        """When :meth:`give_back` has something to do, or None."""
        return self._at if self._trim is not None and self._came_in >= TRIM_BYTES else None

    def give_back(self, now: float) -> None:
        """Call it often: it does something when it is time."""
        due = self.deadline()
        if due is None or now < due:
            return
        assert self._trim is not None
        self._trim(0)
        self._came_in, self._at = 0, now + TRIM_PAUSE_S
