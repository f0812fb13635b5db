"""The sink's order: results by position, or as they come. Pure.

Laws: an item is taken once; positions are taken in order 0, 1, 2, ... when ordered; nothing is kept that
could have been taken.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["Reorder"]

T = TypeVar("T")


class Reorder(Generic[T]):
    """Results of one call on their way to the caller.

    Args:
        ordered: hand them out by position (0, 1, 2, ...); otherwise as they were added.
    """

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._next = 0
        self._early: dict[int, T] = {}
        self._ready: deque[T] = deque()

    def add(self, position: int, item: T) -> None:
        """Add the item of this position. Each position is added once."""
        if not self._ordered:
            self._ready.append(item)
            return
        assert position >= self._next, position
        assert position not in self._early, position
        self._early[position] = item
        while self._next in self._early:
            self._ready.append(self._early.pop(self._next))
            self._next += 1

    def ready(self) -> bool:
        """Whether :meth:`take` has an item."""
        return bool(self._ready)

    def take(self) -> T:
        """The next item; only where :meth:`ready`."""
        return self._ready.popleft()

    def __len__(self) -> int:
        return len(self._ready) + len(self._early)
