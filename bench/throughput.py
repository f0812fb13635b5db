"""Batches a second, CPU and memory: augfarm beside those who do the same on one machine.

    python bench/throughput.py [--job JOB ...] [--processes 2] [--rounds 5] [--seconds 1.5]

Each contender runs in processes of its own and is asked in turn, round after round, so that whatever else the
machine does meets all of them. Writes bench/results/throughput.json. Needs Linux. Contenders that are not
installed are left out by name.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import contenders
import processes
import scaffold

#: How often memory is looked at, in seconds.
SAMPLE_S = 0.25
#: At least so many batches in a round: a pool of two is full for nearly all of them.
LEAST_BATCHES = 8
#: Rounds of a job whose batches are so slow that the least number of them takes longer than a round should.
SLOW_ROUNDS = 3
#: Seconds that the first batches may take before they are enough to warm up.
WARM_UP_S = 1.0


class Contender:
    """One of them, running."""

    def __init__(self, name: str, job: str, count: int) -> None:
        self.name = name
        #: Of each round, for one batch: seconds, and seconds of the processor by kind of process.
        self.rounds: list[float] = []
        self.cpu: list[dict[str, float]] = []
        self.peak = 0
        #: Batches of each round.
        self.size = LEAST_BATCHES
        self._child = subprocess.Popen(
            [sys.executable, contenders.__file__, name, job, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env=os.environ | contenders.CONTENDERS[name][1],
        )
        line = self._line()
        #: Why it cannot run, or "".
        self.fault = "" if line == "ready" else line or "it failed"

    def warm_up(self, seconds: float) -> None:
        """Run until it is as fast as it gets; then choose how many batches a round of so many seconds has."""
        self._ask(LEAST_BATCHES // 2)  # the first come with the start of processes
        taken = self._ask(LEAST_BATCHES)
        if taken < WARM_UP_S:
            count = round(LEAST_BATCHES * WARM_UP_S / taken)
            taken = LEAST_BATCHES * self._ask(count) / count
        self.size = max(LEAST_BATCHES, round(LEAST_BATCHES * seconds / taken))

    def run(self) -> None:
        """One round that counts."""
        before, done = processes.cpu_by_kind(self._child.pid), threading.Event()
        watcher = threading.Thread(target=self._watch, args=(done,))
        watcher.start()
        try:
            self.rounds.append(self._ask(self.size) / self.size)
        finally:
            done.set()
            watcher.join()
        after = processes.cpu_by_kind(self._child.pid)
        self.cpu.append({kind: (after[kind] - before.get(kind, 0.0)) / self.size for kind in after})

    def _ask(self, count: int) -> float:
        """Seconds for so many batches."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{count}\n")
        self._child.stdin.flush()
        line = self._line()
        if not line:
            raise RuntimeError(f"{self.name} failed")
        return float(line)

    def _line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline().strip()

    def _watch(self, done: threading.Event) -> None:
        while True:
            self.peak = max(self.peak, sum(map(processes.memory, processes.tree(self._child.pid))))
            if done.wait(SAMPLE_S):
                return

    def close(self) -> None:
        for pid in processes.tree(self._child.pid):
            if pid != self._child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        self._child.kill()
        self._child.wait()


def measure(job: str, count: int, rounds: int, seconds: float) -> dict[str, Any]:
    """What each contender needs for a batch of this job, in each round."""
    found: dict[str, Any] = {}
    running: list[Contender] = []
    try:
        for name in contenders.CONTENDERS:
            print(f"{job}: {name} starts", file=sys.stderr)
            contender = Contender(name, job, count)
            running.append(contender)
            if contender.fault:
                print(f"{job}: {name} is left out: {contender.fault}", file=sys.stderr)
                found[name] = {"left out": contender.fault}
            else:
                contender.warm_up(seconds)
        able = [contender for contender in running if not contender.fault]
        if all(contender.size == LEAST_BATCHES for contender in able):
            rounds = min(rounds, SLOW_ROUNDS)
        for number in range(rounds):
            print(f"{job}: round {number + 1} of {rounds}", file=sys.stderr)
            for contender in able:
                contender.run()
    finally:
        for contender in running:
            contender.close()
    for contender in able:
        found[contender.name] = {
            "seconds": contender.rounds,
            "cpu_seconds": contender.cpu,
            "peak_bytes": contender.peak,
            "batches": contender.size,
        }
    return {"shape": contenders.JOBS[job][1], "contenders": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--job", action="append", choices=list(contenders.JOBS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each round, for each contender")
    given = parser.parse_args()
    jobs = {
        job: measure(job, given.processes, given.rounds, given.seconds)
        for job in given.job or contenders.JOBS
    }
    scaffold.save("throughput", {"processes": given.processes, "jobs": jobs})


if __name__ == "__main__":
    main()
