"""Batches a second, CPU and memory: augfarm beside those who do the same on one machine.

    python bench/throughput.py [--job JOB ...] [--processes 2] [--rounds 5] [--seconds 3]

Each contender runs in processes of its own and is asked in turn, round after round, so that whatever else the
machine does meets all of them. Writes bench/results/throughput.json. Needs Linux. Contenders that are not
installed are left out by name.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import contenders
import scaffold

#: How often memory is looked at, in seconds.
SAMPLE_S = 0.2
#: Batches before the first that count.
WARM_UP = 40


class Contender:
    """One of them, running."""

    def __init__(self, name: str, job: str, processes: int) -> None:
        self.name = name
        self.rounds: list[float] = []
        self.cpu: list[float] = []
        self.peak = 0
        #: Batches of each round.
        self.size = 0
        self._child = subprocess.Popen(
            [sys.executable, contenders.__file__, name, job, str(processes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env=os.environ | contenders.CONTENDERS[name][1],
        )
        self.fault = self._line().removeprefix("ready")

    def _line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline().strip()

    def _tree(self) -> list[int]:
        parents: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                stat = _stat(int(entry.name))
                if stat:
                    parents.setdefault(int(stat[1]), []).append(int(entry.name))
        found, waiting = [], [self._child.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += parents.get(pid, [])
        return found

    def _cpu_seconds(self) -> float:
        ticks = sum(int(value) for pid in self._tree() for value in _stat(pid)[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    def run(self, count: int, *, counts: bool = True) -> float:
        """Seconds for so many batches."""
        assert self._child.stdin is not None
        before, done = self._cpu_seconds(), threading.Event()
        watcher = threading.Thread(target=self._watch, args=(done,))
        watcher.start()
        self._child.stdin.write(f"{count}\n")
        self._child.stdin.flush()
        seconds = float(self._line() or "nan")
        done.set()
        watcher.join()
        if counts:
            self.rounds.append(seconds / count)
            self.cpu.append((self._cpu_seconds() - before) / count)
        return seconds

    def _watch(self, done: threading.Event) -> None:
        while not done.wait(SAMPLE_S):
            self.peak = max(self.peak, sum(map(_memory, self._tree())))

    def close(self) -> None:
        for pid in self._tree():
            if pid != self._child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        self._child.kill()
        self._child.wait()


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _memory(pid: int) -> int:
    """What a process has of memory, in bytes; of what is shared, its share."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def measure(job: str, processes: int, rounds: int, seconds: float) -> dict[str, Any]:
    """What each contender needs for a batch of this job."""
    found: dict[str, Any] = {}
    running: list[Contender] = []
    try:
        for name in contenders.CONTENDERS:
            contender = Contender(name, job, processes)
            running.append(contender)
            if contender.fault:
                found[name] = {"left out": contender.fault}
                continue
            print(f"{job}: {name}", file=sys.stderr)
            contender.run(WARM_UP // 4, counts=False)
            taken = contender.run(WARM_UP // 4, counts=False) / (WARM_UP // 4)
            contender.size = max(8, round(seconds / taken))
        able = [c for c in running if not c.fault]
        for number in range(rounds):
            print(f"{job}: round {number + 1} of {rounds}", file=sys.stderr)
            for contender in able:
                contender.run(contender.size)
    finally:
        for contender in running:
            contender.close()
    images = contenders.JOBS[job][1][0]
    for contender in able:
        times = sorted(contender.rounds)
        found[contender.name] = {
            "ms": 1000 * statistics.median(times),
            "ms_least": 1000 * times[0],
            "ms_most": 1000 * times[-1],
            "cpu_s_per_1000_images": 1000 * statistics.median(contender.cpu) / images,
            "peak_mb": contender.peak / 1e6,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--job", action="append", choices=list(contenders.JOBS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round, for each contender")
    given = parser.parse_args()
    started = time.strftime("%Y-%m-%d")
    jobs = {
        job: measure(job, given.processes, given.rounds, given.seconds)
        for job in given.job or contenders.JOBS
    }
    scaffold.save("throughput", {"date": started, "processes": given.processes, "jobs": jobs})
    for job, found in jobs.items():
        print(f"\n{job}, {given.processes} processes")
        for name, row in found.items():
            if "left out" in row:
                print(f"  {name:36} {row['left out']}")
            else:
                print(
                    f"  {name:36} {row['ms']:8.2f} ms a batch ({row['ms_least']:.2f}-{row['ms_most']:.2f}), "
                    f"{row['cpu_s_per_1000_images']:.2f} s of CPU for 1000 images, {row['peak_mb']:.0f} MB"
                )


if __name__ == "__main__":
    main()
