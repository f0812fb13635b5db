"""What a form of annotations does in a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from .bundle import Augmented, Bundle

__all__ = ["Form", "Later", "Written"]

#: What waited for the end, in the order of the copies; may be called more than once.
Later = Callable[[], Iterator[Any]]


@dataclass
class Written:
    """What is to be written for one copy of an image: files, by their paths below DST, and what waits."""

    files: list[tuple[str, bytes]] = field(default_factory=list)
    #: For a file that is written at the end: plain data.
    later: Any = None


class Form(Protocol):
    """One form of annotations, of one run.

    :meth:`read` and the others are called by different threads, so what leads from one to the other is in
    their arguments.
    """

    #: How the manifest calls it.
    name: str
    #: Whether files are found by an image's name without its suffix, so that it must be the only one.
    by_stem: bool
    #: The file below DST that is written at the end, or None.
    last: str | None

    def read(self, path: str, bundle: Bundle) -> Any:
        """Put an image's annotations into the bundle.

        Args:
            path: of the image, below SRC.

        Returns:
            What :meth:`write` needs; None where this image has none.

        Raises:
            AnnotationError: where they cannot be used.
            OSError: where they cannot be read.
        """

    def write(self, path: str, copy: int, output: str, token: Any, augmented: Augmented) -> Written:
        """What is to be written for a copy of it.

        Args:
            path, copy: of the image below SRC, and the copy's number.
            output: the copy's file, below DST.
            token: what :meth:`read` gave.
        """

    def fill(self, later: Later, file: BinaryIO) -> None:
        """Write the file that is written at the end."""
