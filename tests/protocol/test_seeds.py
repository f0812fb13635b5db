import subprocess
import sys

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import imgaug.multicore
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from augfarm.protocol.seeds import IMGAUG_SEED_MAX, SEED_MAX, Seed

NUMBERS = st.integers(0, SEED_MAX)


class Recorder:
    def seed_(self, seed):
        self.seed = seed


@given(NUMBERS, NUMBERS)
@example(0, 0)
@example(IMGAUG_SEED_MAX, 10**9)
@example(1, 10**9 - 1)
def test_seeding_by_batch_is_imgaugs(base_seed, index):
    recorder, globally = Recorder(), Recorder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imgaug.multicore.iarandom, "seed", globally.seed_)
        imgaug.multicore._reseed_global_local(base_seed + index, recorder)
    seed = Seed("batch", base_seed, index)
    assert (seed.augmenter(), seed.global_generator()) == (recorder.seed, globally.seed)


def test_known_values_by_batch():
    seed = Seed("batch", 7, 3)
    assert seed.augmenter() == 10
    assert seed.global_generator() == 10 - 10**9 + IMGAUG_SEED_MAX
    assert Seed("batch", IMGAUG_SEED_MAX - 1, 1).augmenter() == 0


@given(NUMBERS, NUMBERS, st.integers(0, 2**20))
def test_seeding_by_worker_is_two_children_of_one_root(base_seed, index, worker_id):
    seed = Seed("worker", base_seed, index, worker_id)
    root = np.random.SeedSequence(base_seed + worker_id, spawn_key=(index,))
    for mine, theirs in zip((seed.augmenter(), seed.global_generator()), root.spawn(2), strict=True):
        np.testing.assert_array_equal(mine.generate_state(8), theirs.generate_state(8))


def test_by_worker_no_two_streams_are_alike():
    states = {
        tuple(child.generate_state(4))
        for index in range(40)
        for worker in range(10)
        for seed in [Seed("worker", 1, index, worker)]
        for child in (seed.augmenter(), seed.global_generator())
    }
    assert len(states) == 40 * 10 * 2


def test_by_worker_the_sum_of_base_seed_and_worker_counts():
    # As docs/design.md says: seed 1 on worker 3 is seed 2 on worker 2.
    first, second = Seed("worker", 1, 5, 3).augmenter(), Seed("worker", 2, 5, 2).augmenter()
    np.testing.assert_array_equal(first.generate_state(4), second.generate_state(4))


def test_a_seed_gives_the_same_each_time():
    seed = Seed("worker", 1, 2, 3)
    np.testing.assert_array_equal(seed.augmenter().generate_state(4), seed.augmenter().generate_state(4))


def test_a_broker_that_reads_seeds_imports_no_numpy():
    script = "import sys, augfarm.protocol.seeds, augfarm.protocol.messages; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
