"""How much memory a client needs besides what its caller keeps: what is under way, twice, and a little."""

import os
import subprocess
import sys

import pytest
from imgaug import augmenters as iaa

from augfarm.protocol import pipelines
from farms import running_farm

BUFFER = 16
BATCHES = 80
#: A batch of 2.4 MB.
SHAPE = (16, 225, 225, 3)
SIZE = 16 * 225 * 225 * 3

#: Prints what it had before the first batch, the most that it had, and how many results it kept. Its own are
#: its heap and its arena; what workers lent lies in theirs.
TRAINER = """
import os, sys, time
from pathlib import Path
import numpy as np
from augfarm.client import Client
spec, address, buffer, batches, each, *shape = sys.argv[1:]
shape = tuple(map(int, shape))

def memory(client):
    status = Path("/proc/self/status").read_text().splitlines()
    heap = next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))
    arena = client._service.memory._arena
    return heap + (os.fstat(arena.descriptor).st_blocks * 512 if arena else 0)

def source():
    images = np.empty(shape, np.uint8)
    for number in range(int(batches)):
        images[:] = number
        yield images

with Client(spec, address, seed=1) as client:
    client.map_batches([np.zeros((2, 8, 8, 3), np.uint8)] * 20)
    before, kept, most = memory(client), [], 0
    for number, result in enumerate(client.imap_batches(source(), int(buffer))):
        assert (result == number).all()
        if int(each) and number % int(each) == 0:
            kept.append(result)
        if number % 20 == 10:  # a slow caller: all that may be under way lies ready
            deadline = time.monotonic() + 30
            while client._service._pending and time.monotonic() < deadline:
                time.sleep(0.01)
        most = max(most, memory(client) - len(kept) * result.nbytes)
    print(before, most, len(kept))
"""


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["512", "0"])
@pytest.mark.parametrize("each", [0, 4])
def test_a_client_needs_twice_its_buffer_and_a_little(tmp_path, monkeypatch, setting, each):
    monkeypatch.setenv("AUGFARM_SHARED_MEMORY", setting)
    spec = tmp_path / "spec.json"
    spec.write_bytes(pipelines.load(iaa.Identity()))
    with running_farm(tmp_path, 2) as farm:
        words = subprocess.run(
            [sys.executable, "-c", TRAINER, spec, farm.clients, *map(str, (BUFFER, BATCHES, each, *SHAPE))],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            check=True,
        ).stdout.split()
    before, most, kept = map(int, words)
    needed = most - before
    print(f"{needed / 1e6:.0f} MB above its base, {needed / SIZE:.1f} batches; {kept} kept")
    assert needed <= 2 * BUFFER * SIZE + 20e6
