"""What the fields of commands admit: each makes a dataclass field that carries its rule. Pure.

A rule is checked when a command is decoded (:func:`.messages.decode`), never when it is made: our own values
are right already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import limits
from .seeds import SEED_MAX

__all__ = [
    "Rule",
    "either",
    "environment",
    "environments",
    "is_int",
    "octets",
    "one_of",
    "plain_map",
    "receipts",
    "seconds",
    "text",
    "whole",
]

Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Rule:
    expected: str
    check: Check
    #: Turns what msgpack gives into what the field holds.
    convert: Callable[[Any], Any] | None = None


def is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def whole(largest: int = SEED_MAX) -> Any:
    """A whole number from 0."""
    return _ruled(Rule(f"a whole number from 0 to {largest}", lambda v: is_int(v) and 0 <= v <= largest))


def seconds() -> Any:
    """A time in seconds, from 0, whole or not."""
    return _ruled(
        Rule(
            "a number of seconds from 0",
            lambda v: (is_int(v) and 0 <= v < 2**53) or (isinstance(v, float) and 0.0 <= v < float("inf")),
            convert=float,
        )
    )


def text(longest: int = limits.MAX_TEXT_LENGTH) -> Any:
    """Text, of so many characters at the most."""
    return _ruled(
        Rule(f"text of at most {longest} characters", lambda v: isinstance(v, str) and len(v) <= longest)
    )


def one_of(words: tuple[str, ...]) -> Any:
    """One of these words."""
    return _ruled(Rule("one of " + ", ".join(words), lambda v: isinstance(v, str) and v in words))


def either() -> Any:
    """True or False; False where we say nothing."""
    return field(default=False, metadata={"rule": Rule("true or false", lambda v: isinstance(v, bool))})


def octets(length: int) -> Any:
    """So many bytes."""
    return _ruled(Rule(f"{length} bytes", lambda v: isinstance(v, bytes) and len(v) == length))


def receipts() -> Any:
    """A list of receipts."""
    most = limits.MAX_RECEIPTS_PER_MESSAGE
    return _ruled(
        Rule(
            f"1 to {most} receipts",
            lambda v: (
                isinstance(v, (list, tuple))
                and 1 <= len(v) <= most
                and all(is_int(r) and 0 <= r <= SEED_MAX for r in v)
            ),
            convert=tuple,
        )
    )


def _is_environment(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= limits.MAX_ENVIRONMENT_ITEMS
        and all(isinstance(k, str) and isinstance(v, str) for k, v in value.items())
        and sum(len(k) + len(v) for k, v in value.items()) <= 4096
    )


def environment() -> Any:
    """A map in which a worker describes itself."""
    return _ruled(Rule("a map of at most 32 short texts", _is_environment))


def environments() -> Any:
    """A list of such maps."""
    return _ruled(
        Rule(
            "at most 16 maps of short texts",
            lambda v: isinstance(v, (list, tuple)) and len(v) <= 16 and all(_is_environment(e) for e in v),
            convert=tuple,
        )
    )


def plain_map() -> Any:
    """A map of plain values."""
    return _ruled(Rule("a map", lambda v: isinstance(v, dict)))


def _ruled(rule: Rule) -> Any:
    return field(metadata={"rule": rule})
