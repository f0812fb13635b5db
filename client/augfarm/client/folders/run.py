"""A run from its beginning to its end: the farm, the loop, what is said of it."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from augfarm.protocol import pipelines
from augfarm.protocol.errors import AugfarmError

from ..client import Client
from .annotations.form import Form
from .failures import report_of
from .job import Job, Order
from .listing import count_images
from .manifest import Manifest
from .names import shown
from .places import Places
from .rate import in_words
from .view import View
from .writing import Writer

__all__ = ["EXIT_FAILED", "EXIT_STOPPED", "Farm", "run"]

#: What `augfarm run` exits with besides 0: some images failed; stopped by Ctrl-C or SIGTERM.
EXIT_FAILED, EXIT_STOPPED = 1, 130


@dataclass(frozen=True)
class Farm:
    """Where to augment, as :class:`Client` has it."""

    broker: str | None = None
    processes: int | None = None
    keys: str | None = None
    kernels: pipelines.Kernels | None = None


def run(
    pipeline: Any,
    places: Places,
    order: Order,
    farm: Farm,
    *,
    seed: int | None,
    resume: bool,
    forms: Sequence[Form] = (),
    forms_settings: dict[str, Any] | None = None,
) -> int:
    """Augment a folder.

    Args:
        pipeline: as Client takes it.
        seed: None: that of the run that is resumed, or one that is drawn.
        resume: go on with a run that DST holds.
        forms: of annotations; `forms_settings` says in plain data what decides about them.

    Returns:
        The code to exit with.

    Raises:
        ValueError: for what cannot be done; nothing is lost then.
        AugfarmError: where the farm cannot be used.
    """
    settings = {
        "pipeline": pipelines.digest(pipelines.load(pipeline, farm.kernels)).hex(),
        "seed": seed,
        "copies": order.copies,
        "batch_size": order.batch_size,
        "format": order.format,
        "quality": order.quality,
        "rgb": order.rgb,
        "annotations": forms_settings or {},
    }
    manifest = Manifest(places.manifest, settings, resume=resume)
    try:
        writer = Writer(places.dst, places.aside)
        job = Job(order, manifest, writer, forms)
        seed = manifest.settings["seed"]
        print(
            f"seed {seed}, {order.copies} cop{'y' if order.copies == 1 else 'ies'} of each image",
            file=sys.stderr,
        )
        began = time.monotonic()
        try:
            ending = _work(job, pipeline, farm, seed, order)
            if ending.complete:
                job.finish()
        finally:
            writer.close()
        return _tell(job, ending, places, order, time.monotonic() - began)
    finally:
        manifest.close()


@dataclass
class _Ending:
    complete: bool = False
    #: Copies per second, from the first result on.
    rate: float = 0.0
    #: What workers spent on them, and what they had, in seconds: from the first result on.
    augmenting: float = 0.0
    available: float = 0.0


def _work(job: Job, pipeline: Any, farm: Farm, seed: int, order: Order) -> _Ending:
    ending = _Ending()
    view = View()
    counting = _Counting(order, view)
    try:
        with (
            _stoppable(),
            Client(
                pipeline,
                farm.broker,
                processes=farm.processes,
                keys=farm.keys,
                seed=seed,
                seeding="batch",
                isolate=True,
                kernels=farm.kernels,
            ) as client,
            contextlib.closing(
                client.imap_batches_unordered(
                    job.batches(), on_error="return", with_info=True, number=job.number
                )
            ) as results,
        ):
            before, last = 0, time.monotonic()
            for result, info in results:
                steps = [job.take(result), *job.take_empty()]
                now = time.monotonic()
                if ending.available or ending.augmenting:  # the first one waited for the farm to start
                    ending.available += (now - last) * client.workers
                ending.augmenting += info.seconds_augmenting
                last = now
                view.skip(job.done_before - before)
                before = job.done_before
                for step in steps:
                    view.advance(step.copies, failed=step.failed, workers=client.workers)
            job.take_empty()
            ending.complete = True
    except KeyboardInterrupt:
        pass
    except AugfarmError:  # some of which are OSErrors too
        raise
    except OSError as error:
        raise ValueError(
            f"cannot write {shown(str(error.filename or 'DST'))}: {error.strerror or error}. "
            "What is done is whole; the same command with --resume goes on"
        ) from None
    finally:
        counting.stop()
        view.close()
        ending.rate = view.overall()
    return ending


class _Counting:
    """Counts the images of SRC in a thread of its own, so that nothing waits for it."""

    def __init__(self, order: Order, view: View) -> None:
        self._stopped = threading.Event()

        def count() -> None:
            found = count_images(order.src, order.left_out, stopped=self._stopped.is_set)
            if found is not None:
                view.total = found * order.copies

        self._thread = threading.Thread(target=count, name="augfarm-count", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM is Ctrl-C inside."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(job: Job, ending: _Ending, places: Places, order: Order, seconds: float) -> int:
    written = job.written + job.written_before
    facts = {
        "complete": ending.complete,
        "written": written,
        "images_failed": len(job.failures),
        "seconds": round(seconds, 3),
        "images_per_second": round(ending.rate, 3),
        "seconds_augmenting": round(ending.augmenting, 3),
        "worker_seconds": round(ending.available, 3),
    }
    places.report.write_bytes(report_of(job.failures, facts))
    earlier = f" ({job.written_before} of them before)" if job.written_before else ""
    say: Callable[[str], None] = print
    say(
        f"{written} image{'' if written == 1 else 's'} in {shown(str(places.dst))}{earlier}, "
        + in_words(seconds)
        + (f", {ending.rate:.1f} images/s" if ending.rate else "")
    )
    if job.failures:
        say(f"{len(job.failures)} failed:")
        for line in job.failures.lines(order.copies):
            say(f"  {line}")
        say(f"All are in {shown(str(places.report))}")
    if not ending.complete:
        say("Stopped before the end. The same command with --resume goes on.")
        return EXIT_STOPPED
    if not written and not job.failures:
        say("No images there. Files are known by their names: .jpg .jpeg .png .webp .tif .tiff .bmp")
    return EXIT_FAILED if job.failures else 0
