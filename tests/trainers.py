"""Trainers as processes of their own, to interrupt and to kill, and what is left of them.

A trainer has a session of its own, as from a terminal, and a directory of its own for temporary files. What
belongs to it is found by a mark in its environment, which its children inherit.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from farms import PATIENCE, alive, wait_until

__all__ = ["Trainer", "marked"]


def marked(mark: str) -> list[int]:
    """The processes that were started with this text in their environment, and their forks."""
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError):
            if mark.encode() in Path(f"/proc/{pid}/environ").read_bytes() and alive(pid):
                found.append(pid)
    return sorted(found)


class Trainer:
    """A trainer, and all that it starts. :meth:`clean_up` it.

    Args:
        code: its program; it says "ready" on standard output where :meth:`wait_until_ready` is called.
        arguments: of the program.
    """

    def __init__(self, code: str, *arguments: Any) -> None:
        # Short, for the names of sockets in it.
        self.temporary = Path(tempfile.mkdtemp(prefix="trainer-", dir="/tmp"))
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(self.temporary), "TRAINER_MARK": self.mark},
            start_new_session=True,
        )

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        assert self.process.stdout.readline() == "ready\n", self.process.stderr.read()

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> tuple[float, str]:
        """Seconds until it has ended, and what it said."""
        began = time.monotonic()
        _, said = self.process.communicate(timeout=PATIENCE)
        return time.monotonic() - began, said

    def remains(self) -> list[Any]:
        """Its processes, and files in its directory for temporary ones."""
        return [*self.pids(), *self.temporary.rglob("*")]

    def pids(self) -> list[int]:
        """It and all that it has started, as far as they run."""
        return marked(self.mark)

    def clean_up(self) -> None:
        """End what still runs, and remove its directory."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()
        wait_until(lambda: not self.pids(), "all its processes are gone")
        shutil.rmtree(self.temporary)
