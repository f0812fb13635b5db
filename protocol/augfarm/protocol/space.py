"""Which parts of a piece of memory are taken. Pure: it counts octets and touches none.

Laws: parts that are taken never overlap; what is free is kept in as few stretches as there can be; each
part begins at a multiple of GRAIN. The lowest stretch that is large enough is taken, so that little memory is
ever touched.
"""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["GRAIN", "Space"]

#: Parts are whole pages: two processes never write to the same one.
GRAIN = 4096


class Space:
    """The free and taken parts of `octets` octets of memory."""

    def __init__(self, octets: int) -> None:
        self.octets = octets - octets % GRAIN
        #: Free stretches in the order of their starts, which are also kept apart to search in.
        self._starts = [0] if self.octets else []
        self._sizes = {0: self.octets} if self.octets else {}
        self._taken: dict[int, int] = {}

    @property
    def taken(self) -> int:
        """How many octets are taken."""
        return sum(self._taken.values())

    def size_of(self, start: int) -> int:
        """The size of the part that was taken there, rounded up."""
        return self._taken[start]

    def take(self, octets: int) -> int | None:
        """Where a part of this size begins that nobody else has now; None where there is no room."""
        size = max(1, -(-octets // GRAIN)) * GRAIN
        for position, start in enumerate(self._starts):
            free = self._sizes[start]
            if free < size:
                continue
            del self._sizes[start]
            if free == size:
                del self._starts[position]
            else:
                self._starts[position] = start + size
                self._sizes[start + size] = free - size
            self._taken[start] = size
            return start
        return None

    def give(self, start: int) -> None:
        """The part that begins there is free again.

        Raises:
            KeyError: where no part that is taken begins there.
        """
        size = self._taken.pop(start)
        position = bisect_left(self._starts, start)
        if position < len(self._starts) and self._starts[position] == start + size:
            size += self._sizes.pop(self._starts.pop(position))
        if position and (before := self._starts[position - 1]) + self._sizes[before] == start:
            self._sizes[before] += size
        else:
            self._starts.insert(position, start)
            self._sizes[start] = size

    def check(self) -> None:
        """Raise AssertionError where a law is broken."""
        parts = sorted([*self._taken.items(), *self._sizes.items()])
        position = 0
        for start, size in parts:
            assert start == position, "parts neither overlap nor leave gaps"
            assert start % GRAIN == 0
            assert size > 0
            position += size
        assert position == self.octets
        assert self._starts == sorted(self._sizes)
        ends = {start + size for start, size in self._sizes.items()}
        assert not ends & self._sizes.keys(), "two free stretches that touch are one"
