"""What the user hears while nothing comes, and when the wait is given up. Pure.

A notice comes FIRST_NOTICE_S after work began to wait for a broker or for workers, and then one every
NEXT_NOTICE_S. With a timeout a GiveUp comes after so many seconds without progress while batches wait.
"""

from __future__ import annotations

from typing import Literal

from .events import GiveUp, Notice

__all__ = ["FIRST_NOTICE_S", "NEXT_NOTICE_S", "Patience", "differences"]

#: Seconds until the user hears that nothing can be done yet, and between two such notices.
FIRST_NOTICE_S = 3.0
NEXT_NOTICE_S = 10.0


class Patience:
    """How long one client has been waiting, and for what. Call :meth:`look` after everything that happened.

    Args:
        address: how the texts name the broker.
        timeout: seconds without progress until a GiveUp; None: never.
    """

    def __init__(self, address: str, timeout: float | None) -> None:
        self._address = address
        self._timeout = timeout
        self._missing: Literal["", "broker", "workers"] = ""
        self._reason = ""
        self._requests = 0
        self._progress_at = 0.0
        self._notice_at: float | None = None
        #: What was found since something came, and whether it was found twice: it is lost again each time.
        self._found: set[str] = set()
        self._loses_again = False

    def progressed(self, now: float) -> None:
        """Something came, or work began."""
        self._progress_at = now
        self._found.clear()
        self._loses_again = False

    def found(self, what: Literal["broker", "workers"], now: float) -> None:
        """What was missing is there. It is no progress the second time, if nothing came in between."""
        if what in self._found:
            self._loses_again = True
            return
        self._found.add(what)
        self._progress_at, self._notice_at = now, None

    def look(
        self,
        missing: Literal["", "broker", "workers"],
        reason: str,
        *,
        calls: int,
        requests: int,
        now: float,
    ) -> None:
        """Take in how things are.

        Args:
            missing: what there must be for work to go on, and why there is none if that is known.
            calls, requests: how many are open.
        """
        self._missing, self._reason, self._requests = missing, reason, requests
        if not calls or not (missing or (self._loses_again and requests)):
            self._notice_at = None
        elif self._notice_at is None:
            self._notice_at = now + FIRST_NOTICE_S

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to say, or None."""
        times = [t for t in (self._notice_at, self._give_up_at()) if t is not None]
        return min(times, default=None)

    def expire(self, now: float) -> list[Notice | GiveUp]:
        """What to say because it is so late."""
        said: list[Notice | GiveUp] = []
        if self._notice_at is not None and now >= self._notice_at:
            self._notice_at = now + NEXT_NOTICE_S
            said.append(Notice(self._text()))
        give_up_at = self._give_up_at()
        if give_up_at is not None and now >= give_up_at:
            self._progress_at = now
            text = f"no progress for {self._timeout:g} s: {self._text()}"
            said.append(GiveUp(self._missing or "results", text))
        return said

    def _give_up_at(self) -> float | None:
        if self._timeout is None or not self._requests:
            return None
        return self._progress_at + self._timeout

    def _text(self) -> str:
        match self._missing:
            case "broker":
                reason = f" ({self._reason})" if self._reason else ""
                return f"no broker at {self._address} yet{reason}; still trying"
            case "workers":
                return f"the broker at {self._address} has no workers yet; still waiting"
            case _:
                reason = ""
                if self._loses_again:
                    reason = f", and the connection ends again and again ({self._reason})"
                return f"{self._requests} batches wait for results from {self._address}{reason}"


def differences(environments: tuple[dict[str, str], ...]) -> str:
    """What decides about pixels and is not the same everywhere, for example "numpy 1.26.4 and 2.2.0"."""
    texts = []
    for name in ("imgaug", "numpy", "opencv"):
        values = sorted({e[name] for e in environments if name in e})
        if len(values) > 1:
            texts.append(f"{name} {' and '.join(values)}")
    return ", ".join(texts)
