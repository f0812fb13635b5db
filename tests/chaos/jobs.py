"""The judge: what a run has given, as the SHA-256 of its whole stream, and what it must have given."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import imgaug as ia
import numpy as np
from imgaug import augmenters as iaa
from imgaug.augmentables.batches import UnnormalizedBatch

from augfarm.client import BatchInfo, Client, Seed
from augfarm.protocol import batches as forms
from augfarm.protocol import pipelines
from augfarm.protocol.augment import Recipe
from chaos.augmenters import Journal, Noted
from farms import fingerprint

SEED = 20


#: Random numbers of all kinds, cheap ones, and what takes no time for large images.
PIPELINES = {
    "rich": lambda: [
        iaa.Fliplr(0.5),
        iaa.Affine(rotate=(-20, 20), scale=(0.9, 1.1)),
        iaa.SomeOf((1, 2), [iaa.Multiply((0.8, 1.2)), iaa.Add((-20, 20)), iaa.Invert(0.5)]),
        iaa.AdditiveGaussianNoise(scale=(0, 12)),
    ],
    "light": lambda: [iaa.Fliplr(0.5), iaa.AdditiveGaussianNoise(scale=(0, 12))],
    "large": lambda: [iaa.Fliplr(0.5), iaa.Flipud(0.5)],
}


@dataclass(frozen=True)
class Job:
    """Batches of some size, and a pipeline for them.

    Attributes:
        kind: which of the pipelines.
        images, size: of each batch; the images are square.
        seconds: how long a batch takes besides its pixels, from the first to the second.
    """

    kind: str = "light"
    images: int = 1
    size: int = 32
    seconds: tuple[float, float] = (0.0, 0.0)

    def batch(self, number: int) -> UnnormalizedBatch:
        """The batch of this number; it differs from all others in its pixels."""
        shape = (self.images, self.size, self.size, 3)
        images = np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)
        images[0, 0, 0, :2] = number % 256, number // 256
        points, boxes = [], []
        for n in range(self.images):
            x, y = number % self.size, n % self.size
            points.append(ia.KeypointsOnImage([ia.Keypoint(x, y), ia.Keypoint(y, x)], shape[1:]))
            boxes.append(
                ia.BoundingBoxesOnImage([ia.BoundingBox(1, 2, x + 3, y + 4, label="quokka")], shape[1:])
            )
        return UnnormalizedBatch(images=images, keypoints=points, bounding_boxes=boxes, data=number)

    def batches(self, count: int | None = None, *, first: int = 0) -> Iterator[UnnormalizedBatch]:
        """The batches from the first on; without end if no count is given."""
        return map(self.batch, itertools.count(first) if count is None else range(first, first + count))

    def pipeline(self, journal: Journal | None = None, held: Sequence[int] = ()) -> iaa.Augmenter:
        """The pipeline, its times and its notes: these change nothing about the random streams."""
        journal_path, gate = ("", "") if journal is None else (str(journal.path), str(journal.gate))
        return iaa.Sequential([Noted(journal_path, self.seconds, held, gate), *PIPELINES[self.kind]()])

    def undisturbed(self, count: int, *, first: int = 0) -> str:
        """The SHA-256 of the stream of a run on one core, in this process, that nothing disturbs."""
        return _sha256(_alone(self, Seed("batch", SEED, number)) for number in range(first, first + count))

    def is_replay(self, batch: UnnormalizedBatch, info: BatchInfo) -> bool:
        """Whether the batch is what `client.replay` makes of its number and its seed."""
        assert info.seed is not None
        assert info.seed.index == info.index == batch.data
        return fingerprint(batch) == _alone(self, info.seed)


@functools.lru_cache(maxsize=20_000)
def _alone(job: Job, seed: Seed) -> bytes:
    """The fingerprint of a batch augmented here; kept, since many tests ask for the same."""
    packed = forms.pack(job.batch(seed.index), seed.index)
    return fingerprint(packed.keep.restore(_recipe(job).augment(packed.tree, seed)))


@functools.lru_cache
def _recipe(job: Job) -> Recipe:
    at_once = replace(job, seconds=(0.0, 0.0))
    return Recipe(pipelines.encode(at_once.pipeline()), allow_imports=(Noted.__module__,))


def sha256_of(stream: Iterable[UnnormalizedBatch]) -> str:
    """The SHA-256 of a stream of batches, in the order in which they came."""
    return _sha256(map(fingerprint, stream))


def _sha256(fingerprints: Iterable[bytes]) -> str:
    total = hashlib.sha256()
    for each in fingerprints:
        total.update(len(each).to_bytes(8, "big") + each)
    return total.hexdigest()


def judge(
    job: Job, got: Sequence[tuple[UnnormalizedBatch, BatchInfo]], count: int, *, first: int = 0
) -> None:
    """Fail unless each of the batches has come once, in order, and with the right bytes."""
    numbers = list(range(first, first + count))
    assert [info.index for _, info in got] == numbers
    assert [batch.data for batch, _ in got] == numbers
    if got and got[0][1].seed.seeding == "batch":
        assert sha256_of(batch for batch, _ in got) == job.undisturbed(count, first=first)
    else:
        wrong = [info.index for batch, info in got if not job.is_replay(batch, info)]
        assert not wrong, "not what a replay gives"


def client_for(
    job: Job,
    address: str | None = None,
    *,
    journal: Journal | None = None,
    held: Sequence[int] = (),
    **options: Any,
) -> Client:
    """A client for this job, with ``seeding="batch"`` unless the options say otherwise."""
    options = {"seed": SEED, "seeding": "batch", **options}
    return Client(job.pipeline(journal, held), address, **options)
