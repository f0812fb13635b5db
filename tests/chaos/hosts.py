"""Hosts on this machine: network namespaces, joined by links that can be cut and mended."""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from farms import wait_until

SLOWLINK = Path(os.environ.get("AUGFARM_SLOWLINK", Path(__file__).parents[3] / "shared/tools/slowlink.py"))
_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


@dataclass(frozen=True)
class Host:
    name: str
    address: str


@contextmanager
def inside(host: Host) -> Iterator[None]:
    """What this thread does inside it does on that host, with all processes and threads that it starts.

    The sockets of a ZeroMQ context belong to the host where its first socket was made.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{host.name}", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(home)
        os.close(there)
        os.close(home)


class Link:
    """A link between two hosts, carried by a process."""

    def __init__(self, slowlink: subprocess.Popen[bytes]) -> None:
        self._slowlink = slowlink

    def cut(self) -> None:
        """From now on every packet is lost, in both directions."""
        self._slowlink.send_signal(signal.SIGUSR1)

    def mend(self) -> None:
        self._slowlink.send_signal(signal.SIGUSR2)


class Hosts(Link):
    """`here` and `there`, and the link between them."""

    def __init__(self, here: Host, there: Host, slowlink: subprocess.Popen[bytes]) -> None:
        super().__init__(slowlink)
        self.here, self.there = here, there


@contextmanager
def two_hosts(
    *, delay_ms: float = 20, loss: float = 0.01, rate_mbit: float = 0, gso: bool = False
) -> Iterator[Hosts]:
    """Needs root, iproute2, /dev/net/tun and slowlink.py; the test is skipped without them."""
    with namespaces("here", "there") as (here, there):
        hosts = Host(here, "10.77.0.1"), Host(there, "10.77.0.2")
        with joined(*hosts, delay_ms=delay_ms, loss=loss, rate_mbit=rate_mbit, gso=gso) as slowlink:
            yield Hosts(*hosts, slowlink)


@contextmanager
def namespaces(*names: str) -> Iterator[list[str]]:
    """Network namespaces of this run's own: another may be under way on this machine."""
    if os.geteuid() or not shutil.which("ip") or not SLOWLINK.exists() or not Path("/dev/net/tun").exists():
        pytest.skip("needs root, iproute2, /dev/net/tun and slowlink.py ($AUGFARM_SLOWLINK)")
    prefix = f"augfarm-chaos-{os.getpid()}-{next(_numbers)}"
    made = []
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", f"{prefix}-{name}"], check=True)
            made.append(f"{prefix}-{name}")
        yield made
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], check=False)


@contextmanager
def joined(
    a: Host, b: Host, *, delay_ms: float = 0, loss: float = 0, rate_mbit: float = 0, gso: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """A link between two hosts. A host may be `a` of one and `b` of another, with an address on each.

    With `gso` packets have up to 64 KiB, which costs this machine less.
    """
    pairs = [part for host in (a, b) for part in (host.name, f"{host.address}/24")]
    options = ["--delay-ms", str(delay_ms), "--loss", str(loss), "--rate-mbit", str(rate_mbit)]
    options += ["--seconds", "600", *(["--gso"] if gso else [])]
    slowlink = subprocess.Popen([sys.executable, SLOWLINK, *pairs, *options], stdout=subprocess.DEVNULL)
    try:
        show = ["ip", "-netns", b.name, "link", "show", "tunB", "up"]
        wait_until(lambda: b"tunB" in subprocess.run(show, capture_output=True).stdout, "the link is up")
        yield slowlink
    finally:
        slowlink.kill()
        slowlink.wait()


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")
