"""Who made an object: threads do not live on in a forked child, and locks may be held there for ever."""

from __future__ import annotations

import os

from augfarm.protocol.errors import ClosedError

__all__ = ["Maker"]


class Maker:
    """The process that this object was made in. Ask before any lock is taken."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def is_here(self) -> bool:
        """Whether this is that process, and not a forked child of it."""
        return os.getpid() == self._pid

    def check(self) -> None:
        """Raise ClosedError in a forked child."""
        if not self.is_here():
            raise ClosedError(
                f"this was made by a client of process {self._pid} and cannot be used in its forked child "
                f"{os.getpid()}: make a Client there"
            )
