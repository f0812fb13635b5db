"""The result of a call that runs in the background, with multiprocessing's names."""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Callable, Iterable
from typing import Any

from .forks import Maker

__all__ = ["AsyncResult"]

_logger = logging.getLogger("augfarm.client")


class AsyncResult:
    """All batches of one call, when they are there.

    Args:
        batches: iterated over at once, in a thread of its own.
        callback: called there with the list of all batches.
        error_callback: called there with the exception, if there is one.
    """

    def __init__(
        self,
        batches: Iterable[Any],
        callback: Callable[[list[Any]], Any] | None = None,
        error_callback: Callable[[BaseException], Any] | None = None,
    ) -> None:
        self._maker = Maker()
        self._done = threading.Event()
        self._value: list[Any] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, args=(batches, callback, error_callback), name="augfarm-map", daemon=True
        )
        self._thread.start()

    def _run(
        self,
        batches: Iterable[Any],
        callback: Callable[[list[Any]], Any] | None,
        error_callback: Callable[[BaseException], Any] | None,
    ) -> None:
        try:
            self._value = list(batches)
        except BaseException as error:  # get() raises it again, in the caller's thread
            self._error = error
        try:
            if self._error is None and callback is not None:
                callback(self._value)
            elif self._error is not None and error_callback is not None:
                error_callback(self._error)
        except Exception:  # nobody could catch it: this thread is ours
            _logger.exception("augfarm: a callback of map_batches_async raised")
        finally:
            self._done.set()

    def ready(self) -> bool:
        """Whether the call is complete."""
        return self._done.is_set()

    def successful(self) -> bool:
        """Whether it is complete without an exception.

        Raises:
            ValueError: if it is not complete.
        """
        if not self._done.is_set():
            raise ValueError("not ready yet: wait() first")
        return self._error is None

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it is complete, or for `timeout` seconds.

        Raises:
            ClosedError: in a forked child, where it never will be.
        """
        self._wait(timeout)

    def _wait(self, timeout: float | None) -> bool:
        self._maker.check()
        # A callback may ask for the result: it is there, though not yet complete for others.
        return threading.current_thread() is self._thread or self._done.wait(timeout)

    def join(self) -> None:
        """Wait until it is complete and its callback has returned; the callback itself does not wait."""
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def get(self, timeout: float | None = None) -> list[Any]:
        """All batches, in order.

        Raises:
            multiprocessing.TimeoutError: if it is not complete within `timeout` seconds.
            ClosedError: in a forked child.
            Whatever the call raised.
        """
        if not self._wait(timeout):
            raise multiprocessing.TimeoutError
        if self._error is not None:
            raise self._error
        return self._value
