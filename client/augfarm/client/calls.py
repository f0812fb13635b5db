"""One call of `imap_batches`: what loader, link and caller share, and the iterator that the caller holds.

Three threads meet in a :class:`Call`: the loader acquires credit, takes a batch from the caller's iterable
and posts it; the link adds its outcome; the caller takes outcomes in their order. Credit is one batch of
`output_buffer_size`: acquired before a batch is taken, released when one is handed over.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from augfarm.protocol.errors import AugfarmError, FarmRefused, FarmUnavailable
from augfarm.protocol.pipelines import Kernels

from .forks import Maker
from .ordering import Reorder
from .outcomes import FailedBatch, OnError, Outcome
from .progress import Progress

__all__ = ["BatchIterator", "Call", "LoaderThread", "Numbering", "load"]


class Numbering:
    """Numbers for batches, counting up from `start`; shared by all calls that go on counting."""

    def __init__(self, start: int = 0) -> None:
        self._next = start
        self._lock = threading.Lock()

    def take(self, batch: object = None) -> int:
        """The next number, once; whatever the batch."""
        with self._lock:
            number = self._next
            self._next += 1
        return number


class Call:
    """What the three threads share about one call.

    Args:
        number: the call's number at the broker.
        ordered: hand batches out in the order in which they were taken.
        buffer: output_buffer_size; None follows the broker's advice.
        advice: the broker's advice so far.
    """

    def __init__(self, number: int, *, ordered: bool, buffer: int | None, advice: int) -> None:
        self.number = number
        self.maker = Maker()
        self._lock = threading.RLock()
        #: The caller waits for news, the loader for room: what concerns one does not wake the other.
        self._news = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._follows_advice = buffer is None
        self._limit = advice if buffer is None else buffer
        self._reorder: Reorder[Outcome] = Reorder(ordered=ordered)
        self._taken = 0
        self._handed_over = 0
        self._closed = False
        self._source_ended = False
        self._source_error: BaseException | None = None
        self._fatal: BaseException | None = None
        self._unavailable: FarmUnavailable | None = None

    # --- the loader's side ---------------------------------------------------------------------------------

    def acquire(self) -> bool:
        """Wait for credit for one batch. False: the call is over, take nothing more."""
        with self._lock:
            self._room.wait_for(lambda: self._closed or self._taken - self._handed_over < self._limit)
            return not self._closed

    def took(self) -> int:
        """A batch was taken; returns its position in this call, from 0."""
        with self._lock:
            self._taken += 1
            return self._taken - 1

    def source_over(self, error: BaseException | None = None) -> None:
        """The iterable is exhausted, or raised `error`."""
        with self._lock:
            self._source_ended, self._source_error = True, error
            self._news.notify_all()

    # --- the link's side -----------------------------------------------------------------------------------

    def add(self, position: int, outcome: Outcome) -> None:
        """The outcome of the batch at this position."""
        with self._lock:
            self._unavailable = None
            self._reorder.add(position, outcome)
            if self._reorder.ready():
                self._news.notify_all()

    def follow(self, advice: int) -> None:
        """Take the broker's advice, if this call set no buffer size."""
        with self._lock:
            if self._follows_advice:
                self._limit = max(1, advice)
                self._room.notify_all()

    def interrupt(self, error: FarmUnavailable) -> None:
        """Let the caller see `error` once; the call itself goes on."""
        with self._lock:
            self._unavailable = error
            self._news.notify_all()

    def resume(self) -> None:
        """The farm works again: an interruption that nobody has seen is none."""
        if self._unavailable is not None:
            with self._lock:
                self._unavailable = None

    def fail(self, error: BaseException) -> None:
        """End the call: the caller sees `error` after what is ready."""
        with self._lock:
            self._fatal, self._closed = error, True
            self._wake_all()

    # --- the caller's side ---------------------------------------------------------------------------------

    def next_outcome(self) -> Outcome:
        """Wait for the next outcome and release its credit.

        Raises:
            StopIteration: all batches were handed over.
            ClosedError: in a forked child.
        """
        self.maker.check()
        with self._lock:
            self._news.wait_for(self._has_news)
            if self._reorder.ready():
                self._handed_over += 1
                self._room.notify_all()
                if self._source_ended:  # another thread may wait for the last one to be handed over
                    self._news.notify_all()
                return self._reorder.take()
            if self._fatal is not None:
                raise self._fatal
            if self._unavailable is not None:
                error, self._unavailable = self._unavailable, None
                raise error
            self._closed = True
            if self._source_error is not None:
                raise self._source_error
            raise StopIteration

    def _has_news(self) -> bool:
        complete = self._source_ended and self._taken == self._handed_over
        return (
            self._reorder.ready()
            or complete
            or self._fatal is not None
            or self._unavailable is not None
            or self._closed
        )

    def close(self) -> None:
        """Nothing more is wanted; the loader stops before it takes another batch."""
        with self._lock:
            self._closed = True
            self._wake_all()

    def _wake_all(self) -> None:
        self._news.notify_all()
        self._room.notify_all()


class BatchIterator(Iterator[Any]):
    """The batches of one call, as the farm gives them back. Starts to load at the first ``next()``.

    Leave it at any time: by ``break``, :meth:`close`, ``with``, or by dropping it; what is under way is
    cancelled, and nothing more is taken from the iterable than already was.

    Args:
        client: kept alive as long as the iterator is.
        start: opens the call and starts its loader.
        end: ends it; called once.
        error_to_raise: what to raise for a batch's error.
        dump: writes what failed of an outcome to files; here, so that the link never waits for a disk.
    """

    def __init__(
        self,
        client: object,
        call: Call,
        start: Callable[[], None],
        end: Callable[[], None],
        *,
        on_error: OnError,
        with_info: bool,
        progress: Progress | None,
        error_to_raise: Callable[[AugfarmError], BaseException] = lambda error: error,
        dump: Callable[[Outcome], None] = lambda outcome: None,
        kernels: Kernels = "exact",
    ) -> None:
        self._client = client
        self._call = call
        self._start: Callable[[], None] | None = start
        self._starting = threading.Lock()
        self._on_error = on_error
        self._with_info = with_info
        self._progress = progress
        self._error_to_raise = error_to_raise
        self._dump = dump
        self._kernels = kernels
        self._finalizer = weakref.finalize(self, _finish, call, end, progress)

    def __iter__(self) -> BatchIterator:
        return self

    def __next__(self) -> Any:
        if self._start is not None:
            self._call.maker.check()
            self._begin()
        if not self._finalizer.alive:
            raise StopIteration
        try:
            while True:
                outcome = self._call.next_outcome()
                self._dump(outcome)
                if self._progress is not None:
                    self._progress.advance(outcome)
                if isinstance(outcome.error, FarmRefused) or (outcome.error and self._on_error == "raise"):
                    raise self._error_to_raise(outcome.error)
                if outcome.error is None or self._on_error == "return":
                    return self._present(outcome)
        except FarmUnavailable:
            raise  # nothing is lost: the next next() goes on waiting
        except BaseException as error:
            if not isinstance(error, KeyboardInterrupt):
                self.close()
            raise

    def close(self) -> None:
        """Cancel what is under way. The iterator is exhausted then."""
        self._start = None
        self._finalizer()

    def __enter__(self) -> BatchIterator:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _begin(self) -> None:
        """Start, once, whichever thread comes first. Half started, the call would wait for ever."""
        with self._starting:
            if self._start is None:
                return
            try:
                self._start()
                self._start = None
            except BaseException:  # no more threads, or Ctrl-C
                self.close()
                raise

    def _present(self, outcome: Outcome) -> Any:
        batch = outcome.batch
        if outcome.error is not None:
            batch = FailedBatch(outcome.index, outcome.error, outcome.batch)
        return (batch, outcome.info(time.monotonic(), self._kernels)) if self._with_info else batch


def _finish(call: Call, end: Callable[[], None], progress: Progress | None) -> None:
    """Must know nothing of the iterator, so that dropping it is enough to end the call."""
    if not call.maker.is_here():
        return
    call.close()
    end()
    if progress is not None:
        progress.close()


class LoaderThread(threading.Thread):
    """Runs :func:`load` for one call."""

    def __init__(self, source: Iterable[Any], call: Call, post: Callable[[Any, int], None]) -> None:
        super().__init__(
            target=load, args=(source, call, post), name=f"augfarm-loader-{call.number}", daemon=True
        )


def load(source: Iterable[Any], call: Call, post: Callable[[Any, int], None]) -> None:
    """The loader's loop: take batches from `source` as credit allows, and `post` each with its position."""
    try:
        iterator = iter(source)
        while call.acquire():
            try:
                batch = next(iterator)
            except StopIteration:
                break
            _post(post, batch, call)
            del batch
    except BaseException as error:  # the caller's own: it is raised again where the caller can see it
        call.source_over(_raisable(error))
    else:
        call.source_over()


def _post(post: Callable[[Any, int], None], batch: Any, call: Call) -> None:
    position = call.took()
    try:
        post(batch, position)
    except BaseException as error:  # no outcome will come for this position, so the call must not wait for it
        call.fail(_raisable(error))


def _raisable(error: BaseException) -> BaseException:
    """The error as an iterator may raise it: a StopIteration would look like the end (PEP 479)."""
    if not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError("taking a batch raised StopIteration outside of its iterator's end")
    wrapped.__cause__ = error
    return wrapped
