"""An augmenter that lets a test see, and decide, when a batch is at work; for --allow-import."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

from imgaug import augmenters as iaa  # isort: skip

#: A held batch waits for its gate no longer than this, in seconds: a test that failed opens none.
LONGEST_HOLD_S = 60.0


def number_of(image) -> int:
    """The number that `chaos.jobs` has written into a batch's first pixel."""
    return int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])


class Noted(iaa.Identity):
    """Changes nothing, but takes its time, and notes in a file what it begins and what it has ended.

    Put it first in a pipeline: it reads a batch's number from the first pixel.

    Args:
        journal: the file; "" for none.
        seconds: how long a batch takes, from the first to the second, always the same for the same number.
        held: numbers of batches that are not ended before the file `gate` exists.
    """

    def __init__(
        self,
        journal: str = "",
        seconds: tuple[float, float] = (0.0, 0.0),
        held: Sequence[int] = (),
        gate: str = "",
    ) -> None:
        super().__init__()
        self.journal = journal
        self.seconds = seconds
        self.held = list(held)
        self.gate = gate

    def _augment_batch_(self, batch, random_state, parents, hooks):
        number = number_of(batch.images[0])
        self._note("began", number)
        shortest, longest = self.seconds
        time.sleep(shortest + (longest - shortest) * (number * 7 % 16) / 15)
        deadline = time.monotonic() + LONGEST_HOLD_S
        while number in self.held and not os.path.exists(self.gate) and time.monotonic() < deadline:
            time.sleep(0.005)
        self._note("ended", number)
        return batch

    def _note(self, what: str, number: int) -> None:
        if not self.journal:
            return
        # One write to a file opened for appending: lines of several processes do not mix.
        with open(self.journal, "ab", buffering=0) as file:
            file.write(f"{what} {number} {os.getpid()}\n".encode())


@dataclass(frozen=True)
class Note:
    what: str
    number: int
    pid: int


class Journal:
    """What the augmenters of a test really did, in the order in which they did it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "journal"
        self.gate = directory / "gate"
        self.path.touch()

    def notes(self) -> list[Note]:
        lines = [line.split() for line in self.path.read_text().splitlines()]
        return [Note(what, int(number), int(pid)) for what, number, pid in lines]

    def began(self, number: int | None = None) -> list[Note]:
        return [n for n in self.notes() if n.what == "began" and number in (None, n.number)]

    def ended(self, number: int | None = None) -> list[Note]:
        return [n for n in self.notes() if n.what == "ended" and number in (None, n.number)]

    def open_gate(self) -> None:
        """Let the held batches end, now and when they are begun again."""
        self.gate.touch()
