"""Puts kernels in the place of imgaug's code, in one pipeline and nowhere else.

A kernel is a subclass of the augmenter that it replaces, and an object gets it by its ``__class__``. So only
objects of exactly that class are replaced, not those of users' subclasses; imgaug itself is not touched, and
another pipeline of the same process stays exact. Whatever a kernel does not override, its drawing of random
parameters above all, is imgaug's own code.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["Kernels", "install", "installed", "known", "replaced"]

Kernels = Literal["exact", "fast"]

#: The modules of imgaug that kernels were written for: the first 16 digits of their files' SHA-256. In any
#: other version, and in the fork imaug, the augmenters of that module keep their own code.
_SOURCES = {
    "imgaug.augmenters.blur": "8c93587dcebe66f6",
    "imgaug.augmenters.arithmetic": "6d46839a64cccda9",
    "imgaug.augmenters.geometric": "e27e8710d7273298",
    "imgaug.augmenters.pillike": "aa0d9dd7d5ccda8f",
    "imgaug.augmenters.pooling": "0d3b9c879cc0c671",
    "imgaug.augmenters.segmentation": "85de32ad7e39586a",
}


@dataclass(frozen=True)
class _File:
    """One file of kernels.

    Attributes:
        name: the file's, here.
        module: where in imgaug the classes are.
        equal: classes whose kernel gives imgaug's results bit for bit: they serve exact pipelines, too.
        near: classes whose kernel does not.
    """

    name: str
    module: str
    equal: str = ""
    near: str = ""


_FILES = (
    _File(
        "affine",
        "imgaug.augmenters.geometric",
        equal="Affine Rotate ScaleX ScaleY ShearX ShearY TranslateX TranslateY",
    ),
    _File("elastic", "imgaug.augmenters.geometric", near="ElasticTransformation"),
    _File("gaussian_blur", "imgaug.augmenters.blur", equal="GaussianBlur"),
    _File("multiply", "imgaug.augmenters.arithmetic", equal="Multiply"),
    _File("piecewise_affine", "imgaug.augmenters.geometric", near="PiecewiseAffine"),
    _File(
        "pil_filters",
        "imgaug.augmenters.pillike",
        equal="FilterBlur FilterContour FilterEdgeEnhance FilterEdgeEnhanceMore FilterEmboss FilterFindEdges"
        " FilterSharpen FilterSmooth",
        near="FilterDetail FilterSmoothMore",
    ),
    _File("pooling", "imgaug.augmenters.pooling", equal="AveragePooling MaxPooling MinPooling"),
    _File(
        "voronoi",
        "imgaug.augmenters.segmentation",
        equal="RegularGridVoronoi RelativeRegularGridVoronoi UniformVoronoi Voronoi",
    ),
)


def install(augmenter: Any, kernels: Kernels = "fast") -> list[str]:
    """Replace the augmenters of this pipeline for which there are kernels; the others stay as they are.

    Args:
        augmenter: the root of a decoded pipeline. It is changed.
        kernels: "fast"; or "exact" for those alone that give imgaug's results bit for bit.

    Returns:
        The names of the classes that were replaced, sorted.
    """
    chosen = replaced(kernels)
    found: set[str] = set()
    for each in list(_objects(augmenter)):
        kernel = chosen.get(type(each))
        if kernel is not None:
            each.__class__ = kernel
            found.add(kernel.__name__)
    return sorted(found)


def installed(augmenter: Any) -> list[str]:
    """The names of the classes of this pipeline that kernels stand for, sorted."""
    kernels = set(replaced("fast").values())
    return sorted({type(each).__name__ for each in _objects(augmenter) if type(each) in kernels})


def known() -> list[tuple[str, str, bool]]:
    """All kernels: their module in imgaug, their class, and whether they are equal bit for bit."""
    return sorted(
        (file.module, name, names is file.equal)
        for file in _FILES
        for names in (file.equal, file.near)
        for name in names.split()
    )


@functools.lru_cache(maxsize=2)
def replaced(kernels: Kernels) -> dict[type, type]:
    """For each class of the imgaug that is here and that has a kernel of this kind: that kernel."""
    found: dict[type, type] = {}
    for file in _FILES:
        names = file.equal.split() + (file.near.split() if kernels == "fast" else [])
        module = importlib.import_module(file.module) if names else None
        if module is None or _source_of(module) != _SOURCES[file.module]:
            continue
        ours = importlib.import_module(f"{__package__}.{file.name}")
        found |= {getattr(module, name): getattr(ours, name) for name in names}
    return found


def _source_of(module: Any) -> str:
    try:
        return hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()[:16]
    except (AttributeError, OSError, TypeError):  # compiled, or not from a file
        return ""


def _objects(root: Any) -> Iterator[Any]:
    """All augmenters that the root holds, itself included; each once."""
    from imgaug.augmenters.meta import Augmenter

    waiting, seen = [root], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Augmenter):
            yield value
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, (list, tuple)):
            waiting += list.__iter__(value) if isinstance(value, list) else value
        if type(value).__module__.partition(".")[0] not in _NO_AUGMENTERS_IN:
            with contextlib.suppress(TypeError):  # an object without attributes of its own
                waiting += vars(value).values()


#: Whose objects are not looked into: what they hold is no augmenter, and may be large.
_NO_AUGMENTERS_IN = frozenset({"builtins", "numpy", "types"})
