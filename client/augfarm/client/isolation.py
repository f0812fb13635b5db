"""The search for the images that a batch fails of: it is halved, and its halves again. Pure.

A *part* is a run of the batch's images, augmented as a batch of its own. An image is in exactly one place: in
an *open* part, whose answer is awaited; *kept*, as its part has a result; or *guilty*, having failed alone.
The search is complete when no part is open. A part that failed gives two halves, so a batch of n images takes
at most 2n - 2 parts, and one with a single guilty image about 2 log2(n).

Parts are judged alone: a batch whose halves all pass (its images did not go together, or its result was too
large) ends with nobody guilty.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Isolation", "Part"]


@dataclass(frozen=True, order=True)
class Part:
    """The images of a batch from position `start` to before `stop`, at least one."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def halves(self) -> tuple[Part, Part]:
        """The two parts that it consists of; only where it has more than one image."""
        middle = (self.start + self.stop) // 2
        return Part(self.start, middle), Part(middle, self.stop)


class Isolation:
    """One failed batch. Try the parts of :attr:`first`, and those that :meth:`fail` gives, in any order.

    Args:
        images: how many the batch has, at least 2.
    """

    def __init__(self, images: int) -> None:
        assert images >= 2, images
        self._images = images
        self.first: tuple[Part, ...] = Part(0, images).halves()
        self._open = set(self.first)
        self._kept: set[Part] = set()
        self._guilty: set[int] = set()

    def keep(self, part: Part) -> None:
        """The part has a result. Each open part is answered once, by this or by :meth:`fail`."""
        self._open.remove(part)
        self._kept.add(part)

    def fail(self, part: Part) -> tuple[Part, ...]:
        """The part has none: what to try next. Nothing, where it was one image: that is guilty."""
        self._open.remove(part)
        if len(part) == 1:
            self._guilty.add(part.start)
            return ()
        halves = part.halves()
        self._open.update(halves)
        return halves

    @property
    def complete(self) -> bool:
        """Whether every image is kept or guilty."""
        return not self._open

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that have a result, in the order of their images."""
        return tuple(sorted(self._kept))

    @property
    def kept(self) -> tuple[int, ...]:
        """The positions of the images in :attr:`parts`, ascending."""
        return tuple(image for part in self.parts for image in range(part.start, part.stop))

    @property
    def guilty(self) -> tuple[int, ...]:
        """The positions of the images that failed alone, ascending."""
        return tuple(sorted(self._guilty))

    def check(self) -> None:
        """Raise AssertionError where a law is broken."""
        parts = [*self._open, *self._kept, *(Part(image, image + 1) for image in self._guilty)]
        assert all(len(part) for part in parts)
        images = sorted(image for part in parts for image in range(part.start, part.stop))
        assert images == list(range(self._images)), "an image is in exactly one place"
