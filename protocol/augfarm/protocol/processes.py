"""How many worker processes a number asks for."""

from __future__ import annotations

import os

__all__ = ["resolve_processes"]


def resolve_processes(processes: int | None) -> int:
    """The processes that `processes` asks for: None all cores, -1 all but one, and so on, at least one.

    Source: imgaug/multicore.py, Pool.pool.

    Raises:
        ValueError: for 0 and for what is not a whole number.
    """
    if processes is not None and (
        isinstance(processes, bool) or not isinstance(processes, int) or processes == 0
    ):
        raise ValueError(f"expected processes to be None or a whole number other than 0, got {processes!r}")
    if processes is not None and processes > 0:
        return processes
    return max(1, (os.cpu_count() or 1) + (processes or 0))
