"""One line of docs/reliability.md."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Row"]


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        times: names of times that the chaos suite takes, and what each is called here.
        tests: FILE::TEST, FILE, or a folder.
    """

    fault: str
    happens: str
    guaranteed: str
    tests: tuple[str, ...]
    times: tuple[tuple[str, str], ...] = ()
