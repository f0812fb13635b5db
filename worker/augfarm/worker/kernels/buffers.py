"""Arrays that kernels use again and again, so that a batch does not pay for fresh memory.

Each thread has its own: a worker augments in one, but ``client.replay`` may be called in several.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

__all__ = ["Cache", "scratch"]

#: What a thread's scratch arrays, and what each cache, may hold, in bytes.
BUDGET = 64 * 2**20


class Cache(threading.local):
    """What is made once for each key, the oldest dropped beyond the budget.

    Args:
        make: makes a value from its key's parts.
        size: tells a value's bytes.
    """

    def __init__(self, make: Callable[..., Any], size: Callable[[Any], int]) -> None:
        self._make = make
        self._size = size
        self._held: OrderedDict[Hashable, Any] = OrderedDict()

    def __call__(self, *key: Hashable) -> Any:
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        value = self._held[key] = self._make(*key)
        while len(self._held) > 1 and sum(self._size(each) for each in self._held.values()) > BUDGET:
            self._held.popitem(last=False)
        return value


_scratch = Cache(lambda name, shape, dtype: np.empty(shape, dtype), lambda array: int(array.nbytes))


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """An array of this shape with whatever was in it; the next call with these arguments gives it again.

    Never hand it out of a kernel.
    """
    return _scratch(name, shape, np.dtype(dtype))
