"""The reading half of :mod:`.pipelines`: a tree of JSON values as an augmenter.

Objects are made by ``object.__new__`` or ``list.__new__`` and get their ``__dict__`` filled: nothing that
the sender chose is called. References lead only to what is complete, so a cycle cannot be expressed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import numpy as np

from . import allowlist, arrays, generators, limits
from .errors import InvalidPipeline, ProtocolError

__all__ = ["Decoder"]

Node = Any


class Decoder:
    """Decodes one pipeline. imgaug must have been imported.

    Args:
        allow_imports: modules whose augmenters, parameters and functions the spec may name.
    """

    def __init__(self, allow_imports: tuple[str, ...]) -> None:
        self._allow_imports = allow_imports
        self._known: dict[int, Any] = {}
        #: How many nodes were read so far, and under each id; a reference counts all that it stands for.
        self._nodes = 0
        self._weights: dict[int, int] = {}

    def node(self, spec: Node, where: str, depth: int = 0) -> Any:
        """The value of this node.

        Raises:
            InvalidPipeline: for whatever :class:`.Encoder` does not write; `where` says where.
        """
        if spec is None or isinstance(spec, (bool, int, float, str)):
            return spec
        before = self._nodes
        self._count(1, where)
        if depth >= limits.MAX_PIPELINE_DEPTH:
            raise InvalidPipeline(f"nested more than {limits.MAX_PIPELINE_DEPTH} deep", where=where)
        kinds = [key for key in spec if key in _FORMS] if isinstance(spec, dict) else []
        if len(kinds) != 1:
            raise InvalidPipeline(f"expected a plain value or one of {', '.join(_FORMS)}", where=where)
        read, required, optional = _FORMS[kinds[0]]
        extra = spec.keys() - {kinds[0]}
        if not required <= extra <= required | optional:
            expected = ", ".join(sorted(required | optional)) or "nothing else"
            raise InvalidPipeline(f"beside {kinds[0]!r} expected {expected}", where=where)
        value = read(self, spec, where, depth)
        if "id" in spec:
            self._remember(spec["id"], value, where)
            self._weights[spec["id"]] = self._nodes - before
        return value

    def _count(self, nodes: int, where: str) -> None:
        self._nodes += nodes
        if self._nodes > limits.MAX_PIPELINE_NODES:
            raise InvalidPipeline(f"more than {limits.MAX_PIPELINE_NODES} nodes", where=where)

    def _remember(self, number: Node, value: Any, where: str) -> None:
        if not _is_number(number) or number in self._known:
            raise InvalidPipeline("expected as 'id' a number that no other node has", where=where)
        self._known[number] = value

    def _ref(self, spec: dict[str, Node], where: str, depth: int) -> Any:
        number = spec["ref"]
        if not _is_number(number) or number not in self._known:
            raise InvalidPipeline(
                "expected as 'ref' the id of a node that is complete before this one", where=where
            )
        self._count(self._weights[number], where)
        return self._known[number]

    # --- plain values --------------------------------------------------------------------------------------

    def _float(self, spec: dict[str, Node], where: str, depth: int) -> float:
        if spec["float"] not in ("nan", "inf", "-inf"):
            raise InvalidPipeline("expected nan, inf or -inf", where=where)
        return float(spec["float"])

    def _complex(self, spec: dict[str, Node], where: str, depth: int) -> complex:
        parts = self._all(spec["complex"], where, depth)
        if len(parts) != 2 or not all(type(part) is float for part in parts):
            raise InvalidPipeline("expected two floats", where=where)
        return complex(*parts)

    def _bytes(self, spec: dict[str, Node], where: str, depth: int) -> bytes:
        return _octets(spec["bytes"], where)

    def _tuple(self, spec: dict[str, Node], where: str, depth: int) -> tuple[Any, ...]:
        return tuple(self._all(spec["tuple"], where, depth))

    def _list(self, spec: dict[str, Node], where: str, depth: int) -> list[Any]:
        return self._all(spec["list"], where, depth)

    def _set(self, spec: dict[str, Node], where: str, depth: int) -> set[Any]:
        return {_key(value, where) for value in self._few(spec["set"], where, depth)}

    def _frozenset(self, spec: dict[str, Node], where: str, depth: int) -> frozenset[Any]:
        return frozenset(_key(value, where) for value in self._few(spec["frozenset"], where, depth))

    def _dict(self, spec: dict[str, Node], where: str, depth: int) -> dict[Any, Any]:
        pairs = spec["dict"]
        if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
            raise InvalidPipeline("expected a list of pairs", where=where)
        _check_keys(pairs, where)
        result = {}
        for key_node, node in pairs:
            key = _key(self.node(key_node, where, depth + 1), where)
            result[key] = self.node(node, f"{where}[{allowlist.short(key)}]", depth + 1)
        return result

    def _few(self, nodes: Node, where: str, depth: int) -> list[Any]:
        _check_keys(nodes, where)
        return self._all(nodes, where, depth)

    def _all(self, nodes: Node, where: str, depth: int) -> list[Any]:
        if not isinstance(nodes, list):
            raise InvalidPipeline("expected a list", where=where)
        return [self.node(node, f"{where}[{i}]", depth + 1) for i, node in enumerate(nodes)]

    # --- numpy ---------------------------------------------------------------------------------------------

    def _array(self, spec: dict[str, Node], where: str, depth: int) -> Any:
        # A bytearray, so that the array is writeable.
        return _restore(
            spec["dtype"], spec["shape"], spec["order"], bytearray(_octets(spec["array"], where)), where
        )

    def _scalar(self, spec: dict[str, Node], where: str, depth: int) -> Any:
        return _restore(spec["dtype"], (), "C", _octets(spec["scalar"], where), where)[()]

    def _numpy_dtype(self, spec: dict[str, Node], where: str, depth: int) -> Any:
        return _restore(spec["numpy_dtype"], (0,), "C", b"", where).dtype

    def _numpy_type(self, spec: dict[str, Node], where: str, depth: int) -> Any:
        name = spec["numpy_type"]
        if not isinstance(name, str) or name not in allowlist.NUMPY_TYPES:
            raise InvalidPipeline(f"{allowlist.short(name)} is no numpy type that may travel", where=where)
        return allowlist.NUMPY_TYPES[name]

    # --- generators, functions, objects --------------------------------------------------------------------

    def _generator(self, spec: dict[str, Node], where: str, depth: int) -> np.random.Generator:
        from imgaug.random import get_global_rng

        state = spec["generator"]
        if state == "global":
            generator: np.random.Generator = get_global_rng().generator
            return generator
        return generators.restore(state, where)

    def _rng(self, spec: dict[str, Node], where: str, depth: int) -> Any:
        from imgaug.random import RNG

        generator = self.node(spec["rng"], where, depth + 1)
        if not isinstance(generator, np.random.Generator):
            raise InvalidPipeline("expected a generator inside an RNG", where=where)
        # RNG's own constructor drops half a word that the generator may have in stock.
        state = generator.bit_generator.state
        rng = RNG(generator)
        generator.bit_generator.state = state
        return rng

    def _function(self, spec: dict[str, Node], where: str, depth: int) -> Any:
        return allowlist.resolve_function(spec["function"], self._allow_imports, where)

    def _object(self, spec: dict[str, Node], where: str, depth: int) -> Any:
        cls = allowlist.resolve_class(spec["object"], self._allow_imports, where)
        if not where or where.endswith("]"):
            where = f"{where}.{cls.__name__}" if where else cls.__name__
        attributes = spec["attributes"]
        if not isinstance(attributes, dict):
            raise InvalidPipeline("expected a map of attributes", where=where)
        held: dict[str, Any] = {}
        for name in sorted(attributes):
            allowlist.check_attribute(cls, name, where)
            held[name] = self.node(attributes[name], f"{where}.{name}", depth + 1)
        allowlist.check_base(cls, held, where)
        is_list = issubclass(cls, list)
        if is_list != ("items" in spec):
            raise InvalidPipeline("expected 'items' in lists of augmenters, and nowhere else", where=where)
        try:
            value: Any = list.__new__(cls) if is_list else object.__new__(cls)
        except TypeError:
            raise InvalidPipeline(
                f"{cls.__name__} is abstract, or built on a type in C", where=where
            ) from None
        vars(value).update(held)
        if is_list:
            list.extend(value, self._all(spec["items"], where, depth))
        return value


_Read = Callable[[Decoder, dict[str, Node], str, int], Any]
_ID = frozenset({"id"})
_NONE: frozenset[str] = frozenset()

#: For each kind of node: how it is read, and the keys that it must and may have beside its own.
_FORMS: dict[str, tuple[_Read, frozenset[str], frozenset[str]]] = {
    "array": (Decoder._array, frozenset({"dtype", "shape", "order"}), _ID),
    "bytes": (Decoder._bytes, _NONE, _NONE),
    "complex": (Decoder._complex, _NONE, _NONE),
    "dict": (Decoder._dict, _NONE, _ID),
    "float": (Decoder._float, _NONE, _NONE),
    "frozenset": (Decoder._frozenset, _NONE, _NONE),
    "function": (Decoder._function, _NONE, _NONE),
    "generator": (Decoder._generator, _NONE, _ID),
    "list": (Decoder._list, _NONE, _ID),
    "numpy_dtype": (Decoder._numpy_dtype, _NONE, _NONE),
    "numpy_type": (Decoder._numpy_type, _NONE, _NONE),
    "object": (Decoder._object, frozenset({"attributes"}), _ID | {"items"}),
    "ref": (Decoder._ref, _NONE, _NONE),
    "rng": (Decoder._rng, _NONE, _ID),
    "scalar": (Decoder._scalar, frozenset({"dtype"}), _NONE),
    "set": (Decoder._set, _NONE, _ID),
    "tuple": (Decoder._tuple, _NONE, _NONE),
}


def _is_number(value: Node) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_keys(nodes: Node, where: str) -> None:
    if isinstance(nodes, list) and len(nodes) > limits.MAX_PIPELINE_KEYS:
        raise InvalidPipeline(f"{len(nodes)} keys, more than {limits.MAX_PIPELINE_KEYS}", where=where)


def _key(value: Any, where: str) -> Any:
    if not allowlist.is_key(value):
        raise InvalidPipeline("expected a plain value as a key or a set's element", where=where)
    return value


def _octets(text: Node, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise InvalidPipeline("expected bytes in base64", where=where) from None


def _restore(dtype: Node, shape: Any, order: Node, octets: bytes | bytearray, where: str) -> Any:
    try:
        return arrays.restore(dtype, shape, order, octets)
    except ProtocolError as error:
        raise InvalidPipeline(str(error), where=where) from None
