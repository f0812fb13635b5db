"""imgaug.multicore.Pool, name for name, on a local farm or on a remote one.

Source: imgaug/multicore.py, class Pool. What differs, on purpose:

- batches may be any iterable, for every method, and in every form that `Client` takes;
- without `output_buffer_size` no more is loaded than keeps the farm busy (imgaug's loads everything);
- `maxtasksperchild` counts batches (imgaug's counts chunks), and `chunksize` changes nothing;
- augmenters that were made deterministic by hand (``deterministic=True`` as an attribute) and use imgaug's
  global generator repeat themselves by a state of their own, not by that of the process that made the pool;
  ``to_deterministic()`` gives the same as in imgaug;
- a block that ends by an exception stops at once (imgaug's finishes all queued work first);
- close() and the end of ``with`` end open iterators (imgaug's give the rest);
- errors of arguments are ValueErrors besides imgaug's AssertionErrors; a batch that cannot be sent is an
  InvalidBatch, a ValueError. An exception of a class of the user's own is an AugmentationFailed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, ClassVar

from augfarm.protocol.pipelines import Kernels, check_kernels
from augfarm.protocol.processes import resolve_processes
from augfarm.protocol.seeds import IMGAUG_SEED_MAX

from .calls import BatchIterator, Numbering
from .client import Client
from .outcomes import with_builtin_type
from .results import AsyncResult

__all__ = ["InvalidArgument", "Pool"]


class InvalidArgument(ValueError, AssertionError):
    """An argument outside its range; imgaug raises AssertionError for the same."""


class Pool:
    """Stands in for ``imgaug.multicore.Pool``: the same arguments, the same bytes for the same seed.

    Where imgaug's hangs (a worker that dies, a loop that is left, a small buffer) this one goes on or says
    why not. Its processes start with the first call, or with ``with``. An augmenter's error is an
    AugmentationFailed and also an instance of the type that it had on the worker, if that is one of Python's.

    Args:
        augseq: the augmenter.
        processes: None all cores, -1 all but one, and so on, at least one.
        maxtasksperchild: batches after which a worker process is replaced, or None.
        seed: from 0 to 2^31-1; batch i is seeded by ``seed + i`` over the pool's lifetime. None draws one.
        kernels: ``"exact"`` for imgaug's own code, or ``"fast"``; see :class:`.Client`. imgaug's has none.

    Raises:
        InvalidArgument: for arguments outside these ranges.
    """

    #: The broker to use; None starts a local farm. Set by :func:`.dropin.use_for_imgaug`.
    _address: ClassVar[str | None] = None

    def __init__(
        self,
        augseq: Any,
        processes: int | None = None,
        maxtasksperchild: int | None = None,
        seed: int | None = None,
        kernels: Kernels | None = None,
    ) -> None:
        if seed is not None and not (_is_whole(seed) and 0 <= seed <= IMGAUG_SEED_MAX):
            raise InvalidArgument(
                f"Expected `seed` to be None or a whole number from 0 to {IMGAUG_SEED_MAX}, got {seed!r}"
            )
        if maxtasksperchild is not None and not (_is_whole(maxtasksperchild) and maxtasksperchild > 0):
            raise InvalidArgument(
                f"Expected `maxtasksperchild` to be None or a whole number from 1, got {maxtasksperchild!r}"
            )
        try:
            check_kernels(kernels)
            self._workers = resolve_processes(processes)
        except ValueError as error:
            raise InvalidArgument(str(error)) from None
        self.augseq = augseq
        self.processes = processes
        self.maxtasksperchild = maxtasksperchild
        self.seed = seed
        self.kernels = kernels
        self._client: Client | None = None
        #: Batches are counted over the pool's lifetime, also when it was closed in between.
        self._numbering = Numbering()

    @property
    def pool(self) -> Any:
        """What of multiprocessing's pool imgaug itself reads: ``_processes``. Starts the farm if need be."""
        self._running()
        return SimpleNamespace(_processes=self._workers)

    def map_batches(self, batches: Iterable[Any], chunksize: int | None = None) -> list[Any]:
        """Augment all batches and return them as a list, in order."""
        _check_chunksize(chunksize)
        return self._running().map_batches(batches)

    def map_batches_async(
        self,
        batches: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], Any] | None = None,
        error_callback: Callable[[BaseException], Any] | None = None,
    ) -> AsyncResult:
        """Augment all batches in the background; see :meth:`Client.map_batches_async`."""
        _check_chunksize(chunksize)
        return self._running().map_batches_async(batches, callback, error_callback)

    def imap_batches(
        self, batches: Iterable[Any], chunksize: int | None = 1, output_buffer_size: int | None = None
    ) -> BatchIterator:
        """Augment batches as they come, in order; see :meth:`Client.imap_batches`."""
        _check_chunksize(chunksize)
        buffer = _buffer(output_buffer_size)
        return self._running().imap_batches(batches, buffer)

    def imap_batches_unordered(
        self, batches: Iterable[Any], chunksize: int | None = 1, output_buffer_size: int | None = None
    ) -> BatchIterator:
        """Augment batches as they come, each handed over as soon as it is done."""
        _check_chunksize(chunksize)
        buffer = _buffer(output_buffer_size)
        return self._running().imap_batches_unordered(batches, buffer)

    def close(self) -> None:
        """Wait for results under way in the background, then stop. A later call starts new processes."""
        if self._client is not None:
            try:
                self._client.close()
            finally:
                self._client = None

    def terminate(self) -> None:
        """Stop at once. A later call starts new processes."""
        if self._client is not None:
            self._client.terminate()
            self._client = None

    def join(self) -> None:
        """After close() or terminate(): they have waited already.

        Raises:
            ValueError: while the pool is running.
        """
        if self._client is not None:
            raise ValueError("Pool is still running")

    def __enter__(self) -> Pool:
        self._running()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self.terminate()

    def _running(self) -> Client:
        if self._client is None:
            remote = self._address is not None
            self._client = Client(
                self.augseq,
                self._address,
                processes=None if remote else self._workers,
                maxtasksperchild=None if remote else self.maxtasksperchild,
                seed=None if self.seed is None else int(self.seed),
                seeding="batch",
                kernels=self.kernels,
            )
            self._client._numbering = self._numbering
            self._client._error_to_raise = with_builtin_type
        return self._client


def _is_whole(value: Any) -> bool:
    """Whether it is a whole number: Python's, or numpy's, which callers often have."""
    try:
        return not isinstance(value, bool) and value.__index__() == value
    except (AttributeError, TypeError):
        return False


def _check_chunksize(chunksize: int | None) -> None:
    if chunksize is not None and not (_is_whole(chunksize) and chunksize > 0):
        raise InvalidArgument(f"Expected `chunksize` to be None or a whole number from 1, got {chunksize!r}")


def _buffer(size: int | None) -> int | None:
    """imgaug takes 0 for None."""
    if size is not None and not (_is_whole(size) and size >= 0):
        raise InvalidArgument(f"Expected buffer size to be greater than zero, got {size!r}")
    return size or None
