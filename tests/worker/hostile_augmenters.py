"""Augmenters that misbehave, for workers started with --allow-import hostile_augmenters."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import Any

import numpy as np
from imgaug.augmenters import meta


class Surrogate(Exception):
    """An exception whose text UTF-8 cannot hold."""

    def __str__(self) -> str:
        return "bad \udcff text"


class Mute(Exception):
    """An exception whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Hostile(meta.Augmenter):  # type: ignore[misc]
    """Does what `mode` says; tells its process id through the named pipe `fifo` before, if there is one."""

    def __init__(self, mode: str, fifo: str = "") -> None:
        super().__init__()
        self.mode = mode
        self.fifo = fifo

    def get_parameters(self) -> list[Any]:
        return [self.mode, self.fifo]

    def _augment_batch_(self, batch: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
        if self.mode.endswith("when_stopped"):
            signal.pthread_sigmask(
                signal.SIG_BLOCK, {signal.SIGTERM}
            )  # or it might come too early to be seen
        if self.fifo:
            self._tell()
        result: Any = getattr(self, f"_{self.mode}")(batch)
        return batch if result is None else result

    def _tell(self) -> None:
        with open(self.fifo, "w") as fifo:
            fifo.write(f"{os.getpid()}\n")

    def _raise(self, batch: Any) -> None:
        _deep(3)

    def _raise_long(self, batch: Any) -> None:
        raise ValueError("x" * 100_000 + "é" * 100_000)

    def _raise_surrogate(self, batch: Any) -> None:
        raise Surrogate

    def _raise_mute(self, batch: Any) -> None:
        raise Mute

    def _sys_exit(self, batch: Any) -> None:
        raise SystemExit(5)

    def _interrupt(self, batch: Any) -> None:
        raise KeyboardInterrupt

    def _exit(self, batch: Any) -> None:
        os._exit(7)

    def _stop_itself(self, batch: Any) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def _hold_gil(self, batch: Any) -> None:
        # PyDLL does not release the GIL around the call.
        ctypes.PyDLL(None).sleep(600)

    def _finish_when_stopped(self, batch: Any) -> None:
        signal.sigwait({signal.SIGTERM})
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def _go_on_when_stopped(self, batch: Any) -> None:
        self._finish_when_stopped(batch)
        self._tell()
        while True:  # not pause(): a signal that comes just before it would not end it
            time.sleep(0.01)

    def _huge(self, batch: Any) -> None:
        # Large by its strides only.
        batch.images = [np.broadcast_to(np.uint8(0), (2**15, 2**15, 3))]

    def _odd(self, batch: Any) -> None:
        batch.images = [np.zeros((2, 2, 3), dtype=object)]


def _deep(n: int) -> None:
    if n:
        _deep(n - 1)
    raise ValueError("as asked")
