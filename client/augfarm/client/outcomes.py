"""What the caller gets for a batch: the batch, facts about it, or why there is none. Pure."""

from __future__ import annotations

import builtins
import contextlib
import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from augfarm.protocol.batches import FIELDS
from augfarm.protocol.codec import Buffer
from augfarm.protocol.errors import AugfarmError, AugmentationFailed, BatchPoisoned, FarmRefused
from augfarm.protocol.messages import Fail
from augfarm.protocol.pipelines import Kernels
from augfarm.protocol.seeds import Seed

__all__ = [
    "ON_ERROR",
    "BatchInfo",
    "FailedBatch",
    "Failure",
    "OnError",
    "Outcome",
    "PartialBatch",
    "error_of",
    "with_builtin_type",
]

OnError = Literal["raise", "skip", "return"]
ON_ERROR: tuple[OnError, ...] = get_args(OnError)


@dataclass(frozen=True)
class BatchInfo:
    """How one batch came about.

    Of a :class:`PartialBatch` worker and seed are None, since each of its parts had its own. Its attempts are
    those of all that was tried, its seconds the sums over the parts that it is made of, which were under way
    side by side.

    Attributes:
        index: the batch's number over the client's lifetime.
        worker_id: the worker that augmented it; None where none did.
        seed: what seeded it; with the batch and the pipeline all that ``client.replay`` needs.
        attempts: how many processes died while this batch was at work in them.
        seconds_queued: waiting for a worker, in the client and in the broker.
        seconds_wire: encoding, decoding and travelling, both ways.
        seconds_augmenting: in the augmenter.
        seconds_waiting: in the client, done, waiting for its turn and for the caller.
        kernels: what augmented it, ``"exact"`` (imgaug's own code) or ``"fast"``.
    """

    index: int
    worker_id: int | None
    seed: Seed | None
    attempts: int
    seconds_queued: float
    seconds_wire: float
    seconds_augmenting: float
    seconds_waiting: float
    kernels: Kernels = "exact"


@dataclass(frozen=True)
class FailedBatch:
    """Stands in a failed batch's place with ``on_error="return"``.

    Attributes:
        index: the batch's number.
        error: what ``on_error="raise"`` would have raised.
        batch: the batch as the generator gave it.
    """

    index: int
    error: AugfarmError
    #: Not in the repr: it may be hundreds of lines of pixels.
    batch: Any = field(repr=False)


@dataclass(frozen=True)
class PartialBatch:
    """What is left of a batch that failed, with ``Client(..., isolate=True)``; whatever `on_error` is.

    Its pixels are not those of an undisturbed run: an augmenter draws for a batch as a whole, and these
    images were in smaller ones, with the same number and base seed.

    Attributes:
        batch: the kept images with their annotations, augmented, in the form in which the batch was given: an
            array is an array where the images still agree in shape, and a list otherwise. On an imgaug batch
            the ``*_unaug`` hold the kept images alone. What is the caller's own comes back whole, for all
            images: ``data``, and a dict's other keys. Choose from it by `kept`.
        kept: the positions of these images in the batch as it was given, ascending.
        guilty: those of the images that cannot be augmented even alone, ascending. None, where the images
            merely did not go together.
        errors: for each guilty image why; its ``seed`` is what seeded the image in a batch of its own.
    """

    batch: Any = field(repr=False)
    kept: tuple[int, ...]
    guilty: tuple[int, ...]
    errors: dict[int, AugfarmError]


@dataclass(frozen=True)
class Failure:
    """All that is known of a batch, or one image of it, that failed for good; for its dump.

    Attributes:
        error: what the caller is told; the dump's name is left on it.
        answer: what the broker said.
        seed: what seeded it.
        body: the request as it was sent, in whole buffers.
        image: the position of the one image that it is, or None for a batch.
    """

    error: AugfarmError
    answer: Fail
    seed: Seed
    body: list[Buffer] = field(repr=False)
    image: int | None = None


@dataclass(frozen=True)
class Outcome:
    """A batch's end: `batch`, or `error` with the batch as it was given. Times are in seconds."""

    index: int
    batch: Any
    error: AugfarmError | None = None
    worker_id: int | None = None
    seed: Seed | None = None
    attempts: int = 0
    seconds_queued: float = 0.0
    seconds_wire: float = 0.0
    seconds_augmenting: float = 0.0
    answered_at: float = 0.0
    #: What to dump of it, where somebody wants dumps.
    failures: tuple[Failure, ...] = ()

    def info(self, now: float, kernels: Kernels = "exact") -> BatchInfo:
        """What the caller is told, at the moment of handing over."""
        return BatchInfo(
            self.index,
            self.worker_id,
            self.seed,
            self.attempts,
            self.seconds_queued,
            self.seconds_wire,
            self.seconds_augmenting,
            max(0.0, now - self.answered_at) if self.answered_at else 0.0,
            kernels,
        )


def error_of(fail: Fail, index: int, seed: Seed, image: int | None = None) -> AugfarmError:
    """The error that says what the broker or the worker said of this batch.

    Args:
        image: its position, where the batch was one image of that batch.
    """
    if fail.kind == "pipeline":
        return FarmRefused(
            f"worker {fail.worker_id} refused the pipeline: {fail.exception_text}", code="pipeline"
        )
    name = f"batch {index}" if image is None else f"image {image} of batch {index}"
    if fail.kind == "poisoned":
        text = (
            f"{name} was given up: {fail.attempts} worker processes died while augmenting it; "
            "the log of the workers says how each ended"
        )
        return BatchPoisoned(text, index=index, attempts=fail.attempts)
    said = fail.exception_text if image is None else _FIRST.sub(rf"\1[{image}]", fail.exception_text)
    what = {
        "raised": f"augmenting {name} raised {fail.exception_type}: {fail.exception_text}",
        "batch": f"worker {fail.worker_id} could not read {name}: {said}",
        "too-large": f"the result of {name} is too large: {fail.exception_text}",
    }[fail.kind]
    return AugmentationFailed(
        f"{what} (worker {fail.worker_id}, {seed})",
        index=index,
        worker_id=fail.worker_id,
        seed=seed,
        exception_type=fail.exception_type,
        exception_text=fail.exception_text,
        remote_traceback=fail.traceback,
        attempts=fail.attempts,
    )


def with_builtin_type(error: AugfarmError) -> AugfarmError:
    """The error as an instance of the worker's exception type besides, where that is one of Python's own.

    So that ``except ValueError`` goes on working for who came from ``imgaug.multicore.Pool``, which raises
    the worker's exception itself. Its attributes are those of AugmentationFailed.
    """
    if not isinstance(error, AugmentationFailed):
        return error
    kind = getattr(builtins, error.exception_type, None)
    if not isinstance(kind, type) or not issubclass(kind, Exception) or issubclass(kind, _ENDS_LOOPS):
        return error
    # Ours first, so that its text is the one that is shown; MemoryError insists on being first itself.
    for bases in ((AugmentationFailed, kind), (kind, AugmentationFailed)):
        with contextlib.suppress(TypeError):
            # What crosses processes is the plain error; the mixed class is made again there.
            body = {"__module__": __name__, "__reduce__": lambda _: (with_builtin_type, (error,))}
            both = type(AugmentationFailed.__name__, bases, body)
            # Without __init__: types such as UnicodeDecodeError insist on arguments of their own.
            mixed: AugmentationFailed = kind.__new__(both)
            mixed.args = error.args
            mixed.__dict__.update(error.__dict__)
            return mixed
    return error  # two layouts that do not go together


#: A loop would take these for its end.
_ENDS_LOOPS = (StopIteration, StopAsyncIteration)
#: How a worker names a field's only entry, which is another one of the batch that the user knows.
_FIRST = re.compile(rf"\A({'|'.join(FIELDS)})\[0\]")
