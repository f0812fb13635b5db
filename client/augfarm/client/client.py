"""The client: batches out, augmented batches in."""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from augfarm.protocol import batches as batch_forms
from augfarm.protocol import pipelines
from augfarm.protocol.errors import AugfarmError, ClosedError
from augfarm.protocol.keys import PeerKeys
from augfarm.protocol.link import check_address
from augfarm.protocol.memory import size_from_environment
from augfarm.protocol.processes import resolve_processes
from augfarm.protocol.seeds import IMGAUG_SEED_MAX, Seed, Seeding

from .answers import Answers
from .arguments import (
    ADDRESS_VARIABLE,
    KEYS_VARIABLE,
    check_arguments,
    check_call,
    checked_number,
)
from .calls import BatchIterator, Call, LoaderThread, Numbering
from .dumping import Dumper, check_folder
from .events import CallEnded, CallOpened
from .forks import Maker
from .local import LocalFarm, name_of
from .memory import SharedMemory
from .outcomes import BatchInfo, OnError, Outcome
from .posting import Poster
from .progress import Progress, length_of
from .results import AsyncResult
from .service import Service
from .session import Session

if TYPE_CHECKING:
    from .preview.making import Sheet

__all__ = ["Client"]


class Client:
    """Augments batches on a farm: one that runs somewhere, or one of its own on this machine.

    Close it when done, best by ``with``. It connects in the background: nothing here waits for the farm.

    Args:
        pipeline: an imgaug augmenter; or a path to a pipeline spec, as ``augfarm spec`` writes it; or a
            spec as a dict.
        address: the broker's client address, ``tcp://HOST:PORT`` or ``ipc://PATH``. Without it
            ``$AUGFARM_BROKER``; without that a local farm, which ends with this client however that ends.
        processes: asks for a local farm, with so many workers: None all cores, -1 all but one.
        maxtasksperchild: batches after which a local worker process is replaced by a new one.
        seed: the base seed, from 0 to 2^63-1. None draws one from the system; see :attr:`seed`.
        seeding: ``"worker"``: each worker draws streams of its own, seeded by ``seed + worker_id``.
            ``"batch"``: a batch is seeded by ``seed + index``, so the output is the same for any number of
            workers, and equals that of ``imgaug.multicore.Pool(seed=seed)``.
        keys: a folder with the client's key and the broker's, as ``augfarm keys`` makes it; None uses
            ``$AUGFARM_KEYS``, and without that neither proves itself nor encrypts. Not for a local farm.
        timeout: seconds without progress, while batches wait, after which the next batch raises
            :class:`~augfarm.protocol.errors.FarmUnavailable`. None: wait for ever, with a warning after 3 s
            and then every 10 s.
        hedge: in ordered calls, have a second worker try the batch that all others wait for, when it is late:
            away for twice the median of the last answers. The first answer counts. It costs a batch more of
            work now and then, and saves waiting for a slow or frozen worker.
        isolate: look for the guilty images of a batch that failed. Where its fields match its images one to
            one, it is halved, and the halves that fail again. Each is augmented as a batch of its own, with
            the batch's number and base seed: with ``seeding="batch"`` by the batch's own seed, with
            ``"worker"`` by the one that its worker derives for that number. What is left comes as a
            :class:`PartialBatch`, whatever `on_error` is; its pixels are not those of an undisturbed run. A
            batch of which nothing is left fails whole, and so does one that cannot be cut. A guilty image
            among n costs about ``2 * log2(n)`` requests more; one that kills its workers kills
            ``--max-attempts`` for each half that it is in.
        kernels: ``"exact"``: imgaug's own code, bit for bit. ``"fast"``: the same random parameters, and for
            slow augmenters kernels of augfarm's; results differ by a few grey levels, see docs/kernels.md.
            None: what a spec says (``augfarm spec --kernels``), and exact where it says nothing.
        dump_dir: a folder to which each batch that fails for good is written, with `isolate` each guilty
            image, as ``batch-000012.augdump``; its error ends with the command that runs it again. At most
            100 files for each client. They hold the images.

    Raises:
        ValueError: for an argument that makes no sense, an address together with `processes`, or a key file
            that is missing or can be read by others.
        InvalidPipeline: for a pipeline that cannot travel; it says where in the pipeline, and what to do.
        FarmUnavailable: for a local farm where imgaug is not installed.

    Attributes:
        seed: the base seed in use.
        seeding: as given.
        kernels: what augments.
    """

    def __init__(
        self,
        pipeline: Any,
        address: str | None = None,
        *,
        processes: int | None = None,
        maxtasksperchild: int | None = None,
        seed: int | None = None,
        seeding: Seeding = "worker",
        keys: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        hedge: bool = True,
        isolate: bool = False,
        dump_dir: str | os.PathLike[str] | None = None,
        kernels: pipelines.Kernels | None = None,
    ) -> None:
        check_arguments(address, processes, maxtasksperchild, seed, seeding, timeout)
        if address is None and processes is None:
            address = os.environ.get(ADDRESS_VARIABLE) or None
        if address is not None and maxtasksperchild is not None:
            raise ValueError("maxtasksperchild is for a local farm; give it to `augfarm worker` on this one")

        folder = None if dump_dir is None else check_folder(dump_dir)
        if address is None and keys is not None:
            raise ValueError("keys are for a farm at an address; a local farm's sockets are private")
        if address is not None and keys is None:
            keys = os.environ.get(KEYS_VARIABLE) or None

        self.seed: int = secrets.randbelow(IMGAUG_SEED_MAX) if seed is None else int(seed)
        self.seeding: Seeding = seeding
        self._spec = pipelines.load(pipeline, kernels)
        self._digest = pipelines.digest(self._spec)
        self.kernels: pipelines.Kernels = pipelines.kernels_of(self._spec)
        self._maker = Maker()
        self._hedge, self._keys, self._timeout = bool(hedge), keys, timeout
        self._closed = False
        self._numbering = Numbering()
        #: What the caller sees of a batch's error; Pool changes it.
        self._error_to_raise: Callable[[AugfarmError], BaseException] = lambda error: error
        self._call_numbers = itertools.count()
        self._request_numbers = itertools.count()
        self._results: weakref.WeakSet[AsyncResult] = weakref.WeakSet()
        # An augmenter of this very process is trusted with the modules that it comes from; a spec is not.
        live = not isinstance(pipeline, (str, os.PathLike, dict, bytes))
        self._imports = pipelines.imports(self._spec) if live else ()
        memory = SharedMemory(size_from_environment())
        farm: LocalFarm | None = None
        if address is None:
            farm = LocalFarm(resolve_processes(processes), maxtasksperchild, self._imports)
            address = farm.address
        self.address: str = check_address(address)
        session = Session(
            base_seed=self.seed, seeding=seeding, address=name_of(self.address), timeout=timeout
        )
        self._farm = farm
        self._dump: Callable[[Outcome], None] = lambda outcome: None
        try:
            self._service = service = Service(
                self.address,
                session,
                {self._digest: self._spec},
                answers=Answers(
                    base_seed=self.seed,
                    seeding=seeding,
                    requests=self._request_numbers,
                    read=memory.read,
                    isolate=isolate,
                    keep_failures=folder is not None,
                ),
                memory=memory,
                keeper=farm,
                keys=None if keys is None else PeerKeys.load(keys, "client"),
            )
            if folder is not None:
                self._dump = Dumper(folder, self._spec, lambda: service.environments)
            self._service.start()
            self._finalizer = weakref.finalize(self, self._service.stop)
        except BaseException:  # no more threads, or Ctrl-C: nobody else could stop the farm
            if farm is not None:
                farm.stop()
            raise

    @property
    def workers(self) -> int:
        """How many workers the farm has, as far as the broker has told; 0 before it has."""
        return self._service.workers

    # --- calls ---------------------------------------------------------------------------------------------

    def imap_batches(
        self,
        batches: Iterable[Any],
        output_buffer_size: int | None = None,
        *,
        start: int | None = None,
        on_error: OnError = "raise",
        with_info: bool = False,
        progress: bool = False,
        number: Callable[[Any], int] | None = None,
    ) -> BatchIterator:
        """Augment batches as they come, in order.

        Iterate over the result; loading begins at the first ``next()``. Each batch comes back in the form in
        which it was given, in new arrays that are the caller's own.

        Args:
            batches: any iterable, also an endless one. A batch is an imgaug ``UnnormalizedBatch`` or
                ``Batch``; an array (N,H,W,C) or (N,H,W); a list of images (H,W,C) or (H,W) of any sizes; or
                a dict with imgaug's field names (images, heatmaps, segmentation_maps, keypoints,
                bounding_boxes, polygons, line_strings) and keys of the caller's own. An image may also be
                the bytes of an encoded file. It is copied when it is taken, so its arrays may be reused.
            output_buffer_size: how many batches may be under way or waiting here: when the k-th batch is
                handed over, at most ``output_buffer_size + k`` have been taken from `batches`. None follows
                the broker's advice: enough to keep the farm busy, at most 256.
            start: the number of the first batch; later ones and later calls count on from there. None: go on
                counting, over the client's lifetime.
            on_error: for a batch that has no result: ``"raise"`` its error, ``"skip"`` the batch, or
                ``"return"`` a :class:`FailedBatch` in its place.
            with_info: give pairs ``(batch, BatchInfo)``.
            progress: show a progress bar on standard error.
            number: gives each batch's number, instead of counting. Called once for each, by the thread that
                takes batches; numbers are whole and from 0, and what it raises ends the call.

        Raises:
            ValueError: for arguments that make no sense.
            ClosedError: after close(), and in a forked child.
            From the iteration: AugmentationFailed or BatchPoisoned for a batch that has no result,
            InvalidBatch for one that cannot be sent, FarmRefused, FarmUnavailable, and whatever `batches`
            itself raises, after all batches before it.
        """
        return self._call(batches, output_buffer_size, True, start, on_error, with_info, progress, number)

    def imap_batches_unordered(
        self,
        batches: Iterable[Any],
        output_buffer_size: int | None = None,
        *,
        start: int | None = None,
        on_error: OnError = "raise",
        with_info: bool = False,
        progress: bool = False,
        number: Callable[[Any], int] | None = None,
    ) -> BatchIterator:
        """Augment batches as they come, each handed over as soon as it is done; see :meth:`imap_batches`."""
        return self._call(batches, output_buffer_size, False, start, on_error, with_info, progress, number)

    def map_batches(
        self,
        batches: Iterable[Any],
        *,
        start: int | None = None,
        on_error: OnError = "raise",
        with_info: bool = False,
        progress: bool = False,
    ) -> list[Any]:
        """Augment all batches and return them as a list, in order; see :meth:`imap_batches`."""
        return list(self._call(batches, None, True, start, on_error, with_info, progress))

    def map_batches_async(
        self,
        batches: Iterable[Any],
        callback: Callable[[list[Any]], Any] | None = None,
        error_callback: Callable[[BaseException], Any] | None = None,
    ) -> AsyncResult:
        """Augment all batches in the background; the result has ``get``, ``wait``, ``ready``, ``successful``.

        Args:
            callback: called with the list of all batches, in a thread of its own.
            error_callback: called with the exception instead, if there is one.
        """
        iterator = self._call(batches, None, True, None, "raise", False, False)
        result = AsyncResult(iterator, callback, error_callback)
        self._results.add(result)
        return result

    def empty(self, shape: int | tuple[int, ...], dtype: Any = np.uint8) -> np.ndarray[Any, Any]:
        """An array to load images into that workers of this host read where it lies, instead of a copy.

        Write it, give it in a batch, and leave it alone until that batch has come back: unlike all other
        arrays it is not copied when it is taken. Its memory is used again when nobody holds the array any
        more. Where there is none (small arrays, other systems, a full pool) it is an ordinary array.

        Args:
            shape: as for :func:`numpy.empty`.
            dtype: as for :func:`numpy.empty`; one that may travel.
        """
        self._check_usable()
        shape = (shape,) if isinstance(shape, int) else tuple(map(int, shape))
        return self._service.memory.empty(shape, np.dtype(dtype))

    def replay(self, batch: Any, info: BatchInfo | Seed) -> Any:
        """Augment one batch again as the farm did, in this process, on one core. Needs imgaug here.

        Args:
            batch: the batch as it was given to the farm.
            info: its BatchInfo (``with_info=True``), or its seed (``AugmentationFailed.seed``).

        Returns:
            The same output again, in the form of `batch`; or the same exception again.
        """
        from augfarm.protocol.augment import Recipe

        seed = info.seed if isinstance(info, BatchInfo) else info
        if not isinstance(seed, Seed):
            raise ValueError(f"expected a BatchInfo with a seed, or a Seed, got {info!r}")
        packed = batch_forms.pack(batch, seed.index)
        recipe = Recipe(self._spec, allow_imports=self._imports)
        return packed.keep.restore(recipe.augment(packed.tree, seed))

    def preview(
        self,
        batch: Any,
        variants: int = 8,
        *,
        seed: int | None = None,
        images: int = 4,
        each: bool = False,
        width: int = 1600,
    ) -> Sheet:
        """A contact sheet of what the pipeline does to a batch, an array (H,W,3) of uint8. Needs Pillow here.

        As the last line of a notebook's cell it shows itself; ``.save("sheet.png")`` writes it.

        Args:
            batch: with images, in any form that :meth:`imap_batches` takes; annotations are drawn.
            variants: how many; seed K is what ``Client(pipeline, seed=K, seeding="batch")`` makes first.
            seed: show the variant of this seed alone, large, with its keypoints numbered.
            images: how many of the batch's images to show.
            each: show every augmenter of the pipeline by itself, too.
            width: of the sheet, in pixels, about.
        """
        from .preview.making import preview

        self._check_usable()
        return preview(self, batch, variants, seed, images, each, width)

    # --- the end -------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Wait for results of map_batches_async, then leave the farm. Open iterators raise ClosedError.

        It waits as long as those take: for ever, if one was given an endless iterable; :meth:`terminate` does
        not. Called from such an iterable, or from a callback, it does not wait for itself.
        """
        try:
            if self._maker.is_here() and not self._closed:
                self._closed = True
                if not isinstance(threading.current_thread(), LoaderThread):
                    for result in list(self._results):
                        result.join()
        finally:  # Ctrl-C cuts the wait short, and leaves no farm behind
            self._finalizer()

    def terminate(self) -> None:
        """Leave the farm at once; everything under way raises ClosedError."""
        self._closed = True
        self._finalizer()

    def join(self) -> None:
        """After close() or terminate(): both have waited already, so this returns at once.

        Raises:
            ValueError: before them, as multiprocessing.Pool does.
        """
        if not self._closed:
            raise ValueError("the client is still open: close() or terminate() it before join()")

    def __enter__(self) -> Client:
        self._check_usable()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self.terminate()

    def __repr__(self) -> str:
        where = f"{self._farm.processes} local processes" if self._farm else self.address
        return f"<augfarm.client.Client on {where}, seed={self.seed}, seeding={self.seeding!r}>"

    # --- inside --------------------------------------------------------------------------------------------

    def _call(
        self,
        batches: Iterable[Any],
        buffer: int | None,
        ordered: bool,
        start: int | None,
        on_error: OnError,
        with_info: bool,
        progress: bool,
        number_of: Callable[[Any], int] | None = None,
    ) -> BatchIterator:
        self._check_usable()
        check_call(batches, buffer, on_error, start)
        if start is not None:
            self._numbering = Numbering(int(start))
        take = self._numbering.take if number_of is None else checked_number(number_of)
        number = next(self._call_numbers)
        call = Call(number, ordered=ordered, buffer=buffer, advice=self._service.advice)
        poster = Poster(call, self._service, take, self._request_numbers, self._digest)
        bar = Progress(length_of(batches)) if progress else None
        service, hedge = self._service, self._hedge and ordered

        def begin() -> None:
            service.post(CallOpened(number, hedge=hedge), call)
            LoaderThread(batches, call, poster).start()

        return BatchIterator(
            self,
            call,
            begin,
            lambda: service.post(CallEnded(number)),
            on_error=on_error,
            with_info=with_info,
            progress=bar,
            error_to_raise=self._error_to_raise,
            dump=self._dump,
            kernels=self.kernels,
        )

    def _check_usable(self) -> None:
        self._maker.check()
        if self._closed:
            raise ClosedError("the client is closed: make another one")
