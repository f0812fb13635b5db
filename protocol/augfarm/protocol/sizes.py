"""Sizes in bytes as people write them."""

from __future__ import annotations

import re

__all__ = ["parse_bytes"]

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """A size such as "2GiB", "512 MiB" or "1000000" in bytes. Units are powers of 1024, i or no i.

    Raises:
        ValueError: for anything else, and for sizes below 1 byte.
    """
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
    if size < 1:
        raise ValueError(f"expected a size such as 2GiB, 512MiB or a number of bytes, got {text!r}")
    return size
