"""Puts kernels in the place of imgaug's code, in one pipeline and nowhere else.

A kernel is a subclass of the augmenter that it replaces, and an object gets it by its ``__class__``. So only objects of
exactly that class are replaced, not those of users' subclasses; imgaug itself is not touched, and another pipeline of
the same process stays exact. Whatever a kernel does not override, its drawing of random parameters above all, is
imgaug's own code.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

__all__ = ["install", "installed", "replaced"]

#: Of each kernel: its file here, the class that it replaces, and the sources of that class that it was written for, as
#: the first 16 digits of their SHA-256. An augmenter of another source keeps its own code.
_KERNELS: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("piecewise_affine", "imgaug.augmenters.geometric:PiecewiseAffine", frozenset({"4156d90df5a041d8"})),
)


def install(augmenter: Any) -> list[str]:
    """Replace the augmenters of this pipeline for which there are kernels; the others stay as they are.

    Args:
        augmenter: the root of a decoded pipeline. It is changed.

    Returns:
        The names of the classes that were replaced, sorted.
    """
    kernels = replaced()
    found: set[str] = set()
    for each in _objects(augmenter):
        kernel = kernels.get(type(each))
        if kernel is not None:
            each.__class__ = kernel
            found.add(kernel.__name__)
    return sorted(found)


def installed(augmenter: Any) -> list[str]:
    """The names of the classes of this pipeline that kernels stand for, sorted."""
    kernels = set(replaced().values())
    return sorted({type(each).__name__ for each in _objects(augmenter) if type(each) in kernels})


@functools.lru_cache(maxsize=1)
def replaced() -> dict[type, type]:
    """For each class of the imgaug that is here and that has a kernel: that kernel."""
    found: dict[type, type] = {}
    for file, path, sources in _KERNELS:
        module, _, name = path.partition(":")
        original = getattr(importlib.import_module(module), name, None)
        if original is not None and _source_of(original) in sources:
            kernel = getattr(importlib.import_module(f"{__package__}.{file}"), name)
            found[original] = kernel
    return found


def _source_of(cls: type) -> str:
    try:
        return hashlib.sha256(inspect.getsource(cls).encode()).hexdigest()[:16]
    except (OSError, TypeError):  # compiled, or its file is not there
        return ""


def _objects(root: Any) -> Iterator[Any]:
    """All objects of imgaug's kind that the root holds, itself included; each once."""
    from imgaug.augmenters.meta import Augmenter

    waiting, seen = [root], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            waiting += value.values()
            continue
        if isinstance(value, (list, tuple)):
            waiting += list.__iter__(value) if isinstance(value, list) else value
        if isinstance(value, Augmenter):
            yield value
        if (
            hasattr(value, "__dict__")
            and not isinstance(value, type)
            and not callable(getattr(value, "__code__", None))
        ):
            waiting += vars(value).values()
