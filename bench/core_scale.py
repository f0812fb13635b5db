"""Does a batch cost the broker more where there are many workers, clients and batches?

    python bench/core_scale.py [--rounds 3] [--batches 5000]

First the core alone, with simulated peers: seconds of the processor for a batch that is submitted,
dispatched, answered, delivered and received. Then a whole broker with its sockets, whose peers are all in
one process. The bodies are small: with large ones the kernel's copies would be what is measured.
Writes bench/results/scale.json.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import processes
import scaffold
from peers import Peers, broker_on_ipc
from simulated import SimulatedFarm

#: Workers, clients, queued batches: one of them grows, the others stay.
CORES = (
    *((workers, 4, 1000) for workers in (1, 4, 16, 64, 256, 512)),
    *((64, clients, 1000) for clients in (1, 16, 64)),
    *((64, 4, queued) for queued in (10, 100, 10_000, 100_000)),
    (512, 64, 100_000),
)
#: Workers and clients.
BROKERS = ((1, 4), (4, 4), (64, 4), (512, 4), (512, 64))
#: Batches before the first that count.
WARM_UP = 1000
#: How many are queued to see what one takes of memory.
QUEUED = 20_000
#: At one client, which is in line with its window of 1,024.
QUEUED_EACH = 1000


def core(workers: int, clients: int, queued: int, batches: int) -> float:
    """Microseconds of the processor that the core takes for a batch."""
    farm = SimulatedFarm(workers, clients, queued)
    farm.run(WARM_UP)
    farm.seconds = farm.batches = 0
    farm.run(batches)
    assert farm.queued == queued
    return 1e6 * farm.seconds / farm.batches


def broker(workers: int, clients: int, batches: int) -> float:
    """Microseconds of the processor that a broker takes for a batch, in all its threads."""
    at_broker = 2 * workers // clients + 16
    with (
        tempfile.TemporaryDirectory() as directory,
        broker_on_ipc(Path(directory)) as (pid, *addresses),
        Peers(*addresses, (workers, clients), at_broker) as peers,
    ):
        peers.start()
        peers.run(max(WARM_UP, 2 * workers))
        before = processes.cpu_seconds(pid)
        peers.run(batches)
        return 1e6 * (processes.cpu_seconds(pid) - before) / batches


def memory_in_core() -> float:
    """Bytes that a queued batch takes in the core, with its command and without its frames."""
    gc.collect()
    tracemalloc.start()
    few = SimulatedFarm(4, 4, 0)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    many = SimulatedFarm(4, 4, QUEUED)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (few.queued, many.queued) == (0, QUEUED)
    return (after - 2 * before) / QUEUED


def memory_in_broker() -> float:
    """Bytes that a queued batch takes in a broker, with its small frames, each of which libzmq allocates."""
    with tempfile.TemporaryDirectory() as directory, broker_on_ipc(Path(directory)) as (pid, *addresses):
        with Peers(*addresses, (0, 1), 1) as peers:
            peers.start()
        before = processes.memory(pid)
        with Peers(*addresses, (0, QUEUED // QUEUED_EACH), QUEUED_EACH) as peers:
            peers.start()
            peers.wait_for(QUEUED)
            return (processes.memory(pid) - before) / QUEUED


def rounds_of(configs: Any, measure: Any, rounds: int, batches: int, label: str) -> list[dict[str, Any]]:
    """Each of the configurations in turn, round after round."""
    found: list[list[float]] = [[] for _ in configs]
    for number in range(rounds):
        print(f"{label}: round {number + 1} of {rounds}", file=sys.stderr)
        for config, taken in zip(configs, found, strict=True):
            taken.append(measure(*config, batches))
    names = ("workers", "clients", "queued")
    return [
        dict(zip(names, config, strict=False)) | {"us": taken}
        for config, taken in zip(configs, found, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=5000, help="of each round, for each configuration")
    given = parser.parse_args()
    found = {
        "core": rounds_of(CORES, core, given.rounds, given.batches, "the core"),
        "broker": rounds_of(BROKERS, broker, given.rounds, given.batches, "a broker"),
        "core_bytes_a_batch": memory_in_core(),
        "broker_bytes_a_batch": memory_in_broker(),
    }
    scaffold.save("scale", found)


if __name__ == "__main__":
    main()
