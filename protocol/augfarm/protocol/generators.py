"""numpy's random generators as plain data, and back. Pure.

A state is ``{"name", "words", "has_uint32", "uinteger"}``. Every part is checked before numpy sees it:
numpy takes some states unchecked, and MT19937 and Philox with a position out of range read beyond their
buffers. Those two are not offered.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InvalidPipeline

__all__ = ["dump", "restore"]

#: Bit generators that may travel: the number of words in a state, and the bits of one word.
_WORDS = {"SFC64": (4, 64), "PCG64": (2, 128), "PCG64DXSM": (2, 128)}
_KEYS = {"name", "words", "has_uint32", "uinteger"}


def dump(generator: np.random.Generator, where: str) -> dict[str, Any]:
    """The generator's state.

    Raises:
        InvalidPipeline: for a bit generator that may not travel.
    """
    bits = generator.bit_generator
    name = type(bits).__name__
    if name not in _WORDS or type(bits) is not getattr(np.random, name):
        raise InvalidPipeline(
            f"a generator on {name} cannot travel; seed with an int, or use one of {', '.join(_WORDS)}",
            where=where,
        )
    state: dict[str, Any] = dict(bits.state)
    inner = state["state"]
    words = inner["state"] if name == "SFC64" else (inner["state"], inner["inc"])
    return {
        "name": name,
        "words": [int(word) for word in words],
        "has_uint32": int(state["has_uint32"]),
        "uinteger": int(state["uinteger"]),
    }


def restore(state: Any, where: str) -> np.random.Generator:
    """A new generator in this state.

    Raises:
        InvalidPipeline: for anything that :func:`dump` does not make.
    """
    if not isinstance(state, dict) or set(state) != _KEYS or state["name"] not in tuple(_WORDS):
        raise InvalidPipeline(f"expected a state of {', '.join(_WORDS)}", where=where)
    name, words = state["name"], state["words"]
    count, size = _WORDS[name]
    if not isinstance(words, list) or len(words) != count or not all(_fits(word, size) for word in words):
        raise InvalidPipeline(f"expected {count} words of {size} bits for {name}", where=where)
    if not _fits(state["has_uint32"], 1) or not _fits(state["uinteger"], 32):
        raise InvalidPipeline("expected has_uint32 of 1 bit and uinteger of 32 bits", where=where)
    bits = getattr(np.random, name)(0)
    bits.state = {
        "bit_generator": name,
        "state": (
            {"state": np.array(words, np.uint64)} if name == "SFC64" else {"state": words[0], "inc": words[1]}
        ),
        "has_uint32": state["has_uint32"],
        "uinteger": state["uinteger"],
    }
    return np.random.Generator(bits)


def _fits(word: Any, size: int) -> bool:
    return isinstance(word, int) and not isinstance(word, bool) and 0 <= word < 1 << size
