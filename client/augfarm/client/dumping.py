"""Failed batches written to files, for `augfarm replay`. Used by the callers' threads."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import platform
import shlex
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from augfarm.protocol import pipelines
from augfarm.protocol.codec import Buffer
from augfarm.protocol.dumps import Dump, encode_dump
from augfarm.protocol.errors import BatchFailed

from .outcomes import Failure, Outcome
from .service import software

__all__ = ["MAX_DUMPS", "Dumper", "check_folder"]

_logger = logging.getLogger("augfarm.client")

#: Dumps that one client tries to write. A pipeline that fails for every batch would fill a disk.
MAX_DUMPS = 100


class Dumper:
    """Writes what failed for good, and tells each error where it was written.

    Args:
        folder: where to; see :func:`check_folder`.
        spec: the client's pipeline.
        workers: gives the versions of the farm's workers.
    """

    def __init__(self, folder: Path, spec: bytes, workers: Callable[[], tuple[dict[str, str], ...]]) -> None:
        self._folder = folder
        self._spec = spec
        self._workers = workers
        self._lock = threading.Lock()
        self._count = 0

    def __call__(self, outcome: Outcome) -> None:
        """Dump what the outcome holds of failures. A dump that cannot be written is a warning, no error."""
        for failure in outcome.failures:
            if not self._may_go_on():
                return
            try:
                self._dump(failure, outcome.index)
            except Exception as error:
                _logger.warning("augfarm: batch %d could not be dumped: %s", outcome.index, error)

    def _may_go_on(self) -> bool:
        with self._lock:
            self._count += 1
            count = self._count
        if count == MAX_DUMPS + 1:
            _logger.warning(
                "augfarm: %d batches were dumped to %s; more will not be", MAX_DUMPS, self._folder
            )
        return count <= MAX_DUMPS

    def _dump(self, failure: Failure, index: int) -> None:
        answer = failure.answer
        dump = Dump(
            software=software(),
            spec=self._spec,
            seed=failure.seed,
            image=failure.image,
            body=failure.body,
            kind=answer.kind,
            exception_type=answer.exception_type,
            exception_text=answer.exception_text,
            traceback=answer.traceback,
            attempts=answer.attempts,
            client={
                "python": platform.python_version(),
                "numpy": np.__version__,
                "platform": f"{sys.platform} {platform.machine()}",
            },
            workers=self._workers(),
        )
        image = "" if failure.image is None else f"-image-{failure.image:03}"
        path = write(self._folder, f"batch-{index:06}{image}", encode_dump(dump))
        if isinstance(failure.error, BatchFailed):
            modules = itertools.chain(*(("--allow-import", name) for name in pipelines.imports(self._spec)))
            failure.error.dump = os.fspath(path)
            failure.error.replay_command = shlex.join(["augfarm", "replay", os.fspath(path), *modules])


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """The folder's full path, if files can be written there.

    Raises:
        ValueError: if not.
    """
    path = Path(os.fspath(folder)).absolute()
    if not path.is_dir():
        raise ValueError(f"expected dump_dir to be a folder, and {os.fspath(path)} is none: make it first")
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ValueError(f"expected dump_dir to be a folder that can be written to: {error}") from None
    return path


def write(folder: Path, name: str, pieces: Iterable[Buffer]) -> Path:
    """A new file of these pieces, there as a whole or not at all. Files that are there already stay.

    Returns:
        Its path: the name with ``.augdump``, and with a number before that where there is such a file.

    Raises:
        OSError: if it cannot be written; nothing is left of it then.
    """
    descriptor, aside = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
    try:
        with open(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        for number in itertools.count(1):
            path = folder / (f"{name}.augdump" if number == 1 else f"{name}.{number}.augdump")
            if _rename(aside, path):
                break
        return path
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)


def _rename(aside: str, path: Path) -> bool:
    """Give the file its name; False where another has it."""
    try:
        os.link(aside, path)  # unlike a rename, it never replaces a file
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if path.exists():
            return False
        os.rename(aside, path)
    return True
