"""What a run could not do: told at its end, and written into a report."""

from __future__ import annotations

import json
import re
from typing import Any

from augfarm.protocol.errors import AugfarmError, AugmentationFailed, BatchPoisoned

from .names import shown

__all__ = ["Failures", "reason_of"]

#: How many are named on the terminal; all are in the report.
NAMED = 20
#: A reason's length on the terminal, in characters.
REASON_SHOWN = 200


class Failures:
    """Images that have no output, or fewer than they should, and why."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[int]] = {}

    def __len__(self) -> int:
        return len({path for path, _ in self._found})

    def add(self, path: str, reason: str, copy: int | None = None) -> None:
        """An image, or one copy of it, failed."""
        copies = self._found.setdefault((path, reason), [])
        if copy is not None:
            copies.append(copy)

    def lines(self, copies: int) -> list[str]:
        """For the terminal, the first of them.

        Args:
            copies: how many each image should have.
        """
        found = sorted(self._found.items())
        lines = []
        for (path, reason), failed in found[:NAMED]:
            which = f" (copy {', '.join(map(str, sorted(failed)))})" if 0 < len(failed) < copies else ""
            text = reason if len(reason) <= REASON_SHOWN else reason[: REASON_SHOWN - 1] + "…"
            lines.append(f"{shown(path)}{which}: {text}")
        if len(found) > NAMED:
            lines.append(f"... and {len(found) - NAMED} more")
        return lines

    def report(self) -> list[dict[str, Any]]:
        """All of them as data."""
        return [
            {"image": shown(path), "copies": sorted(copies), "reason": reason}
            for (path, reason), copies in sorted(self._found.items())
        ]


def report_of(failures: Failures, facts: dict[str, Any]) -> bytes:
    """The report as a file."""
    return json.dumps({**facts, "failed": failures.report()}, indent=1).encode() + b"\n"


def reason_of(error: AugfarmError) -> str:
    """Why an image failed, without the numbers of batches, which its user never sees."""
    if isinstance(error, BatchPoisoned):
        return f"{error.attempts} worker processes died while augmenting it; their log says how each ended"
    if isinstance(error, AugmentationFailed) and error.exception_text:
        text = _PLACE.sub("", error.exception_text)
        # What an augmenter raised is of its type; ours say all in their texts.
        return (
            text if error.exception_type in _OURS else f"the pipeline raised {error.exception_type}: {text}"
        )
    return str(error)


_OURS = ("ProtocolError", "InvalidBatch")
#: Where in its batch an image is, at the beginning of a worker's text or after its introduction.
_PLACE = re.compile(r"(?:the result cannot travel: )?\bimages(?:_aug)?\[\d+\]: ")
