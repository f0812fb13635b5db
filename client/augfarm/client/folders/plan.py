"""Which copies of which images make up which batch. Pure.

Copies are counted off in the order of their images, all copies of one after another, `batch_size` to a batch.
So a batch, and with it the seed of each copy, depends on the list of images alone, never on what was done
before or on how many workers there are; and a file is read once for all its copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .listing import Missed, Source

__all__ = ["Item", "Unit", "units_of"]


@dataclass(frozen=True)
class Item:
    """One copy of an image, counted from 0."""

    source: Source
    copy: int


@dataclass(frozen=True)
class Unit:
    """One batch: its number, and what is in it."""

    index: int
    items: tuple[Item, ...]


def units_of(found: Iterable[Source | Missed], copies: int, batch_size: int) -> Iterator[Unit | Missed]:
    """The batches for these images; what cannot be augmented is passed on."""
    index = 0
    items: list[Item] = []
    for each in found:
        if isinstance(each, Missed):
            yield each
            continue
        for copy in range(copies):
            items.append(Item(each, copy))
            if len(items) == batch_size:
                yield Unit(index, tuple(items))
                index, items = index + 1, []
    if items:
        yield Unit(index, tuple(items))
