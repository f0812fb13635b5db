"""Two hosts on this machine: network namespaces, joined by a link that can be cut and mended."""

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


class Hosts:
    """`here` and `there`, and the link between them."""

    def __init__(self, here: Host, there: Host, slowlink: subprocess.Popen[bytes]) -> None:
        self.here, self.there = here, there
        self._slowlink = slowlink

    def cut(self) -> None:
        """From now on every packet is lost, in both directions."""
        self._slowlink.send_signal(signal.SIGUSR1)

    def mend(self) -> None:
        self._slowlink.send_signal(signal.SIGUSR2)


@contextmanager
def two_hosts(*, delay_ms: float = 20, loss: float = 0.01, rate_mbit: float = 0) -> Iterator[Hosts]:
    """Needs root, iproute2, /dev/net/tun and slowlink.py; the test is skipped without them."""
    if os.geteuid() or not shutil.which("ip") or not SLOWLINK.exists() or not Path("/dev/net/tun").exists():
        pytest.skip("needs root, iproute2, /dev/net/tun and slowlink.py ($AUGFARM_SLOWLINK)")
    # Names of this run's own: another may be under way on this machine.
    prefix = f"augfarm-chaos-{os.getpid()}-{next(_numbers)}"
    hosts = [Host(f"{prefix}-{side}", f"10.77.0.{number}") for number, side in ((1, "here"), (2, "there"))]
    slowlink = None
    try:
        for host in hosts:
            subprocess.run(["ip", "netns", "add", host.name], check=True)
        pairs = [part for host in hosts for part in (host.name, f"{host.address}/24")]
        options = ["--delay-ms", str(delay_ms), "--loss", str(loss), "--rate-mbit", str(rate_mbit)]
        slowlink = subprocess.Popen(
            [sys.executable, SLOWLINK, *pairs, *options, "--seconds", "600"], stdout=subprocess.DEVNULL
        )
        show = ["ip", "-netns", hosts[1].name, "link", "show", "tunB", "up"]
        wait_until(lambda: b"tunB" in subprocess.run(show, capture_output=True).stdout, "the link is up")
        yield Hosts(*hosts, slowlink)
    finally:
        if slowlink is not None:
            slowlink.kill()
            slowlink.wait()
        for host in hosts:
            subprocess.run(["ip", "netns", "del", host.name], check=False)


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")
