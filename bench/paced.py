"""An augmenter that takes a known time, and in slow workers ten times that."""

from __future__ import annotations

import os
import time
from typing import Any

from imgaug import augmenters as iaa

#: Set in the environment of a worker that is to be slow: how many times as long it takes.
SLOWNESS = float(os.environ.get("PACED_SLOWNESS", "1"))


class Paced(iaa.Identity):
    """Leaves batches alone and takes `seconds` for each, without using a core."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def get_parameters(self) -> list[Any]:
        return [self.seconds]

    def _augment_batch_(self, batch: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
        time.sleep(self.seconds * SLOWNESS)
        return batch
