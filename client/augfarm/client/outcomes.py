"""What the caller gets for a batch: the batch, facts about it, or why there is none. Pure."""

from __future__ import annotations

import builtins
import contextlib
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from augfarm.protocol.errors import AugfarmError, AugmentationFailed, BatchPoisoned, FarmRefused
from augfarm.protocol.messages import Fail
from augfarm.protocol.seeds import Seed

__all__ = ["ON_ERROR", "BatchInfo", "FailedBatch", "OnError", "Outcome", "error_of", "with_builtin_type"]

OnError = Literal["raise", "skip", "return"]
ON_ERROR: tuple[OnError, ...] = get_args(OnError)


@dataclass(frozen=True)
class BatchInfo:
    """How one batch came about.

    Attributes:
        index: the batch's number over the client's lifetime.
        worker_id: the worker that augmented it; None where none did.
        seed: what seeded it; with the batch and the pipeline all that ``client.replay`` needs.
        attempts: how many processes died while this batch was at work in them.
        seconds_queued: waiting for a worker, in the client and in the broker.
        seconds_wire: encoding, decoding and travelling, both ways.
        seconds_augmenting: in the augmenter.
        seconds_waiting: in the client, done, waiting for its turn and for the caller.
    """

    index: int
    worker_id: int | None
    seed: Seed | None
    attempts: int
    seconds_queued: float
    seconds_wire: float
    seconds_augmenting: float
    seconds_waiting: float


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

    def info(self, now: float) -> BatchInfo:
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
        )


def error_of(fail: Fail, index: int, seed: Seed) -> AugfarmError:
    """The error that says what the broker or the worker said of this batch."""
    if fail.kind == "pipeline":
        return FarmRefused(
            f"worker {fail.worker_id} refused the pipeline: {fail.exception_text}", code="pipeline"
        )
    if fail.kind == "poisoned":
        text = (
            f"batch {index} was given up: {fail.attempts} worker processes died while augmenting it; "
            "the log of the workers says how each ended"
        )
        return BatchPoisoned(text, index=index, attempts=fail.attempts)
    what = {
        "raised": f"augmenting batch {index} raised {fail.exception_type}: {fail.exception_text}",
        "batch": f"worker {fail.worker_id} could not read batch {index}: {fail.exception_text}",
        "too-large": f"the result of batch {index} is too large: {fail.exception_text}",
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
