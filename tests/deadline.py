"""What hangs fails with all stacks, instead of holding up the tests."""

from __future__ import annotations

import faulthandler
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import pytest

from farms import PATIENCE

__all__ = ["DEADLINE", "Task", "in_time"]

#: What hangs does so for ever: after so many seconds, whatever else the machine has to do, it is said to.
DEADLINE = 3 * PATIENCE


class Task:
    """A function in a thread of its own; :meth:`result` fails with all stacks where it does not end."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._outcome: tuple[Any, BaseException | None] | None = None
        self._thread = threading.Thread(target=self._run, args=(function,), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[[], Any]) -> None:
        try:
            self._outcome = (function(), None)
        except BaseException as error:
            self._outcome = (None, error)

    def result(self) -> Any:
        """What the function gave, or raised."""
        self._thread.join(DEADLINE)
        if self._outcome is None:
            with tempfile.TemporaryFile("w+") as stacks:
                faulthandler.dump_traceback(stacks, all_threads=True)
                stacks.seek(0)
                pytest.fail(f"it hangs:\n{stacks.read()}")
        value, error = self._outcome
        if error is not None:
            raise error
        return value


def in_time(function: Callable[[], Any]) -> Any:
    """What `function` gives or raises, unless it hangs."""
    return Task(function).result()
