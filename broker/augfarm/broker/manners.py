"""Connections that misbehave or ask too often, and how much is said about it. Pure."""

from __future__ import annotations

from .events import Side

__all__ = ["Manners"]

#: Messages that make no sense before a connection is refused: a peer that is merely late sends a few.
FORGIVEN = 10
#: A connection that asks for a Report again within this time gets its next one only then, in seconds.
REPORT_PAUSE_S = 0.05
#: Complaints that are logged in one second: a hostile peer must not fill the disk.
COMPLAINTS_PER_SECOND = 10

Key = tuple[Side, bytes]


class Manners:
    """What is remembered about each connection, until it is lost."""

    def __init__(self) -> None:
        self._silenced: set[Key] = set()
        self._faults: dict[Key, int] = {}
        #: When each connection got its last Report, as long as that matters, and who asked since.
        self._reported: dict[Key, float] = {}
        self._asking: dict[Key, None] = {}
        self._second = float("-inf")
        self._complaints = 0
        self._unsaid = 0

    def misbehaved(self, key: Key) -> bool:
        """The connection sent what makes no sense; whether that was once too often."""
        self._faults[key] = self._faults.get(key, 0) + 1
        return self._faults[key] >= FORGIVEN

    def silence(self, key: Key) -> None:
        """Nothing more is heard from this connection."""
        self._silenced.add(key)
        self._faults.pop(key, None)
        self._asking.pop(key, None)

    def is_silenced(self, key: Key) -> bool:
        """Whether what this connection sends is dropped."""
        return key in self._silenced

    def forget(self, key: Key) -> None:
        """The connection is lost."""
        self._silenced.discard(key)
        self._faults.pop(key, None)
        self._asking.pop(key, None)

    def asked(self, key: Key) -> None:
        """The connection asks for a Report."""
        self._asking[key] = None

    def deadline(self) -> float | None:
        """When :meth:`reports_due` has something to say, or None."""
        return min((self._due(key) for key in self._asking), default=None)

    def reports_due(self, now: float) -> list[Key]:
        """The connections that get a Report now."""
        if not self._asking:
            return []
        due = [key for key in self._asking if now >= self._due(key)]
        self._reported = {k: t for k, t in self._reported.items() if now < t + REPORT_PAUSE_S}
        for key in due:
            del self._asking[key]
            self._reported[key] = now
        return due

    def complaint(self, text: str, now: float) -> str:
        """The line to log about a peer's fault, or "" where enough was said this second."""
        if now >= self._second + 1.0:
            self._second, self._complaints = now, 0
        if self._complaints >= COMPLAINTS_PER_SECOND:
            self._unsaid += 1
            return ""
        self._complaints += 1
        more, self._unsaid = self._unsaid, 0
        return f"{text} (and {more} complaints were not logged)" if more else text

    def _due(self, key: Key) -> float:
        return self._reported.get(key, float("-inf")) + REPORT_PAUSE_S
