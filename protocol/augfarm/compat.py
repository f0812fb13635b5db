"""Makes ``import imgaug`` work where numpy, scikit-image and Pillow have moved on. Needs numpy alone.

Say ``import augfarm.compat`` before ``import imgaug``; workers do so themselves. imgaug 0.4.0 reads
``numpy.bool``, ``numpy.complex`` (gone in 1.24) and ``numpy.sctypes`` (gone in 2.0) at import and while it
augments: those that are missing are put back. What else it trips over is mended in its modules when they
are imported, each where it has the fault: see ``_mends.py``, and docs/compatibility.md for the list.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from . import _mends

__all__ = ["INSTALL", "hush", "imgaug_distribution", "import_imgaug", "install"]

#: imgaug's own wheel demands opencv-python, which needs libGL: hence the two steps.
INSTALL = "pip install 'augfarm[worker]' && pip install --no-deps imgaug==0.4.0"

#: Distributions that install the module `imgaug`, the two that we test first.
DISTRIBUTIONS = ("imgaug", "imaug", "sindre-imgaug", "imgaug-denk", "pyimgaug", "imgaug3")


def install() -> None:
    """Put back what imgaug misses in numpy, and mend imgaug now or when it is imported.

    Importing this module has called it; a second call does nothing.
    """
    for name, value in (("bool", bool), ("complex", complex), ("sctypes", _sctypes())):
        _mends.put_back(name, value)
    for name in _mends.APPLIES:
        module = sys.modules.get(name)
        if module is not None:
            _mends.mend(module, _distribution_of(name))
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def imgaug_distribution() -> tuple[str, str]:
    """The name and version of the distribution that `imgaug` comes from, without importing it.

    For example ``("imgaug", "0.4.0")`` or ``("imaug", "0.4.3")``. If several are installed, they have
    overwritten each other's files; once imgaug is imported, its own version says which is on top.

    Raises:
        importlib.metadata.PackageNotFoundError: (an ImportError) where there is none.
    """
    found: list[tuple[str, str]] = []
    for name in DISTRIBUTIONS:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    if not found:
        raise importlib.metadata.PackageNotFoundError("imgaug")
    if len(found) > 1:
        version = getattr(sys.modules.get("imgaug"), "__version__", None)
        return next((each for each in found if each[1] == version), found[0])
    return found[0]


def import_imgaug() -> ModuleType:
    """The module `imgaug`, imported after :func:`install`.

    Raises:
        ImportError: where imgaug, or what it needs, is missing; the text says how to install it.
    """
    install()
    try:
        return importlib.import_module("imgaug")
    except ImportError as error:
        raise ImportError(
            f"imgaug cannot be imported here ({error}); install it with:\n  {INSTALL}"
        ) from error


def hush() -> None:
    """Silence imgaug's warnings about its own use of outdated names, which its users can do nothing about."""
    for category in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category, module=r"imgaug\.")


def _sctypes() -> dict[str, list[type]]:
    """numpy.sctypes as numpy 1 had it."""
    return {
        "int": [np.int8, np.int16, np.int32, np.int64],
        "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
        "float": [np.float16, np.float32, np.float64, np.longdouble],
        "complex": [np.complex64, np.complex128, np.clongdouble],
        "others": [bool, object, bytes, str, np.void],
    }


def _distribution_of(module: str) -> tuple[str, str] | None:
    """Which distribution this module comes from, and its version; None where none says so."""
    try:
        if module.startswith("imgaug."):
            return imgaug_distribution()
        name = module.partition(".")[0]
        return name, importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


class _Finder(importlib.abc.MetaPathFinder):
    """Finds a module to mend as the finders after it do, and has it mended once it has been executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _mends.APPLIES:
            return None
        for finder in sys.meta_path:
            if isinstance(finder, _Finder) or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


class _Loader(importlib.abc.Loader):
    """A loader that mends the module that the loader inside executes."""

    def __init__(self, inside: importlib.abc.Loader) -> None:
        self._inside = inside

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inside.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        distribution = _distribution_of(module.__name__)
        _mends.prepare(module, distribution)
        self._inside.exec_module(module)
        _mends.mend(module, distribution)

    def __getattr__(self, name: str) -> Any:
        # get_source, get_filename and others: tracebacks and inspect ask for them.
        return getattr(self._inside, name)


install()
