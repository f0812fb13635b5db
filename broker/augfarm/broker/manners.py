"""Connections that misbehave or ask too often, and how much is said about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .events import Side

__all__ = ["Level", "Manners"]

#: Messages that make no sense before a connection is refused: a peer that is merely late sends a few.
FORGIVEN = 10
#: A connection that asks for a Report again within this time gets its next one only then, in seconds.
REPORT_PAUSE_S = 0.05
#: Lines of each level that are logged at once, and then in each second: a farm of hundreds of workers may
#: come in one moment and is told in full, and a hostile peer does not fill the disk.
LOG_BURST = 1000
LOG_PER_SECOND = 10.0
#: What was left out is counted on the next line, or on one of its own once it has been quiet so long, in
#: seconds. By then there is room for one.
LOG_QUIET_S = 1.0
#: Characters of one line, escapes among them: the longest name that a peer may give is told in full.
LOG_LINE_LENGTH = 500

Key: TypeAlias = tuple[Side, bytes]
Level: TypeAlias = Literal["INFO", "WARNING"]


@dataclass(slots=True)
class _Allowance:
    """How many lines of one level may be logged, as of `measured_at`, and how many were not."""

    lines: float = LOG_BURST
    measured_at: float = float("-inf")
    unsaid: int = 0
    unsaid_at: float = 0.0

    def take(self, now: float) -> bool:
        """Use the room for one line, if there is any."""
        # The elapsed time is infinite the first time.
        self.lines = min(float(LOG_BURST), self.lines + LOG_PER_SECOND * (now - self.measured_at))
        self.measured_at = now
        if self.lines < 1.0:
            self.unsaid, self.unsaid_at = self.unsaid + 1, now
            return False
        self.lines -= 1.0
        return True


class Manners:
    """What is remembered about each connection, until it is lost."""

    def __init__(self) -> None:
        self._silenced: set[Key] = set()
        self._faults: dict[Key, int] = {}
        #: When each connection got its last Report, as long as that matters, and who asked since.
        self._reported: dict[Key, float] = {}
        self._asking: dict[Key, None] = {}
        self._allowances: dict[Level, _Allowance] = {"INFO": _Allowance(), "WARNING": _Allowance()}

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
        """When :meth:`reports_due` or :meth:`left_out` has something to say, or None."""
        times = [self._due(key) for key in self._asking]
        times += [a.unsaid_at + LOG_QUIET_S for a in self._allowances.values() if a.unsaid]
        return min(times, default=None)

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

    def line(self, level: Level, text: str, now: float) -> str:
        """The line to log for this text, which peers may have had a hand in; "" where enough was said."""
        allowance = self._allowances[level]
        if not allowance.take(now):
            return ""
        more, allowance.unsaid = allowance.unsaid, 0
        return f"{_one_line(text)} (and {more} lines were not logged)" if more else _one_line(text)

    def left_out(self, now: float) -> list[tuple[Level, str]]:
        """The lines that say how many were not logged, once no more are."""
        lines: list[tuple[Level, str]] = []
        for level, allowance in self._allowances.items():
            if allowance.unsaid and now >= allowance.unsaid_at + LOG_QUIET_S and allowance.take(now):
                lines.append((level, f"{allowance.unsaid} lines were not logged"))
                allowance.unsaid = 0
        return lines

    def _due(self, key: Key) -> float:
        return self._reported.get(key, float("-inf")) + REPORT_PAUSE_S


def _one_line(text: str) -> str:
    """The text in one line of bounded length, with nothing in it that a terminal would obey."""
    shown = "".join(c if c.isprintable() else _escape(c) for c in text[:LOG_LINE_LENGTH])
    if len(text) <= LOG_LINE_LENGTH and len(shown) <= LOG_LINE_LENGTH:
        return shown
    return shown[: LOG_LINE_LENGTH - 3] + "..."


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
