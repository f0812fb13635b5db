"""What seeds a batch, under both schemes. Pure: numpy only.

``seeding="worker"`` (the default of ``Client``)
    The root is ``SeedSequence(base_seed + worker_id, spawn_key=(index,))``. Two children spawned from it
    seed the augmenter and imgaug's global generator, with all the bits that imgaug's SFC64 takes (seeds of
    31 bits, as imgaug's own, collide within 100,000 batches). Workers share no stream; which batch meets
    which worker depends on timing. Runs with other base seeds can share streams: seed 1 on worker 3 is
    seed 2 on worker 2.

``seeding="batch"`` (``Pool`` uses it)
    The seed is ``base_seed + index``, exactly as in ``imgaug.multicore._reseed_global_local``: the output
    is the same for any number of workers, any order and any failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import numpy as np

__all__ = ["IMGAUG_SEED_MAX", "SEEDINGS", "SEED_MAX", "Seed", "Seeding"]

Seeding = Literal["worker", "batch"]
SEEDINGS: tuple[Seeding, ...] = get_args(Seeding)

#: Base seeds and indices travel as unsigned 64-bit numbers; half of them, so that sums stay inside.
SEED_MAX = 2**63 - 1
#: imgaug.random.SEED_MAX_VALUE; imgaug's Pool takes base seeds up to it.
IMGAUG_SEED_MAX = 2**31 - 1
#: imgaug.multicore._reseed_global_local gives the global generator this offset from the augmenter's seed.
IMGAUG_GLOBAL_OFFSET = -(10**9)


@dataclass(frozen=True)
class Seed:
    """What seeded one batch: all that a replay needs besides the pipeline and the batch.

    Attributes:
        seeding: "worker" or "batch".
        base_seed: the client's seed.
        index: the batch's number.
        worker_id: the worker that augmented it; 0 with ``seeding="batch"``, where it plays no part.
    """

    seeding: Seeding
    base_seed: int
    index: int
    worker_id: int = 0

    def augmenter(self) -> int | np.random.SeedSequence:
        """What ``Augmenter.seed_`` takes for this batch."""
        if self.seeding == "batch":
            return _imgaug_seed(self.base_seed + self.index)
        return self._root().spawn(2)[0]

    def global_generator(self) -> int | np.random.SeedSequence:
        """What ``imgaug.random.seed`` takes for this batch."""
        if self.seeding == "batch":
            return _imgaug_seed(self.base_seed + self.index + IMGAUG_GLOBAL_OFFSET)
        return self._root().spawn(2)[1]

    def _root(self) -> np.random.SeedSequence:
        import numpy as np  # here: the broker reads this file and never needs numpy, which takes 0.15 s

        return np.random.SeedSequence(self.base_seed + self.worker_id, spawn_key=(self.index,))


def _imgaug_seed(seed: int) -> int:
    """imgaug.multicore._derive_seed, whose range begins at 0."""
    return seed % IMGAUG_SEED_MAX
