"""Who augments the same batches on the same machine: each in a process of its own, which is told what to do.

    python bench/contenders.py NAME JOB PROCESSES

reads lines ``BATCHES`` from standard input, augments so many, and answers each with a line: the seconds it
took, from the first batch asked for to the last one there. A line comes first when it is ready, or a reason
why it cannot be.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import scaffold
from imgaug import augmenters as iaa
from imgaug.augmentables.batches import UnnormalizedBatch

from farms import tutorial

#: Distinct batches, given again and again.
DISTINCT = 8
#: What may be under way, in all that have such a number.
BUFFER = 16

Run = Callable[[Iterable[Any]], Iterator[Any]]


def _middle() -> Any:
    return iaa.Sequential(
        [
            iaa.Fliplr(0.5),
            iaa.Affine(rotate=(-20, 20), scale=(0.8, 1.2)),
            iaa.Multiply((0.8, 1.2)),
            iaa.GaussianBlur((0, 1.0)),
        ]
    )


#: Pipelines by name, and the shape of their batches.
JOBS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "flip": (scaffold.flip, (16, 225, 225, 3)),
    "middle": (_middle, (16, 225, 225, 3)),
    "tutorial": (tutorial, (16, 225, 225, 3)),
    "tiny": (iaa.Identity, (8, 32, 32, 3)),
}


def batches(job: str) -> list[np.ndarray[Any, Any]]:
    """The distinct batches of a job: smooth patterns with noise, as photographs have."""
    shape = JOBS[job][1]
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 200, shape[2]).astype(np.uint8)[None, None, :, None]
    return [ramp + rng.integers(0, 56, shape, dtype=np.uint8) for _ in range(DISTINCT)]


@contextlib.contextmanager
def one_core(job: str, processes: int) -> Iterator[Run]:
    pipeline = JOBS[job][0]()
    yield lambda source: (pipeline.augment_batch_(UnnormalizedBatch(images=images)) for images in source)


@contextlib.contextmanager
def augfarm(job: str, processes: int) -> Iterator[Run]:
    from augfarm.client import Client

    with Client(JOBS[job][0](), processes=processes, seed=1, seeding="batch") as client:
        yield lambda source: client.imap_batches(source, BUFFER)


@contextlib.contextmanager
def imgaug_pool(job: str, processes: int) -> Iterator[Run]:
    from imgaug import multicore

    def wrapped(source: Iterable[Any]) -> Iterator[Any]:
        for images in source:
            yield UnnormalizedBatch(images=images)

    with multicore.Pool(JOBS[job][0](), processes=processes, seed=1) as pool:
        yield lambda source: pool.imap_batches(wrapped(source), output_buffer_size=BUFFER)


_inherited: Any = None


def _augment(images: Any) -> Any:
    return _inherited.augment_batch_(UnnormalizedBatch(images=images)).images_aug


@contextlib.contextmanager
def multiprocessing_pool(job: str, processes: int) -> Iterator[Run]:
    import multiprocessing

    global _inherited
    _inherited = JOBS[job][0]()
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield lambda source: pool.imap(_augment, source)


@contextlib.contextmanager
def torch_loader(job: str, processes: int) -> Iterator[Run]:
    from torch.utils.data import DataLoader, Dataset

    pipeline, distinct = JOBS[job][0](), batches(job)

    class Augmented(Dataset):  # type: ignore[type-arg,misc]
        def __init__(self, count: int) -> None:
            self.count = count

        def __len__(self) -> int:
            return self.count

        def __getitem__(self, number: int) -> Any:
            images = distinct[number % DISTINCT]
            return pipeline.augment_batch_(UnnormalizedBatch(images=images)).images_aug

    dataset = Augmented(0)
    factor = max(1, BUFFER // processes)
    loader = DataLoader(dataset, None, num_workers=processes, prefetch_factor=factor, persistent_workers=True)

    def run(source: Iterable[Any]) -> Iterator[Any]:
        dataset.count = sum(1 for _ in source)
        return iter(loader)

    yield run


class Actor:
    """One of Ray's."""

    def __init__(self, job: str) -> None:
        self.pipeline = JOBS[job][0]()

    def augment(self, images: Any) -> Any:
        return self.pipeline.augment_batch_(UnnormalizedBatch(images=images)).images_aug


@contextlib.contextmanager
def ray_actors(job: str, processes: int) -> Iterator[Run]:
    import contenders  # this file under its name, by which the actors find it
    import ray

    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    ray.init(num_cpus=processes, include_dashboard=False, log_to_driver=False)

    actor_type = ray.remote(contenders.Actor)
    actors = [actor_type.remote(job) for _ in range(processes)]

    def run(source: Iterable[Any]) -> Iterator[Any]:
        waiting: list[Any] = []
        for images, actor in zip(source, itertools.cycle(actors), strict=False):
            waiting.append(actor.augment.remote(images))
            if len(waiting) == BUFFER:
                yield ray.get(waiting.pop(0))
        yield from map(ray.get, waiting)

    yield run
    ray.shutdown()


#: By name; with the environment in which each runs.
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
CONTENDERS: dict[str, tuple[Callable[[str, int], Any], dict[str, str]]] = {
    "one core": (one_core, ONE_THREAD),
    "augfarm": (augfarm, {}),
    "augfarm, sockets": (augfarm, {"AUGFARM_SHARED_MEMORY": "0"}),
    "imgaug's Pool": (imgaug_pool, {}),
    "imgaug's Pool, BLAS on one thread": (imgaug_pool, ONE_THREAD),
    "multiprocessing.Pool": (multiprocessing_pool, ONE_THREAD),
    "torch's DataLoader": (torch_loader, ONE_THREAD),
    "Ray actors": (ray_actors, ONE_THREAD),
}


def main(name: str, job: str, processes: int) -> None:
    distinct = batches(job)
    try:
        with CONTENDERS[name][0](job, processes) as run:
            print("ready", flush=True)
            for line in sys.stdin:
                started = time.perf_counter()
                source = itertools.islice(itertools.cycle(distinct), int(line))
                count = sum(1 for _ in run(source))
                seconds = time.perf_counter() - started
                if count != int(line):
                    raise RuntimeError(f"{count} of {line.strip()} batches came back")
                print(seconds, flush=True)
    except ImportError as error:
        print(f"not installed: {error.name}", flush=True)
    os._exit(0)  # some of them hang at their end


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
