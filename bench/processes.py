"""What processes have used: of the processor and of memory. Reads /proc, so it needs Linux."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cpu_by_kind", "cpu_seconds", "memory", "own_memory", "tree"]

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
#: What a process is, by a word of its command line; the first that fits.
_KINDS = (
    ("augfarm.broker", "broker"),
    ("augfarm.worker", "worker"),
    ("ray::", "worker"),
    ("gcs_server", "servers"),
    ("raylet", "servers"),
    ("/ray/", "servers"),
)


def tree(root: int) -> list[int]:
    """This process and all below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (stat := _stat(int(entry.name))):
            parents.setdefault(int(stat[1]), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += parents.get(pid, [])
    return found


def cpu_seconds(pid: int) -> float:
    """What the process has used of the processor, and what its children had that have ended."""
    return _TICK_S * sum(int(value) for value in _stat(pid)[11:15])


def cpu_by_kind(root: int) -> dict[str, float]:
    """Seconds of the processor of a tree: its root is the "client", others what their command lines say."""
    found: dict[str, float] = {}
    for pid in tree(root):
        kind = "client" if pid == root else _kind(pid)
        found[kind] = found.get(kind, 0.0) + cpu_seconds(pid)
    return found


def memory(pid: int) -> int:
    """What a process has of memory, in bytes; of what is shared, its share."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def own_memory(pid: int) -> int:
    """What a process has of memory, in bytes: all that it shares, nothing of what others share with it."""
    octets, counts = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        word, _, rest = line.partition(" ")
        if not word.endswith(":"):  # a mapping begins: addresses, permissions, and at the end its file's name
            counts = not (rest.startswith("r--s") and "memfd:augfarm" in rest)
        elif word == "Rss:" and counts:
            octets += 1024 * int(rest.split()[0])
    return octets


def _kind(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return "worker"
    return next((kind for word, kind in _KINDS if word in words), "worker")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; [] where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
