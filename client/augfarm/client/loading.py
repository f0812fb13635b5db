"""PIPELINE on the command line: `file.py:name`, `module:name`, or a spec file."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any, cast

from augfarm.protocol import pipelines
from augfarm.protocol.errors import InvalidPipeline

__all__ = ["load_pipeline", "load_spec"]


def load_spec(reference: str, kernels: str | None = None) -> bytes:
    """The spec of the pipeline that `reference` names; see :func:`load_pipeline`."""
    pipelines.check_kernels(kernels)
    return pipelines.load(load_pipeline(reference), cast(Any, kernels))


def load_pipeline(reference: str) -> Any:
    """The pipeline that `reference` names, as :class:`.Client` takes it: an augmenter, or a spec file's path.

    Args:
        reference: ``file.py:name`` or ``module:name``, where `name` is an augmenter or a function without
            arguments that returns one; or the path of a spec file.

    Raises:
        InvalidPipeline: if there is no such thing, or it cannot travel.
    """
    source, separator, name = reference.rpartition(":")
    if not separator:
        if reference.endswith(".py"):
            raise InvalidPipeline(f"{reference} is Python: say which name in it, as in {reference}:augmenter")
        if not Path(reference).is_file():
            raise InvalidPipeline(f"no such spec file: {reference}")
        return Path(reference)
    from augfarm.protocol.augment import import_imgaug

    try:
        import_imgaug()
    except ImportError as error:
        raise InvalidPipeline(str(error)) from None
    found = _namespace(source)
    if name not in found:
        raise InvalidPipeline(f"{source} has no {name!r}")
    value = found[name]
    return value() if callable(value) and not hasattr(value, "augment_batch_") else value


def _namespace(source: str) -> dict[str, Any]:
    """The names of a Python file or module; what it raises is the user's own."""
    if source.endswith(".py"):
        if not Path(source).is_file():
            raise InvalidPipeline(f"no such file: {source}")
        # As a module of its own name, so that workers that import it find the augmenter classes in it.
        path = Path(source).resolve()
        sys.path.insert(0, os.fspath(path.parent))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return vars(module)
    sys.path.insert(0, os.getcwd())
    try:
        return vars(importlib.import_module(source))
    except ModuleNotFoundError as error:
        raise InvalidPipeline(f"cannot import {source}: {error}") from None
