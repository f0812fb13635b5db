"""imgaug.multicore.Pool, name for name, on a local farm or on a remote one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from augfarm.protocol.seeds import IMGAUG_SEED_MAX

from .calls import BatchIterator, Numbering
from .client import Client
from .local import resolve_processes
from .results import AsyncResult

__all__ = ["Pool"]


class Pool:
    """Stands in for ``imgaug.multicore.Pool``: the same arguments, the same bytes for the same seed.

    Where imgaug's hangs (a worker that dies, a loop that is left, a small buffer) this one goes on or says
    why not. Batches may be any iterable, not only lists and generators.

    Args:
        augseq: the augmenter.
        processes: None all cores, -1 all but one, and so on, at least one.
        maxtasksperchild: batches after which a worker process is replaced, or None.
        seed: from 0 to 2^31-1; batch i is seeded by ``seed + i`` over the pool's lifetime. None draws one.

    Raises:
        ValueError: for arguments outside these ranges (imgaug: AssertionError).
    """

    def __init__(
        self,
        augseq: Any,
        processes: int | None = None,
        maxtasksperchild: int | None = None,
        seed: int | None = None,
    ) -> None:
        if seed is not None and not 0 <= seed <= IMGAUG_SEED_MAX:
            raise ValueError(f"expected seed to be from 0 to {IMGAUG_SEED_MAX}, got {seed!r}")
        self.augseq = augseq
        self.processes = processes
        self.maxtasksperchild = maxtasksperchild
        self.seed = seed
        self._workers = resolve_processes(processes)
        self._client: Client | None = None
        #: Batches are counted over the pool's lifetime, also when it was closed in between.
        self._numbering = Numbering()

    @property
    def pool(self) -> Any:
        """What of multiprocessing's pool imgaug itself reads: ``_processes``. Starts the farm if need be."""
        self._running()
        return SimpleNamespace(_processes=self._workers)

    def map_batches(self, batches: Iterable[Any], chunksize: int | None = None) -> list[Any]:
        """Augment all batches and return them as a list, in order. `chunksize` changes nothing here."""
        return self._running().map_batches(batches)

    def map_batches_async(
        self,
        batches: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], Any] | None = None,
        error_callback: Callable[[BaseException], Any] | None = None,
    ) -> AsyncResult:
        """Augment all batches in the background; see :meth:`Client.map_batches_async`."""
        return self._running().map_batches_async(batches, callback, error_callback)

    def imap_batches(
        self, batches: Iterable[Any], chunksize: int | None = 1, output_buffer_size: int | None = None
    ) -> BatchIterator:
        """Augment batches as they come, in order; see :meth:`Client.imap_batches`."""
        return self._running().imap_batches(batches, output_buffer_size or None)

    def imap_batches_unordered(
        self, batches: Iterable[Any], chunksize: int | None = 1, output_buffer_size: int | None = None
    ) -> BatchIterator:
        """Augment batches as they come, each handed over as soon as it is done."""
        return self._running().imap_batches_unordered(batches, output_buffer_size or None)

    def close(self) -> None:
        """Wait for results under way in the background, then stop. A later call starts new processes."""
        if self._client is not None:
            self._client.close()
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
            self._client = Client(
                self.augseq,
                processes=self._workers,
                maxtasksperchild=self.maxtasksperchild,
                seed=self.seed,
                seeding="batch",
            )
            self._client._numbering = self._numbering
        return self._client
