"""How much of a link augfarm uses, and whether a worker behind a long one is ever idle.

    python bench/wire.py [--rounds 2] [--seconds 2]

Two network namespaces of this machine are joined by slowlink.py, which keeps a rate and a delay (Linux and
root). On one side is a client, on the other a broker and two workers that leave batches as they are: each
crosses the link twice, once in each direction. In turn with it, on the same link, the same batches go through
a bare PUSH and PULL pair of ZeroMQ's and back through another, whole and in frames as short as augfarm's.
Then a worker is behind a delay, and its batches take a known time. Writes bench/results/wire.json.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import scaffold
import wire_ends
from imgaug import augmenters as iaa
from paced import Paced

from augfarm.client import Client
from augfarm.protocol import limits, pipelines
from chaos.hosts import Host, inside, two_hosts
from farms import Farm, wait_until

#: Mbit/s, and milliseconds one way.
LINKS = ((200, 0), (1000, 0), (1000, 20))
WORKERS = 2
OCTETS = math.prod(wire_ends.SHAPE)
#: What sends batches, and the words after the number of batches that it is told.
SENDERS = {
    "bare": ("bare", OCTETS),
    "bare in frames": ("bare", limits.MAX_TCP_FRAME_BYTES),
    "augfarm": ("augfarm", "spec.json"),
}
#: Seconds of each batch of the worker behind a delay, and the delay, in milliseconds one way.
PACES = (0.1, 0.05, 0.02, 0.01, 0.005)
DELAYS_MS = (0, 20)
#: What the kernel keeps for one connection of what was sent and not acknowledged, in bytes: its last number.
SEND_BUFFER = Path("/proc/sys/net/ipv4/tcp_wmem")
#: Results before those that count: the worker is to know its round trip by then.
IDLE_WARM_UP = 40


class FarmElsewhere(Farm):
    """A farm whose broker is on this host, open to the others."""

    def __init__(self, directory: Path, host: Host) -> None:
        super().__init__(directory, extra=("--insecure",))
        self.clients = f"tcp://{host.address}:{wire_ends.CLIENTS}"
        self.workers = f"tcp://{host.address}:{wire_ends.WORKERS}"


@contextmanager
def farm(directory: Path, broker: Host, workers: Host, count: int, *arguments: str) -> Iterator[Farm]:
    """A farm with its broker on one host and its workers on another, or the same."""
    made = FarmElsewhere(directory, broker)
    scaffold.install_paced(directory)
    try:
        with inside(broker):
            made.start_broker()
        with inside(workers):
            made.begin_workers(count, *arguments)
        with inside(broker):
            wait_until(lambda: len(made.status()["workers"]) == count, "the workers join")
        yield made
    finally:
        made.stop()


def send(host: Host, directory: Path, what: str, *words: object) -> float:
    """Bytes a second that an end of the wire prints."""
    command = [sys.executable, wire_ends.__file__, what, *map(str, words)]
    with inside(host):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, cwd=directory, check=False
        )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout)


def link(rate_mbit: float, delay_ms: float, rounds: int, seconds: float) -> dict[str, Any]:
    """Bytes a second in each direction, by sender."""
    count = wire_ends.WARM_UP + max(8, round(seconds * rate_mbit * 1e6 / 8 / OCTETS))
    found: dict[str, list[float]] = {name: [] for name in SENDERS}
    with (
        tempfile.TemporaryDirectory() as scratch,
        two_hosts(delay_ms=delay_ms, loss=0, rate_mbit=rate_mbit, gso=True) as hosts,
    ):
        directory = Path(scratch)
        (directory / "spec.json").write_bytes(pipelines.encode(iaa.Identity()))
        with inside(hosts.there):
            echo = subprocess.Popen([sys.executable, wire_ends.__file__, "echo"], stdout=subprocess.PIPE)
        try:
            assert echo.stdout is not None
            echo.stdout.readline()
            with farm(directory, hosts.there, hosts.there, WORKERS):
                for number in range(rounds):
                    print(
                        f"{rate_mbit} Mbit/s, {delay_ms} ms: round {number + 1} of {rounds}", file=sys.stderr
                    )
                    for name, (what, word) in SENDERS.items():
                        address = hosts.there.address
                        found[name].append(send(hosts.here, directory, what, address, count, word))
        finally:
            echo.kill()
            echo.wait()
    return {"mbit": rate_mbit, "delay_ms": delay_ms, "batches": count - wire_ends.WARM_UP, "rates": found}


def idleness(delay_ms: float, seconds: float) -> list[dict[str, Any]]:
    """How busy one worker behind this delay is kept, by the time that a batch takes."""
    rows = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        two_hosts(delay_ms=delay_ms, loss=0, gso=True) as hosts,
        farm(Path(scratch), hosts.here, hosts.there, 1, *scaffold.PACED) as its_farm,
    ):
        for pace in PACES:
            print(f"a worker {delay_ms} ms away, {1000 * pace:g} ms a batch", file=sys.stderr)
            with inside(hosts.here):
                client = Client(Paced(pace), its_farm.clients, hedge=False)
            with client:
                warm_up = min(IDLE_WARM_UP, round(seconds / pace))
                count = warm_up + round(seconds / pace)
                results = client.imap_batches(islice(scaffold.batches(), count), 64, with_info=True)
                for _ in islice(results, warm_up):
                    pass
                began = time.perf_counter()
                busy = sum(info.seconds_augmenting for _, info in results)
                rows.append({"batch_s": pace, "busy": busy / (time.perf_counter() - began)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run, if the link were filled")
    given = parser.parse_args()
    found: dict[str, Any] = {"workers": WORKERS, "batch_octets": OCTETS}
    try:
        found["links"] = [link(*each, given.rounds, given.seconds) for each in LINKS]
        found["send_buffer"] = int(SEND_BUFFER.read_text().split()[-1])
        found["idleness"] = {str(delay): idleness(delay, given.seconds) for delay in DELAYS_MS}
    except pytest.skip.Exception as reason:
        found["left out"] = str(reason)
    scaffold.save("wire", found)


if __name__ == "__main__":
    main()
