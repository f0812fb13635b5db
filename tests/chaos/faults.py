"""What is done to processes, and what is seen of them."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from farms import PATIENCE, Farm


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """The process is stopped inside, and goes on afterwards."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


class Background(threading.Thread):
    """A part of a test that runs beside it; :meth:`finish` waits for it and raises what it raised.

    A daemon: where a test is given up, this must not keep it from ending.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        super().__init__(daemon=True)
        self._function, self._arguments = function, arguments
        self._fault: BaseException | None = None
        self.result: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._function(*self._arguments)
        except BaseException as fault:
            self._fault = fault

    def finish(self, patience: float = PATIENCE) -> Any:
        self.join(patience)
        assert not self.is_alive(), f"not over within {patience:g} s"
        if self._fault is not None:
            raise self._fault
        return self.result


class PoissonKiller:
    """kill -9 on a worker at random moments, among those that have finished a batch since they started.

    Args:
        every: seconds between two kills, on average.
    """

    def __init__(self, farm: Farm, seed: int, every: float = 0.3) -> None:
        self._farm = farm
        self._rng = random.Random(seed)
        self._every = every
        self._stopped = threading.Event()
        self.killed: list[int] = []

    def _kill_until_stopped(self) -> None:
        while not self._stopped.wait(self._rng.expovariate(1 / self._every)):
            workers = [w for w in self._farm.status()["workers"] if w["done"] >= 1]
            pids = {int(worker["environment"]["pid"]) for worker in workers}.difference(self.killed)
            if pids:
                victim = self._rng.choice(sorted(pids))
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    self.killed.append(victim)

    def __enter__(self) -> PoissonKiller:
        self._thread = Background(self._kill_until_stopped)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.finish()


def children_of(pid: int) -> list[int]:
    """The processes that this one has started and that it has not yet buried."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def sends(pid: int) -> bool:
    """Whether a tcp connection of this process holds bytes that its peer has not taken."""
    sockets = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in sockets and int(fields[4].partition(":")[0], 16):
                return True
    return False


def resident_bytes(pid: int) -> int:
    """What the process has in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])
