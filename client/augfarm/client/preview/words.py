"""What a pipeline's spec says, in words as users type them: ``rotate=(-20, 20), mode='edge'``. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Words", "class_name", "is_augmenter", "name_of"]

Node = Any

#: What every augmenter has.
_COMMON = frozenset({"name", "random_state", "seed", "deterministic", "activated"})
#: What imgaug's augmenters hold besides what a user gave them.
_INTERNAL = frozenset(
    {
        "dtypes_allowed",
        "dtypes_disallowed",
        "eps",
        "epsilon",
        "func",
        "intensity_channel_based_applier",
        "matrix_type",
        "n_mode",
        "polygon_recoverer",
    }
)
#: A value that is the same for every image.
_CONSTANT = re.compile(r"'.*'|-?[\d.e+-]+|True|False|inf|nan")
#: How Affine says that it moves nothing.
_UNMOVED = "(0, None, 'px')"
#: How deep, and how many of a list, the words go: enough for what people write.
_DEEPEST = 6
_LONGEST_LIST = 8
_LONGEST_TEXT = 60


def class_name(node: Node) -> str:
    """The class of an object's node, without its module."""
    return str(node["object"]).rpartition(":")[2]


def is_augmenter(node: Node) -> bool:
    """Whether the node is an augmenter and not, say, a parameter: they all have some attributes."""
    if not isinstance(node, dict) or not isinstance(node.get("object"), str):
        return False
    attributes = node.get("attributes")
    return isinstance(attributes, dict) and attributes.keys() >= {"name", "deterministic", "activated"}


def name_of(node: Node) -> str:
    """An augmenter's class, and its name where the user gave it one."""
    given = node["attributes"].get("name")
    if not isinstance(given, str) or given.startswith("Unnamed"):
        return class_name(node)
    return f"{class_name(node)} {given!r}"


class Words:
    """Puts the nodes of one spec into words.

    Args:
        resolve: gives the node that a reference stands for, and any other node as it is.
    """

    def __init__(self, resolve: Callable[[Node], Node]) -> None:
        self._resolve = resolve

    def parameters(self, node: Node, *, nested: bool = False) -> str:
        """What the augmenter was made with: what is drawn anew first, then what is always the same.

        Args:
            nested: say of augmenters that it holds what they were made with, too.
        """
        attributes = node["attributes"]
        drawn: list[str] = []
        constant: list[str] = []
        for name in sorted(_told(node)):
            value = self._resolve(attributes[name])
            if value is None:
                continue
            names_only = self._holds_augmenters(value) and not nested
            text = self._names(value) if names_only else self._argument(name, value)
            if text == _UNMOVED:
                continue
            (constant if _CONSTANT.fullmatch(text) else drawn).append(f"{name}={text}")
        said = drawn + constant
        if attributes.get("deterministic") is True:
            said.append("deterministic=True")
        if attributes.get("activated") is False:
            said.append("activated=False")
        return ", ".join(said)

    def container(self, node: Node, role: str) -> str:
        """A container as the place of one of its augmenters; "" for a Sequential without a name.

        Args:
            role: the attribute that holds the augmenter, or "".
        """
        attributes = node["attributes"]
        name = name_of(node)
        if name == "Sequential":
            return ""
        told = {"SomeOf": ("n",), "Sometimes": ("p",)}
        said = [
            f"{key}={self._argument(key, self._resolve(attributes[key]))}"
            for key in told.get(class_name(node), ())
            if key in attributes
        ]
        text = f"{name}({', '.join(said)})" if said else name
        role = {"then_list": "then", "else_list": "else", "children": ""}.get(role, role)
        return f"{text} {role}".rstrip()

    def _argument(self, name: str, value: Node) -> str:
        """The value of a parameter. Chances are what imgaug makes a Binomial of."""
        if name in ("p", "per_channel"):
            match value:
                case {"object": "imgaug.parameters:Binomial", "attributes": {"p": chance}}:
                    value = self._resolve(chance)
        return self._value(value, 0)

    def _value(self, node: Node, depth: int) -> str:
        node = self._resolve(node)
        if isinstance(node, float):
            return f"{node:.6g}"
        if isinstance(node, str):
            return repr(node if len(node) <= _LONGEST_TEXT else node[:_LONGEST_TEXT] + "…")
        if not isinstance(node, dict):
            return str(node)
        if depth >= _DEEPEST:
            return "…"
        if "object" in node:
            return self._object(node, depth)
        for kind, (start, end) in _BRACKETS.items():
            if isinstance(node.get(kind), list):
                return start + self._list(node[kind], depth) + end
        if isinstance(node.get("dict"), list):
            pairs = [self._pair(pair, depth) for pair in node["dict"][:_LONGEST_LIST]]
            return "{" + ", ".join(pairs) + (", …" if len(node["dict"]) > _LONGEST_LIST else "") + "}"
        return _plain(node)

    def _list(self, nodes: list[Node], depth: int) -> str:
        said = [self._value(node, depth + 1) for node in nodes[:_LONGEST_LIST]]
        return ", ".join([*said, "…"] if len(nodes) > _LONGEST_LIST else said)

    def _pair(self, pair: Node, depth: int) -> str:
        return ": ".join(self._value(each, depth + 1) for each in pair) if isinstance(pair, list) else "…"

    def _object(self, node: Node, depth: int) -> str:
        attributes = node.get("attributes")
        attributes = attributes if isinstance(attributes, dict) else {}
        name = class_name(node).lstrip("_")
        match node["object"], attributes:
            case "imgaug.parameters:Deterministic", {"value": value}:
                return self._value(value, depth)
            case "imgaug.parameters:Uniform" | "imgaug.parameters:DiscreteUniform", {"a": low, "b": high}:
                return f"({self._list([low, high], depth)})"
            case "imgaug.parameters:Choice", {"a": values, "p": None, "replace": True}:
                return self._value(values, depth)
        said = []
        for key in sorted(_told(node)):
            value = self._resolve(attributes[key])
            if value is not None:
                said.append(f"{key}={self._value(value, depth + 1)}")
        items = node.get("items")
        if isinstance(items, list):
            said.append(f"[{self._list(items, depth)}]")
        return f"{name}({', '.join(said)})" if said else name

    def _holds_augmenters(self, node: Node) -> bool:
        held = node.get("list") if isinstance(node, dict) else None
        nodes = held if isinstance(held, list) and held else [node]
        return all(is_augmenter(self._resolve(each)) for each in nodes)

    def _names(self, node: Node, depth: int = 0) -> str:
        """The names of the augmenters that a node holds; those inside of a plain Sequential in its place."""
        node = self._resolve(node)
        held = node.get("list", node.get("items") if class_name_is(node, "Sequential") else None)
        if not isinstance(held, list) or depth >= _DEEPEST:
            return name_of(node) if is_augmenter(node) else "…"
        names = [self._names(each, depth + 1) for each in held[:_LONGEST_LIST]]
        return (
            names[0]
            if len(held) == 1
            else f"[{', '.join(names)}{', …' if len(held) > _LONGEST_LIST else ''}]"
        )


def _told(node: Node) -> list[str]:
    """The attributes of an object that a user may know."""
    attributes = node.get("attributes")
    hidden = _COMMON | _INTERNAL if str(node["object"]).startswith("imgaug.") else _COMMON
    names = attributes if isinstance(attributes, dict) else ()
    usual = [name for name in names if name not in hidden and not name.startswith("_")]
    return [name for name in usual if name != "random_order" or attributes[name] is not False]


def class_name_is(node: Node, name: str) -> bool:
    """Whether the node is an object of a class of this name."""
    return isinstance(node, dict) and "object" in node and class_name(node) == name


_BRACKETS = {"tuple": ("(", ")"), "list": ("[", "]"), "set": ("{", "}"), "frozenset": ("{", "}")}


def _plain(node: dict[str, Node]) -> str:
    """What is no object and no container."""
    match node:
        case {"float": text}:
            return str(text)
        case {"scalar": text, "dtype": dtype}:
            try:
                return str(np.frombuffer(base64.b64decode(text), dtype)[0])
            except (TypeError, ValueError, IndexError, binascii.Error):
                return "…"
        case {"array": _, "shape": list(shape)}:
            return f"array of {'×'.join(map(str, shape))}"
        case {"function": str(path)}:
            return path.rpartition(":")[2]
        case {"numpy_dtype": text} | {"numpy_type": text}:
            return str(text)
    return "…"
