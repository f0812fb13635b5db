"""An augmenter that does harm to batches with a white pixel, for workers with --allow-import deadly."""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any

import numpy as np
from imgaug import augmenters as iaa

LIBC = ctypes.CDLL(None)
LIBC.malloc.restype = ctypes.c_void_p


class Deadly(iaa.Identity):
    """Leaves batches alone, except those with a value of 255: it does what `how` says.

    Args:
        how: the name of one of the methods below.
        diary: a file that gets a line for each batch that it harms: the process and the batch's shape.
    """

    def __init__(self, how: str, diary: str = "") -> None:
        super().__init__()
        self.how = how
        self.diary = diary

    def _augment_batch_(self, batch: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
        if any(image.max(initial=0) == 255 for image in batch.images):
            if self.diary:
                with open(self.diary, "a") as diary:
                    diary.write(f"{os.getpid()}\n")
            # The answer before this must have left, or it counts the attempt: docs/protocol.md, section 13.
            time.sleep(0.1)
            getattr(self, self.how)()
        return batch

    def raise_error(self) -> None:
        raise LookupError("a white pixel")

    def exit(self) -> None:
        os._exit(0)

    def crash(self) -> None:
        ctypes.string_at(0)

    def never_end(self) -> None:
        sum(range(10**14))  # one call of C code, which keeps the GIL

    def sleep(self) -> None:
        time.sleep(3600)

    def take_memory(self) -> None:
        np.ones(2**31, np.uint8)

    def take_memory_and_not_look(self) -> None:
        ctypes.memset(LIBC.malloc(ctypes.c_size_t(2**31)), 1, 2**31)


class StuckOnce(iaa.Identity):
    """Leaves batches alone, but the first process that meets `value` waits until `blocker` is gone."""

    def __init__(self, value: int, blocker: str) -> None:
        super().__init__()
        self.value = value
        self.blocker = blocker

    def _augment_batch_(self, batch: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
        time.sleep(0.005)
        if batch.images[0].flat[0] == self.value:
            try:
                os.close(os.open(f"{self.blocker}.met", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return batch
            while os.path.exists(self.blocker):
                time.sleep(0.01)
        return batch
