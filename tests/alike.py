"""Whether two values are the same to the bit, in type, dtype, shape and nesting too."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

__all__ = ["assert_same"]


def assert_same(got: Any, expected: Any, where: str = "batch") -> None:
    """Raise AssertionError, with the place, where two values differ in anything that a user could see."""
    assert type(got) is type(expected), f"{where}: {type(got)} is not {type(expected)}"
    if isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype, f"{where}: {got.dtype} is not {expected.dtype}"
        assert got.shape == expected.shape, f"{where}: {got.shape} is not {expected.shape}"
        assert got.tobytes() == expected.tobytes(), f"{where}: {np.sum(got != expected)} values differ"
    elif isinstance(expected, (list, tuple, deque)):
        assert len(got) == len(expected), where
        for position, (mine, theirs) in enumerate(zip(got, expected, strict=True)):
            assert_same(mine, theirs, f"{where}[{position}]")
    elif isinstance(expected, dict):
        assert list(got) == list(expected), where
        for key in expected:
            assert_same(got[key], expected[key], f"{where}[{key!r}]")
    elif type(expected).__module__.startswith("imgaug"):
        assert_same(dict(sorted(vars(got).items())), dict(sorted(vars(expected).items())), where)
    else:
        np.testing.assert_equal(got, expected, err_msg=where)
