"""An augmenter of one's own, from a module of its own (my_augs.py), on a local and on a remote farm.

    python examples/08_custom_augmenter.py [--batches 20]

A local farm may load the modules that the augmenter comes from. The workers of any other farm must be told:

    cd examples && augfarm worker --allow-import my_augs

This script starts such a farm; or, with AUGFARM_BROKER=tcp://HOST:5555, it uses one that runs.
Writes 08_custom_augmenter.png: the image, and what became of it on both farms.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import augfarm.compat  # isort: skip  # noqa: F401  before imgaug, which needs it on numpy 2
import imageio.v3 as iio
import imgaug as ia
import imgaug.augmenters as iaa
import numpy as np
from my_augs import Curtain, Odd, swap_colours

from augfarm.client import Client
from augfarm.client.sheet import Tile, contact_sheet

augmenter = iaa.Sequential(
    [
        Curtain(stripes=Odd(most=9)),
        iaa.Sometimes(0.5, iaa.Lambda(func_images=swap_colours)),  # a function of a module; no lambda
    ]
)
image = ia.quokka_square(size=(128, 128))


@contextlib.contextmanager
def farm() -> Iterator[str]:
    """A broker and two workers, as other machines would run them; gives the address for clients."""
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as started:
        clients, workers = f"ipc://{scratch}/clients", f"ipc://{scratch}/workers"
        for command in (
            ["augfarm.broker", "--clients", clients, "--workers", workers, "--http", ""],
            ["augfarm.worker", "--broker", workers, "--processes", "2", "--allow-import", "my_augs"],
        ):
            process = subprocess.Popen([sys.executable, "-m", *command, "--quiet"], cwd=here)
            started.callback(process.wait)
            started.callback(process.terminate)
        yield clients


def run(client: Client, count: int) -> list[Any]:
    with client:
        return client.map_batches(np.stack([image] * 16) for _ in range(count))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, default=20)
    count = parser.parse_args().batches

    local = run(Client(augmenter, processes=2, seed=1, seeding="batch"), count)
    running = os.environ.get("AUGFARM_BROKER")
    with contextlib.nullcontext(running) if running else farm() as address:
        remote = run(Client(augmenter, address, seed=1, seeding="batch"), count)
    equal = all(np.array_equal(a, b) for a, b in zip(local, remote, strict=True))
    print(f"{count} batches on a local farm and on a remote one, images {'equal' if equal else 'different'}")

    tiles = [Tile(image, "before")]
    tiles += [Tile(each, "local") for each in local[0][:4]] + [Tile(each, "remote") for each in remote[0][:5]]
    iio.imwrite("08_custom_augmenter.png", contact_sheet(tiles, columns=5))


if __name__ == "__main__":
    main()
