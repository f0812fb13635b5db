"""What may be said to a Client: the checks of its arguments. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from augfarm.protocol.seeds import SEED_MAX, SEEDINGS, Seeding

__all__ = [
    "ADDRESS_VARIABLE",
    "KEYS_VARIABLE",
    "MAX_START",
    "check_arguments",
    "check_whole",
    "checked_number",
]

#: Where `Client` looks for its broker when it is given no address.
ADDRESS_VARIABLE = "AUGFARM_BROKER"
#: And its keys.
KEYS_VARIABLE = "AUGFARM_KEYS"

#: Numbers of batches count up from `start`, and must stay numbers of the wire.
MAX_START = SEED_MAX // 2


def check_arguments(
    address: str | None,
    processes: int | None,
    maxtasksperchild: int | None,
    seed: int | None,
    seeding: Seeding,
    timeout: float | None,
) -> None:
    """Raise ValueError for arguments of Client that make no sense."""
    if address is not None and processes is not None:
        raise ValueError("give an address (a farm that runs) or processes (a local farm), not both")
    if seeding not in SEEDINGS:
        raise ValueError(f"expected seeding to be one of {', '.join(SEEDINGS)}, got {seeding!r}")
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout > 0):
        raise ValueError(f"expected timeout to be None or a number of seconds above 0, got {timeout!r}")
    if maxtasksperchild is not None:
        check_whole("maxtasksperchild", maxtasksperchild, 1)
    if seed is not None:
        check_whole("seed", seed, 0, SEED_MAX)


def check_whole(name: str, value: Any, smallest: int, largest: int | None = None) -> None:
    """Raise ValueError where the value is not a whole number in this range."""
    try:
        good = not isinstance(value, bool) and int(value) == value and value >= smallest
    except (TypeError, ValueError):
        good = False
    if not good or (largest is not None and value > largest):
        upper = "" if largest is None else f" to {largest}"
        raise ValueError(f"expected {name} to be a whole number from {smallest}{upper}, got {value!r}")


def checked_number(number_of: Callable[[Any], int]) -> Callable[[Any], int]:
    """The caller's function that numbers batches, with what it gives checked."""

    def number(batch: Any) -> int:
        index = number_of(batch)
        check_whole("a batch's number", index, 0, MAX_START)
        return int(index)

    return number
