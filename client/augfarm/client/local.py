"""The local farm: a broker and a pool of workers as children of the trainer, gone with it however it ends.

Both children hold the read end of a pipe. Only this process holds the write end (forked children close it),
so its end, by any cause, is an end of file there: the broker leaves, and the pool kills its workers.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Sequence

from augfarm.protocol.errors import FarmUnavailable

__all__ = ["LocalFarm", "name_of"]

#: How long the children may take to leave before they are killed, in seconds.
STOP_TIMEOUT_S = 3.0
#: Children that end this often within RESTART_WINDOW_S seconds, or before any worker has joined, would end
#: again. (A start takes seconds on a busy machine, so that a window alone might never fill.)
MAX_RESTARTS = 5
RESTART_WINDOW_S = 10.0
#: What broker and pool exit with when their configuration cannot work: they have said why.
EXIT_USAGE = 2
#: A unix socket's path has at most 107 bytes; a deep TMPDIR leaves too few for ours.
MAX_SCRATCH_LENGTH = 80

#: Settings of `augfarm worker` that its processes take from this one's environment.
PASSED_ON = ("AUGFARM_TASK_TIMEOUT", "AUGFARM_MAX_RSS", "AUGFARM_SHARED_MEMORY")

#: The local farms of this process that have not been stopped.
_farms: weakref.WeakSet[LocalFarm] = weakref.WeakSet()


class LocalFarm:
    """Broker and workers on this machine, joined by sockets in a private directory.

    Args:
        processes: workers, at least 1.
        maxtasksperchild: batches after which a worker process is replaced, or None.
        imports: modules of this process's own whose augmenters the workers may load.

    Raises:
        FarmUnavailable: where this Python has no imgaug, with the commands that install it.
    """

    def __init__(
        self, processes: int, maxtasksperchild: int | None = None, imports: Sequence[str] = ()
    ) -> None:
        if importlib.util.find_spec("imgaug") is None:
            raise FarmUnavailable(
                "a local farm needs imgaug here: pip install 'augfarm[worker]' && "
                "pip install --no-deps imgaug==0.4.0",
                waiting_for="workers",
            )
        self.processes = processes
        self._maxtasksperchild = maxtasksperchild
        self._imports = tuple(imports)
        self._owner = os.getpid()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._restarts: list[float] = []
        self._workers_seen_at = float("-inf")
        self._stopped = False
        self._read_end, self._write_end = os.pipe()
        self._scratch = self.address = ""
        _farms.add(self)
        try:
            self._scratch = _make_scratch()
            self.address = f"ipc://{self._scratch}/clients"
            for name in ("broker", "worker"):
                self._children[name] = self._start(name)
        except BaseException:  # no more processes, or Ctrl-C: nobody else could stop what has started
            self.stop()
            raise

    def look_after(self) -> str | None:
        """Start again what died. Returns why the farm cannot work, or None."""
        if self._stopped:
            return None
        for name, child in self._children.items():
            code = child.poll()
            if code is None:
                continue
            now = time.monotonic()
            counts = [t for t in self._restarts if now - t < RESTART_WINDOW_S or t > self._workers_seen_at]
            self._restarts = [*counts, now]
            if code == EXIT_USAGE or len(self._restarts) > MAX_RESTARTS:
                return f"the local farm's {name} ended with code {code}; its last words are on standard error"
            self._children[name] = self._start(name)
        return None

    def saw_workers(self) -> None:
        """Workers have joined: the farm works, whatever ended before."""
        self._workers_seen_at = time.monotonic()

    def pids(self) -> dict[str, int]:
        """The process ids of the broker and of the worker pool."""
        return {name: child.pid for name, child in self._children.items()}

    def stop(self) -> None:
        """End all processes and leave nothing behind. Does nothing in a forked child. Safe to call again."""
        if self._stopped or os.getpid() != self._owner:
            return
        self._stopped = True
        _farms.discard(self)
        os.close(self._write_end)
        for child in self._children.values():
            child.terminate()  # who still imports does not look at the pipe yet
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for child in self._children.values():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        os.close(self._read_end)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        workers = f"ipc://{self._scratch}/workers"
        if name == "broker":
            arguments = ["augfarm.broker", "--clients", self.address, "--workers", workers, "--http", ""]
        else:
            arguments = ["augfarm.worker", "--broker", workers, "--processes", str(self.processes)]
            if self._maxtasksperchild is not None:
                arguments += ["--maxtasksperchild", str(self._maxtasksperchild)]
            for module in self._imports:
                arguments += ["--allow-import", module]
        arguments += ["--parent-fd", str(self._read_end), "--scratch", self._scratch, "--quiet"]
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            pass_fds=(self._read_end,),
            # A session of their own: Ctrl-C in a terminal reaches the trainer alone.
            start_new_session=True,
            env=_environment(),
        )

    def _forget_in_child(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._write_end)


def name_of(address: str) -> str:
    """How texts for people name the broker at this address."""
    own = any(farm.address == address for farm in list(_farms))
    return "the local farm (it is starting)" if own else address


def _environment() -> dict[str, str]:
    """The children find what this process finds.

    An interactive session finds modules in the working directory; they do so last, and nobody else does.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AUGFARM_") or k in PASSED_ON}
    paths = [entry for entry in sys.path if entry]
    if "" in sys.path:
        paths.append(os.getcwd())
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    environment["PYTHONSAFEPATH"] = "1"
    return environment


def _make_scratch() -> str:
    scratch = tempfile.mkdtemp(prefix="augfarm-")
    if len(os.fsencode(scratch)) > MAX_SCRATCH_LENGTH:
        os.rmdir(scratch)
        scratch = tempfile.mkdtemp(prefix="augfarm-", dir="/tmp")
    return scratch


def _after_fork_in_child() -> None:
    for farm in list(_farms):
        farm._forget_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
