"""An augmenter as a tree of JSON values: the writing half of :mod:`.pipelines`, which shows the form."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from types import FunctionType
from typing import Any

import numpy as np

from . import allowlist, arrays, generators, limits
from .errors import InvalidPipeline

__all__ = ["Encoder", "canonical"]

Node = Any

#: json writes whole numbers as decimals, and Python reads 4300 digits at most.
_MAX_INT_BITS = 14_000

_NUMPY_NAMES = {kind: name for name, kind in allowlist.NUMPY_TYPES.items()}


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and without spaces, in UTF-8: equal values have equal bytes.

    Raises:
        ValueError, TypeError, RecursionError: where the value is not JSON.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


class Encoder:
    """Encodes one pipeline. An object that stands in several places becomes one node and references to it."""

    def __init__(self) -> None:
        self._written: dict[int, dict[str, Node]] = {}
        self._open: set[int] = set()
        #: Keeps what has an id in _written alive, so that no id is used twice.
        self._alive: list[Any] = []
        self._nodes = 0
        self._shared = 0

    def node(self, value: Any, where: str, depth: int = 0) -> Node:
        """The value as a JSON value.

        Raises:
            InvalidPipeline: where it holds something that cannot travel; `where` says where.
        """
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return _whole(value, where)
        if kind is float and math.isfinite(value):
            return value
        if kind is str or kind is np.str_:
            return _text(str(value), where)
        self._nodes += 1
        if self._nodes > limits.MAX_PIPELINE_NODES:
            raise InvalidPipeline(f"more than {limits.MAX_PIPELINE_NODES} nodes", where=where)
        if depth >= limits.MAX_PIPELINE_DEPTH:
            raise InvalidPipeline(f"nested more than {limits.MAX_PIPELINE_DEPTH} deep", where=where)
        immutable = self._immutable(value, where, depth)
        return self._once(value, where, depth) if immutable is None else immutable

    def _immutable(self, value: Any, where: str, depth: int) -> dict[str, Node] | None:
        """The node of a value whose identity does not matter, or None."""
        kind = type(value)
        if kind is float:
            return {"float": repr(value)}
        if kind is complex:
            return {"complex": self._all((value.real, value.imag), where, depth)}
        if kind is bytes:
            return {"bytes": _base64(value)}
        if kind is tuple:
            return {"tuple": self._all(value, where, depth)}
        if kind is frozenset:
            return {"frozenset": self._set(value, where, depth)}
        if isinstance(value, np.generic) and arrays.allows(value.dtype):
            return {"scalar": _base64(value.tobytes()), "dtype": value.dtype.str}
        if isinstance(value, np.dtype) and arrays.allows(value):
            return {"numpy_dtype": value.str}
        if isinstance(value, type) and value in _NUMPY_NAMES:
            return {"numpy_type": _NUMPY_NAMES[value]}
        if isinstance(value, FunctionType):
            return {"function": allowlist.path_of_function(value, where)}
        return None

    def _once(self, value: Any, where: str, depth: int) -> dict[str, Node]:
        """The node of a value that others may share: written the first time, referred to afterwards."""
        key = id(value)
        if key in self._open:
            raise InvalidPipeline("the pipeline contains itself here", where=where)
        if key in self._written:
            node = self._written[key]
            if "id" not in node:
                node["id"] = self._shared
                self._shared += 1
            return {"ref": node["id"]}
        self._open.add(key)
        node = self._mutable(value, where, depth)
        self._open.remove(key)
        self._written[key] = node
        self._alive.append(value)
        return node

    def _mutable(self, value: Any, where: str, depth: int) -> dict[str, Node]:
        from imgaug.random import RNG, get_global_rng

        kind = type(value)
        if kind is list:
            return {"list": self._all(value, where, depth)}
        if kind is set:
            return {"set": self._set(value, where, depth)}
        if kind is dict:
            return {"dict": [self._pair(key, held, where, depth) for key, held in value.items()]}
        if kind is np.ndarray and arrays.allows(value.dtype):
            (dtype, shape, order), view = arrays.describe(value)
            return {"array": _base64(view), "dtype": dtype, "shape": list(shape), "order": order}
        if kind is RNG:
            return {"rng": self.node(value.generator, where, depth + 1)}
        if kind is np.random.Generator:
            if value is get_global_rng().generator:
                return {"generator": "global"}
            return {"generator": generators.dump(value, where)}
        _refuse(value, where)
        return self._object(value, where, depth)

    def _object(self, value: Any, where: str, depth: int) -> dict[str, Node]:
        cls = type(value)
        if not where or where.endswith("]"):
            where = f"{where}.{cls.__name__}" if where else cls.__name__
        path = allowlist.path_of_class(cls, where)
        held = {**vars(value), **allowlist.TRANSIENT.get(path, {})}
        attributes: dict[str, Node] = {}
        for name in sorted(held):
            place = f"{where}.{name}"
            allowlist.check_attribute(cls, name, place)
            attributes[name] = self.node(held[name], place, depth + 1)
        node: dict[str, Node] = {"object": path, "attributes": attributes}
        if isinstance(value, list):
            node["items"] = self._all(list.__iter__(value), where, depth)
        return node

    def _set(self, values: Iterable[Any], where: str, depth: int) -> list[Node]:
        elements = [self._key(value, where, depth) for value in values]
        return sorted(elements, key=canonical)

    def _pair(self, key: Any, value: Any, where: str, depth: int) -> list[Node]:
        place = f"{where}[{allowlist.short(key)}]"
        return [self._key(key, where, depth), self.node(value, place, depth + 1)]

    def _key(self, value: Any, where: str, depth: int) -> Node:
        if not allowlist.is_key(value):
            raise InvalidPipeline(
                f"expected a plain value as a key or a set's element, got {type(value).__qualname__}",
                where=where,
            )
        return self.node(value, where, depth + 1)

    def _all(self, values: Iterable[Any], where: str, depth: int) -> list[Node]:
        return [self.node(value, f"{where}[{i}]", depth + 1) for i, value in enumerate(values)]


def _refuse(value: Any, where: str) -> None:
    """Refuse what has no form of its own here, where something better than its class can be said."""
    if isinstance(value, (np.ndarray, np.generic, np.dtype)):
        dtype = value if isinstance(value, np.dtype) else value.dtype
        raise InvalidPipeline(f"numpy values of dtype {dtype} cannot travel", where=where)
    if isinstance(value, type):
        raise InvalidPipeline(f"the class {value.__qualname__} cannot travel, only objects can", where=where)
    # Methods, partials, functions written in C.
    if callable(value) and type(value).__module__ in ("builtins", "functools", "numpy"):
        raise InvalidPipeline(
            f"a {type(value).__name__} is no plain function and cannot travel; write a function that"
            f" calls it: {allowlist.ADVICE}",
            where=where,
        )


def _whole(value: int, where: str) -> int:
    if value.bit_length() > _MAX_INT_BITS:
        raise InvalidPipeline(f"a whole number of more than {_MAX_INT_BITS} bits", where=where)
    return value


def _text(value: str, where: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidPipeline("text that is not Unicode (a lone surrogate)", where=where) from None
    return value


def _base64(value: bytes | memoryview) -> str:
    return base64.b64encode(value).decode("ascii")
