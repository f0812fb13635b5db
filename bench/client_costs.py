"""What a client costs the process that it is in: the time until its first batch is there, and memory.

    python bench/client_costs.py [--rounds 5]

Each round is a process of its own (Linux). Start: from `Client(pipeline, processes=2)` to its first result,
with imgaug imported before; and from `Client(pipeline, address)` to the first result, with a farm that runs.
Memory: the most that the process had while a call ran, above what it had before the client was made. Memory
that it shares counts in full, and what workers share, which it reads, does not: that is the workers'. The
caller keeps no result. Writes bench/results/client.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import contenders
import processes
import scaffold

from augfarm.client import Client
from farms import running_farm

PROCESSES = 2
#: output_buffer_size where memory is measured.
BUFFERS = (4, 16)
#: Batches of a call where memory is measured: several times what is under way.
COUNT = 200
ROUTES: dict[str, dict[str, str]] = {"shared memory": {}, "sockets": {"AUGFARM_SHARED_MEMORY": "0"}}
JOB = "flip"


def start_cold() -> float:
    """Seconds to the first result of a local farm."""
    pipeline, (images, *_) = contenders.JOBS[JOB][0](), contenders.batches(JOB)
    began = time.perf_counter()
    with Client(pipeline, processes=PROCESSES) as client:
        next(client.imap_batches([images]))
        return time.perf_counter() - began


def start_warm(address: str) -> float:
    """Seconds to the first result of a farm that runs; the first client is not the one that counts."""
    pipeline, (images, *_) = contenders.JOBS[JOB][0](), contenders.batches(JOB)
    for _ in range(2):
        began = time.perf_counter()
        with Client(pipeline, address) as client:
            next(client.imap_batches([images]))
            seconds = time.perf_counter() - began
    return seconds


def memory(buffer: int) -> float:
    """Bytes above the base, at most."""
    pipeline, distinct = contenders.JOBS[JOB][0](), contenders.batches(JOB)
    pipeline.augment_images(distinct[0][:1])  # what imgaug itself allocates is not the client's
    base = peak = processes.own_memory(os.getpid())
    with Client(pipeline, processes=PROCESSES) as client:
        source = itertools.islice(itertools.cycle(distinct), COUNT)
        for _ in client.imap_batches(source, buffer):
            peak = max(peak, processes.own_memory(os.getpid()))
    return peak - base


def one(what: str, word: str = "", environment: dict[str, str] | None = None) -> float:
    """This file in a process of its own."""
    command = [sys.executable, __file__, "--one", what, word]
    env = os.environ | (environment or {})
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, check=True)
    return float(json.loads(done.stdout))


def measure(rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {"cold": [], "warm": [], "memory": []}
    with tempfile.TemporaryDirectory() as scratch, running_farm(Path(scratch), PROCESSES) as farm:
        for number in range(rounds):
            print(f"start: round {number + 1} of {rounds}", file=sys.stderr)
            found["cold"].append(one("cold"))
            found["warm"].append(one("warm", farm.clients))
    octets = contenders.batches(JOB)[0].nbytes
    for route, environment in ROUTES.items():
        for buffer in BUFFERS:
            print(f"memory: {route}, output_buffer_size={buffer}", file=sys.stderr)
            above = one("memory", str(buffer), environment)
            row = {"route": route, "buffer": buffer, "batch_bytes": octets, "above_base": above}
            found["memory"].append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is None:
        scaffold.save("client", {"processes": PROCESSES, **measure(given.rounds)})
        return
    what, word = given.one
    if what == "cold":
        print(start_cold())
    elif what == "warm":
        print(start_warm(word))
    else:
        print(memory(int(word)))


if __name__ == "__main__":
    main()
