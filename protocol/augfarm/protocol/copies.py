"""Many copies of one object, each as :func:`copy.deepcopy` makes it, at a fraction of the time. Pure.

deepcopy walks an object in Python; here it is walked once, and each copy is made by pickle's reader, which is
C. Nothing leaves the process. What deepcopy shares between copies (classes, functions) is shared here, too,
and so may be further objects. What pickle cannot write, or what says itself how it is copied, is left to
deepcopy.
"""

from __future__ import annotations

import copy
import io
import pickle
import types
import weakref
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Template"]

#: What deepcopy gives back as it is, and pickle would look up by its name.
_SHARED = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.CodeType,
    weakref.ref,
    property,
)


class Template:
    """Makes copies of `original` as it is now.

    Args:
        original: is not changed, and must not change.
        shared: objects in it that all copies have in common.
        dropped: objects in it whose place is taken by the first of `shared`, where each is referred to once:
            what replaces them in every copy before it is used. What is referred to more often is copied.
        within: for each of `dropped` an object in it that must also not be referred to by others.
    """

    def __init__(
        self,
        original: Any,
        shared: Sequence[Any] = (),
        dropped: Sequence[Any] = (),
        within: Sequence[Any] = (),
    ) -> None:
        self._original = original
        self._shared = list(shared)
        self._written: bytes | None = None
        self._kept: list[Any] = []
        try:
            seen = _Writer.write(original, self._shared, ())[2]
            pairs = zip(dropped, within, strict=True)
            once = [drop for drop, part in pairs if seen[id(drop)] == 1 and seen[id(part)] == 1]
            self._written, self._kept, _ = _Writer.write(original, self._shared, once)
        except Exception:  # pickle lets out whatever an object's own methods raise
            self._written = None

    def copy(self) -> Any:
        """Another copy."""
        if self._written is None:
            return copy.deepcopy(self._original, {id(each): each for each in self._shared})
        reader = pickle.Unpickler(io.BytesIO(self._written))
        reader.persistent_load = self._kept.__getitem__  # type: ignore[method-assign]
        return reader.load()


class _Writer(pickle.Pickler):
    def __init__(self, sink: io.BytesIO, shared: Sequence[Any], dropped: Sequence[Any]) -> None:
        super().__init__(sink, pickle.HIGHEST_PROTOCOL)
        self.kept = list(shared)
        self.seen: Counter[int] = Counter()
        self._numbers = {id(each): number for number, each in enumerate(self.kept)}
        self._numbers |= dict.fromkeys(map(id, dropped), 0)
        #: Objects that are made while it writes: another may not get the id of one.
        self._alive: list[Any] = []

    @classmethod
    def write(
        cls, original: Any, shared: Sequence[Any], dropped: Sequence[Any]
    ) -> tuple[bytes, list[Any], Counter[int]]:
        """The octets, what their numbers stand for, and how often each object is referred to, by its id."""
        sink = io.BytesIO()
        writer = cls(sink, shared, dropped)
        writer.dump(original)
        return sink.getvalue(), writer.kept, writer.seen

    def persistent_id(self, value: Any) -> int | None:
        self.seen[id(value)] += 1
        self._alive.append(value)
        number = self._numbers.get(id(value))
        if number is None and isinstance(value, _SHARED):
            number = self._numbers[id(value)] = len(self.kept)
            self.kept.append(value)
        copies_itself = hasattr(type(value), "__deepcopy__") and not isinstance(
            value, (np.ndarray, np.generic)
        )
        if number is None and copies_itself:
            raise pickle.PicklingError(f"{type(value).__name__} says itself how it is copied")
        return number
