"""A training process of its own, for tests that kill, freeze or fork it.

``python -m chaos.trainer ADDRESS COUNT JOB [fork]`` prints "began" when it has its first batch, and when it
has all of them the SHA-256 of the stream. A COUNT of 0 is without end.
"""

from __future__ import annotations

import ast
import itertools
import os
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

from augfarm.client import ClosedError  # isort: skip
from chaos.jobs import Job, client_for, sha256_of  # isort: skip

BUFFER = 8


class Trainer:
    """Starts it; a context manager, which kills it where it still runs."""

    def __init__(self, address: str, job: Job, count: int = 0, *, how: str = "") -> None:
        self.job, self.count = job, count
        self._process = subprocess.Popen(
            [sys.executable, "-m", "chaos.trainer", address, str(count), repr(astuple(job)), how],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        self.pid = self._process.pid

    def wait_for_first(self) -> None:
        assert self._next_line() == "began"

    def has_all(self) -> bool:
        """Wait for its end; whether it got what an undisturbed run gives."""
        return self._next_line() == self.job.undisturbed(self.count) and self._process.wait() == 0

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _next_line(self) -> str:
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.stdout.close()


def main(address: str, count: str, job: str, how: str) -> None:
    job = Job(*ast.literal_eval(job))
    with client_for(job, address) as client:
        results = client.imap_batches(job.batches(int(count) or None), BUFFER)
        got = [next(results)]
        print("began", flush=True)
        if how == "fork":
            got += itertools.islice(results, 5)
            fork(client, results)
        for batch in results:
            if int(count):
                got.append(batch)
    print(sha256_of(got))


def fork(client, results) -> None:
    """A child that finds the client unusable, and ends as any program does, with all its finalizers."""
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
        return
    for attempt in (lambda: next(results), lambda: client.map_batches([])):
        try:
            attempt()
        except ClosedError:
            continue
        sys.exit("a forked child could use its parent's client")
    results.close()
    client.close()
    sys.exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
