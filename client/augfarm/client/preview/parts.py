"""A pipeline's augmenters one by one: each with its name, parameters in words, and a spec of its own. Pure.

It works on specs (:mod:`augfarm.protocol.pipelines`), so no imgaug is needed. Containers that only choose
among their children (Sequential, SomeOf, OneOf, Sometimes) are no parts: their children are. Others that hold
augmenters, such as BlendAlpha or WithChannels, are parts, and so is what they hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from augfarm.protocol import limits
from augfarm.protocol.errors import InvalidPipeline
from augfarm.protocol.pipeline_encoder import canonical

from .words import Words, class_name, is_augmenter, name_of

__all__ = ["Part", "parts"]

Node = Any

#: Containers that do nothing to an image themselves.
_CHOOSERS = frozenset({"Sequential", "SomeOf", "OneOf", "Sometimes"})
#: Augmenters of imgaug's that are made of others which no user has put there.
_CLOSED = frozenset(
    {
        "AddToBrightness",
        "CLAHE",
        "Clouds",
        "HistogramEqualization",
        "MultiplyAndAddToBrightness",
        "MultiplyBrightness",
        "MultiplyHue",
        "MultiplyHueAndSaturation",
        "MultiplySaturation",
        "Rain",
        "RandAugment",
        "RemoveSaturation",
        "Snowflakes",
    }
)


@dataclass(frozen=True)
class Part:
    """One augmenter of a pipeline.

    Attributes:
        name: its class, and the name that the user gave it, if any.
        parameters: what it was made with, such as ``"rotate=(-20, 20), order=1"``.
        place: the containers that it is in, outermost first, such as ``("Sometimes(p=0.5)", "OneOf")``; a
            Sequential without a name is left out.
        spec: a pipeline of this augmenter alone.
    """

    name: str
    parameters: str
    place: tuple[str, ...]
    spec: bytes


def parts(spec: bytes) -> list[Part]:
    """The augmenters of a pipeline, in the order in which it names them; one that stands twice comes once.

    Args:
        spec: as :func:`augfarm.protocol.pipelines.load` gives it.

    Raises:
        InvalidPipeline: where the spec refers to what it does not hold, or is nested too deep.
    """
    envelope = json.loads(spec)
    index = _Index()
    root = envelope["pipeline"]
    index.read(root)
    found = []
    for node, place in _augmenters(root, (), index, set()):
        alone = {**envelope, "pipeline": _Cutter(index).cut(node)}
        words = Words(index.resolve)
        parameters = words.parameters(node, nested=_is_closed(node))
        found.append(Part(name_of(node), parameters, place, canonical(alone)))
    return found


class _Index:
    """What the ids of a spec stand for."""

    def __init__(self) -> None:
        self._nodes: dict[int, Node] = {}

    def read(self, node: Node, depth: int = 0) -> None:
        if depth > 4 * limits.MAX_PIPELINE_DEPTH:  # a level of the pipeline is up to four of the JSON
            raise InvalidPipeline(f"nested more than {limits.MAX_PIPELINE_DEPTH} deep")
        if isinstance(node, dict):
            if type(node.get("id")) is int:
                self._nodes[node["id"]] = node
            children: Any = node.values()
        else:
            children = node if isinstance(node, list) else ()
        for child in children:
            self.read(child, depth + 1)

    def resolve(self, node: Node) -> Node:
        """The node, or what it refers to."""
        if isinstance(node, dict) and "ref" in node:
            number = node["ref"]
            if type(number) is not int or number not in self._nodes:
                raise InvalidPipeline("refers to a node that it does not hold")
            return self._nodes[number]
        return node


class _Cutter:
    """Copies one node out of a spec, and what it refers to outside of itself where it is first named."""

    def __init__(self, index: _Index) -> None:
        self._index = index
        self._written: set[int] = set()
        self._depth = 0

    def cut(self, node: Node) -> Node:
        if isinstance(node, list):
            return [self.cut(item) for item in node]
        if not isinstance(node, dict):
            return node
        number = node.get("ref", node.get("id"))
        if number in self._written:
            return {"ref": number}
        node = self._index.resolve(node)
        self._depth += 1
        if self._depth > limits.MAX_PIPELINE_DEPTH:
            raise InvalidPipeline(
                f"a node that refers to itself, or nested more than {limits.MAX_PIPELINE_DEPTH} deep"
            )
        # As they are read: attributes by their names, and after them the items.
        copy = {key: value if key == "id" else self._value(key, value) for key, value in sorted(node.items())}
        self._depth -= 1
        if "id" in node:
            self._written.add(node["id"])
        return copy

    def _value(self, key: str, value: Node) -> Node:
        if key == "attributes" and isinstance(value, dict):
            return {name: self.cut(value[name]) for name in sorted(value)}
        return self.cut(value)


def _is_closed(node: Node) -> bool:
    return str(node["object"]).startswith("imgaug.") and class_name(node) in _CLOSED


def _augmenters(
    node: Node, place: tuple[str, ...], index: _Index, seen: set[int]
) -> Iterator[tuple[Node, tuple[str, ...]]]:
    """The parts below this node with their places; `seen` are the identities of those that came already."""
    if id(node) in seen:
        return
    seen.add(id(node))
    chooses = str(node["object"]).startswith("imgaug.") and class_name(node) in _CHOOSERS
    if not chooses:
        yield node, place
    if _is_closed(node):
        return
    words = Words(index.resolve)
    for role, child in _children(node, index):
        inside = words.container(node, role)
        yield from _augmenters(child, (*place, inside) if inside else place, index, seen)


def _children(node: Node, index: _Index) -> Iterator[tuple[str, Node]]:
    """The augmenters that this one holds, each with the attribute that it is in, or ""."""
    attributes = node.get("attributes")
    for name, value in sorted(attributes.items()) if isinstance(attributes, dict) else ():
        value = index.resolve(value)
        held = value.get("list") if isinstance(value, dict) else None
        for child in held if isinstance(held, list) else [value]:
            if is_augmenter(child := index.resolve(child)):
                yield name, child
    items = node.get("items")
    for child in items if isinstance(items, list) else ():
        if is_augmenter(child := index.resolve(child)):
            yield "", child
