"""Every error of augfarm, and whose fault it is.

::

    AugfarmError
    ├── InvalidBatch        the caller's: a batch that cannot be sent (also a ValueError)
    ├── InvalidPipeline     the caller's: a pipeline that cannot travel (also a ValueError)
    ├── ClosedError         the caller's: a client or pool used after close(), or in a forked child
    ├── ProtocolError       the peer's: bytes that the protocol does not allow
    ├── FarmError           the farm's
    │   ├── FarmUnavailable     nothing came back for `timeout` seconds (also a TimeoutError)
    │   └── FarmRefused         the broker or a worker said no: another version, a wrong role, a bad pipeline
    └── BatchFailed         one batch's: it has no result, all others have
        ├── AugmentationFailed  the augmenter raised, or the worker could not read the batch
        └── BatchPoisoned       every process that worked on it died

Errors carry what they know as attributes. A :class:`ProtocolError` is made where bytes are read and is
turned into something else only at the I/O boundary, in the service files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .seeds import Seed

__all__ = [
    "AugfarmError",
    "AugmentationFailed",
    "BatchFailed",
    "BatchPoisoned",
    "ClosedError",
    "FarmError",
    "FarmRefused",
    "FarmUnavailable",
    "InvalidBatch",
    "InvalidPipeline",
    "ProtocolError",
]


class AugfarmError(Exception):
    """The root of all errors that augfarm raises on purpose. They cross processes with all they know."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are made again from their args alone, which ours cannot be.
        return _again, (type(self), self.args, dict(self.__dict__))


def _again(kind: type[AugfarmError], args: tuple[Any, ...], state: dict[str, Any]) -> AugfarmError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidBatch(AugfarmError, ValueError):
    """A batch that cannot be sent; nothing of it has left the process.

    Attributes:
        index: the batch's number, or None where it has none yet.
        field: where in the batch, for example ``"images[3]"``.
    """

    def __init__(self, message: str, *, index: int | None = None, field: str = "") -> None:
        self.message = message
        self.index = index
        self.field = field
        place = "batch" if index is None else f"batch {index}"
        super().__init__(f"{place}, {field}: {message}" if field else f"{place}: {message}")


class InvalidPipeline(AugfarmError, ValueError):
    """A pipeline that cannot travel as data, or a spec that names what it may not.

    Attributes:
        where: the place in the pipeline, for example ``"Sequential[1].Sometimes.then_list[0]"``.
    """

    def __init__(self, message: str, *, where: str = "") -> None:
        self.message = message
        self.where = where
        super().__init__(f"{where}: {message}" if where else message)


class ClosedError(AugfarmError, RuntimeError):
    """A client or pool was used after it was closed, or in a process that did not make it."""


class ProtocolError(AugfarmError):
    """A peer sent what the protocol does not allow. Drop the message; nothing of it was used."""


class FarmError(AugfarmError):
    """The farm cannot do the work."""


class FarmUnavailable(FarmError, TimeoutError):
    """Nothing came back for `timeout` seconds. No batch is lost: a later call may go on.

    Attributes:
        waiting_for: what was missing: "broker", "workers" or "results".
    """

    def __init__(self, message: str, *, waiting_for: str = "") -> None:
        self.waiting_for = waiting_for
        super().__init__(message)


class FarmRefused(FarmError):
    """The broker or a worker said no, and would say no again.

    Attributes:
        code: one of the codes in docs/protocol.md, section "REFUSED".
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        self.code = code
        super().__init__(message)


class BatchFailed(AugfarmError):
    """One batch has no result. Every other batch has its own.

    Attributes:
        index: the batch's number.
        attempts: how many processes died while the batch was at work in them.
        dump: the file to which the batch was written (``dump_dir``), or an empty text.
        replay_command: what to type to run that file again, or an empty text.
    """

    def __init__(self, message: str, *, index: int, attempts: int = 0) -> None:
        self.index = index
        self.attempts = attempts
        self.dump = ""
        self.replay_command = ""
        super().__init__(message)

    def __str__(self) -> str:
        return self._with_command(str(self.args[0]))

    def _with_command(self, text: str) -> str:
        return f"{text}\n\nTo run it again here: {self.replay_command}" if self.replay_command else text


class AugmentationFailed(BatchFailed):
    """The augmenter raised on the worker, or the worker could not read the batch.

    Attributes:
        index: the batch's number.
        worker_id: the worker that said so, or None where no worker was asked.
        seed: what seeded the batch; ``client.replay(batch, seed)`` raises the same error here.
        exception_type: the name of the exception's type on the worker, for example ``"ValueError"``.
        exception_text: its text.
        remote_traceback: the worker's traceback as text.
    """

    def __init__(
        self,
        message: str,
        *,
        index: int,
        worker_id: int | None = None,
        seed: Seed | None = None,
        exception_type: str = "",
        exception_text: str = "",
        remote_traceback: str = "",
        attempts: int = 0,
    ) -> None:
        super().__init__(message, index=index, attempts=attempts)
        self.worker_id = worker_id
        self.seed = seed
        self.exception_type = exception_type
        self.exception_text = exception_text
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        # Not super()'s: client.outcomes.with_builtin_type puts other exceptions behind this one.
        text = str(self.args[0])
        if self.remote_traceback:
            text = f"{text}\n\nOn the worker:\n{self.remote_traceback.rstrip()}"
        return self._with_command(text)


class BatchPoisoned(BatchFailed):
    """Every process that worked on this batch died, `attempts` times; the farm goes on without it.

    Processes that somebody killed from outside look the same.
    """
