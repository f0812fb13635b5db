"""output_buffer_size=5: when the k-th batch is consumed, at most 5 + k were loaded.

    python examples/05_rate_limiting.py [--batches 20]

A farm that is faster than the trainer would otherwise fill the memory with batches. Without the argument
augfarm loads as many as keep the farm busy, at most 256.
The farm is one of this script's own; or, with AUGFARM_BROKER=tcp://HOST:5555, one that runs.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator

import augfarm.compat  # isort: skip  # noqa: F401  before imgaug, which needs it on numpy 2
import imgaug as ia
import imgaug.augmenters as iaa
from imgaug.augmentables.batches import UnnormalizedBatch

from augfarm.client import Client

# Batches are loaded by another thread; unlike print, logging keeps the lines of two threads apart.
logging.basicConfig(format="%(relativeCreated)6.0f ms  %(message)s", level=logging.INFO, stream=sys.stdout)
image = ia.quokka_square(size=(128, 128))


def batches(count: int) -> Iterator[UnnormalizedBatch]:
    for number in range(count):
        logging.info("Loading batch %d", number)
        yield UnnormalizedBatch(images=[image] * 16, data=number)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, default=20)
    count = parser.parse_args().batches

    with Client(iaa.Fliplr(0.5)) as client:
        augmented = client.imap_batches(batches(count), output_buffer_size=5)
        for _ in range(count):
            logging.info("Requesting a batch")
            batch = next(augmented)
            logging.info("Consuming batch %d", batch.data)
            time.sleep(0.1)  # the trainer, slower than the farm


if __name__ == "__main__":
    main()
