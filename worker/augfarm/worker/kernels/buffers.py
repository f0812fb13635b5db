"""Arrays that kernels use again and again, so that a batch does not pay for fresh memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

__all__ = ["Cache", "scratch"]

#: What all scratch arrays of a process, and each cache, may hold, in bytes.
BUDGET = 64 * 2**20

_scratch: OrderedDict[tuple[str, tuple[int, ...], str], Any] = OrderedDict()


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """An array of this shape with whatever was in it; the next call with these arguments gives it again.

    Never hand it out of a kernel.
    """
    key = (name, shape, np.dtype(dtype).str)
    array = _scratch.get(key)
    if array is None:
        array = np.empty(shape, dtype)
        if array.nbytes > BUDGET // 4:
            return array
        _scratch[key] = array
        while sum(each.nbytes for each in _scratch.values()) > BUDGET:
            _scratch.popitem(last=False)
    else:
        _scratch.move_to_end(key)
    return array


class Cache:
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
