"""An augmenter that does what the first pixel of its batch says: for tests of what must not hang.

Workers find it by ``--allow-import hazards``.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from imgaug import augmenters as iaa

FINE, RAISE, SYS_EXIT, OS_EXIT, PAUSE = range(5)


def batch(what: int) -> np.ndarray[Any, Any]:
    """One small image, with which the augmenter does this."""
    return np.full((1, 8, 8, 3), what, np.uint8)


class Hazard(iaa.Augmenter):  # type: ignore[misc]
    """Gives images back as they are, or worse.

    Args:
        note: the file in which PAUSE says in which process it waits to be killed. It waits but once: where
            there is a note already it goes on.
    """

    def __init__(self, note: str = "") -> None:
        super().__init__()
        self.note = note

    def get_parameters(self) -> list[Any]:
        return [self.note]

    def _augment_batch_(self, batch: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
        what = int(batch.images[0][0, 0, 0])
        if what == RAISE:
            raise ValueError("as asked")
        if what == SYS_EXIT:
            sys.exit("as asked")
        if what == OS_EXIT:
            os._exit(7)
        if what == PAUSE:
            self._pause()
        return batch

    def _pause(self) -> None:
        draft = Path(f"{self.note}.{os.getpid()}")
        draft.write_text(str(os.getpid()))
        try:
            os.link(draft, self.note)  # at once and whole, or not at all
        except FileExistsError:
            return
        while True:
            signal.pause()
