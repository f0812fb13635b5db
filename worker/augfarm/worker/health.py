"""Whether a pool's processes have joined their broker, as files, for the health check of a container.

``augfarm worker --health DIR`` keeps there a file ``wanted``, which says how many processes it runs, and for
each that is joined to the broker a file named by its pid. ``python -m augfarm.worker.health DIR`` looks at
them; its exit code is 0 where all are joined. It imports little: it is run every few seconds.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

__all__ = ["Health", "look", "main"]

#: Where ``augfarm worker --health`` and :func:`main` look for the folder when they are given none.
VARIABLE = "AUGFARM_HEALTH"
WANTED = "wanted"


class Health:
    """What a pool and its processes write. Make it before processes are forked.

    Args:
        directory: where; made if it is missing, and emptied of what another pool left.
        processes: how many the pool runs.

    Raises:
        OSError: where it cannot write there.
    """

    def __init__(self, directory: str | os.PathLike[str], processes: int) -> None:
        self._directory = Path(directory)
        self._directory.mkdir(parents=True, exist_ok=True)
        for file in _joined(self._directory):
            file.unlink()
        (self._directory / WANTED).write_text(f"{processes}\n")

    def joined(self, pid: int) -> None:
        """This process has joined the broker."""
        with contextlib.suppress(OSError):  # a full disk ends no worker; it shows as one that is not joined
            (self._directory / str(pid)).touch()

    def left(self, pid: int) -> None:
        """It is joined no more: it lost the broker, leaves, or has ended."""
        with contextlib.suppress(OSError):
            (self._directory / str(pid)).unlink()

    def close(self) -> None:
        """The pool has ended."""
        with contextlib.suppress(OSError):
            (self._directory / WANTED).unlink()


def look(directory: str | os.PathLike[str]) -> tuple[bool, str]:
    """Whether all processes that are wanted have joined, and a sentence that says it."""
    folder = Path(directory)
    try:
        wanted = int((folder / WANTED).read_text())
        joined = len(_joined(folder))
    except (OSError, ValueError):
        return False, f"no worker pool says anything in {folder}"
    return joined >= wanted, f"{joined} of {wanted} worker processes have joined the broker"


def _joined(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.name.isdecimal()]


def main() -> int:
    """The health check: the folder is its argument, or ``$AUGFARM_HEALTH``."""
    directory = sys.argv[1] if len(sys.argv) > 1 else os.environ.get(VARIABLE, "")
    healthy, text = look(directory) if directory else (False, f"say where: an argument, or ${VARIABLE}")
    print(text)
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
