"""A large batch over a slow link: frames are short enough that heartbeats pass between them."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from farms import PATIENCE

pytestmark = pytest.mark.slow

SLOWLINK = Path(os.environ.get("AUGFARM_SLOWLINK", Path(__file__).parents[3] / "shared/tools/slowlink.py"))
NAMESPACES = ("augfarmA", "augfarmB")

CLIENT = """
import sys
import augfarm.compat
import numpy as np
from imgaug import augmenters as iaa
from augfarm.client import Client
from augfarm.client.report import ask
address = sys.argv[1]
images = np.random.default_rng(0).integers(0, 256, (10, 1000, 1333, 3), dtype=np.uint8)
assert images.nbytes > 39_900_000
with Client(iaa.Identity(), address, timeout=60) as client:
    (result,), before = client.map_batches([images]), ask(address, 30)
    assert np.array_equal(result, images)
print("arrived", before["totals"]["retried"], len(before["workers"]), before["workers"][0]["id"])
"""


@pytest.fixture
def hosts():
    """Two hosts joined by a link of 5 MB/s (40 Mbit/s)."""
    if (
        os.geteuid() != 0
        or not shutil.which("ip")
        or not SLOWLINK.exists()
        or not os.path.exists("/dev/net/tun")
    ):
        pytest.skip("needs root, iproute2, /dev/net/tun and slowlink.py ($AUGFARM_SLOWLINK)")
    link = None
    try:
        for name in NAMESPACES:
            subprocess.run(["ip", "netns", "add", name], check=True)
        addresses = ["10.77.0.1/24", "10.77.0.2/24"]
        pairs = [part for pair in zip(NAMESPACES, addresses, strict=True) for part in pair]
        link = subprocess.Popen(
            [sys.executable, SLOWLINK, *pairs, "--rate-mbit", "40", "--gso", "--seconds", "100"]
        )
        yield [["ip", "netns", "exec", name] for name in NAMESPACES]
    finally:
        if link is not None:
            link.send_signal(signal.SIGTERM)
            link.wait()
        for name in NAMESPACES:
            subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.mark.parametrize("slow_side", ["client", "worker"])
def test_40_mb_over_5_mb_per_second_arrive_and_cut_no_connection(hosts, slow_side, tmp_path):
    here, there = hosts
    client_host, worker_host = (there, here) if slow_side == "client" else (here, there)
    started = []

    def start(host, *arguments):
        log = (tmp_path / f"{len(started)}.log").open("wb")
        started.append(subprocess.Popen([*host, sys.executable, "-m", *arguments], stdout=log, stderr=log))

    try:
        start(
            here,
            *("augfarm.broker", "--clients", "tcp://10.77.0.1:5555", "--workers", "tcp://10.77.0.1:5556"),
            *("--insecure", "--http", ""),
        )
        start(worker_host, "augfarm.worker", "--broker", "tcp://10.77.0.1:5556", "--processes", "1")
        done = subprocess.run(
            [*client_host, sys.executable, "-c", CLIENT, "tcp://10.77.0.1:5555"],
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        # No batch was done again, and the one worker is still the first that ever joined: nothing was cut.
        assert done.stdout.split() == ["arrived", "0", "1", "0"]
        log = "\n".join(path.read_text() for path in tmp_path.glob("*.log"))
        assert "lost" not in log
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(20)
