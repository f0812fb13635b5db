from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from augfarm.protocol import augment, batches, pipelines
from augfarm.protocol.augment import Recipe
from augfarm.protocol.errors import InvalidPipeline
from augfarm.protocol.seeds import Seed

augment.import_imgaug()

import imgaug.augmenters as iaa  # noqa: E402
import imgaug.multicore  # noqa: E402
import imgaug.random as iarandom  # noqa: E402
from imgaug.augmentables.batches import UnnormalizedBatch  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:`estimate` is deprecated:FutureWarning")


def tutorial() -> Any:
    return iaa.Sequential(
        [iaa.PiecewiseAffine(scale=0.05, nb_cols=6, nb_rows=6), iaa.Fliplr(0.5), iaa.CropAndPad(px=(-10, 10))]
    )


def batch(number: int = 0) -> Any:
    images = np.random.RandomState(number).randint(0, 255, (2, 20, 24, 3)).astype(np.uint8)
    return UnnormalizedBatch(images=images, keypoints=[[(1.5, 2.0)], [(3.0, 4.0), (5.0, 6.0)]])


def run(recipe: Recipe, batch: Any, seed: Seed) -> Any:
    packed = batches.pack(batch, seed.index)
    return packed.keep.restore(recipe.augment(packed.tree, seed))


def same(one: Any, other: Any) -> bool:
    return one.keypoints_aug == other.keypoints_aug and all(
        np.array_equal(a, b) for a, b in zip(one.images_aug, other.images_aug, strict=True)
    )


def test_equals_imgaugs_pool_bit_for_bit() -> None:
    # More BLAS threads than cores make PiecewiseAffine many times slower.
    with threadpool_limits(1), imgaug.multicore.Pool(tutorial(), processes=1, seed=1) as pool:
        expected = pool.map_batches([batch(i) for i in range(4)])
    recipe = Recipe(pipelines.encode(tutorial()))
    for index in (2, 0, 3, 1):
        assert same(run(recipe, batch(index), Seed("batch", 1, index)), expected[index])
    assert not same(run(recipe, batch(0), Seed("batch", 2, 0)), expected[0])


#: This file stands for the module that an operator allows.
CUSTOM = (__name__,)


class Stateful(iaa.Augmenter):  # type: ignore[misc]
    """Remembers how often it was used, and shows it; holds the global generator and draws from it."""

    def __init__(self) -> None:
        super().__init__()
        self.used = 0
        self.held = iarandom.RNG(None)

    def _augment_batch_(self, batch: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
        self.used += 1
        assert self.held.is_global_rng()
        drawn = int(self.held.integers(0, 100))
        batch.images = [np.full_like(image, 100 * self.used + drawn) for image in batch.images]
        return batch

    def get_parameters(self) -> list[Any]:
        return []


class Failing(iaa.Augmenter):  # type: ignore[misc]
    def _augment_batch_(self, batch: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
        iarandom.get_global_rng().integers(0, 100)
        raise LookupError("of the augmenter's own")

    def get_parameters(self) -> list[Any]:
        return []


def test_no_state_leads_from_one_batch_to_another() -> None:
    recipe = Recipe(pipelines.encode(Stateful()), allow_imports=CUSTOM)
    seed = Seed("batch", 1, 5)
    first = run(recipe, batch(), seed)
    run(recipe, batch(1), Seed("batch", 1, 6))
    assert same(run(recipe, batch(), seed), first)


def test_an_augmenter_that_holds_the_global_generator_draws_from_the_seeded_one() -> None:
    recipe = Recipe(pipelines.encode(Stateful()), allow_imports=CUSTOM)
    values = {int(run(recipe, batch(), Seed("batch", 1, i)).images_aug[0][0, 0, 0]) for i in range(8)}
    assert len(values) > 1


def test_the_global_generator_is_left_as_it_was() -> None:
    iarandom.seed(77)
    before = repr(iarandom.get_global_rng().state)
    recipe = Recipe(pipelines.encode(tutorial()))
    assert repr(iarandom.get_global_rng().state) == before
    run(recipe, batch(), Seed("worker", 1, 0, 3))
    assert repr(iarandom.get_global_rng().state) == before
    with pytest.raises(LookupError):
        run(Recipe(pipelines.encode(Failing()), allow_imports=CUSTOM), batch(), Seed("batch", 1, 0))
    assert repr(iarandom.get_global_rng().state) == before


def test_the_recipe_depends_on_nothing_in_this_process() -> None:
    def deterministic_by_hand() -> Any:
        augmenter = iaa.Add((0, 200))
        augmenter.deterministic = True
        return augmenter

    results = []
    for state in (1, 2):
        iarandom.seed(state)
        recipe = Recipe(pipelines.encode(deterministic_by_hand()))
        results.append(run(recipe, batch(), Seed("batch", 1, 0)))
    assert same(*results)


def test_an_augmenters_error_comes_unchanged() -> None:
    recipe = Recipe(pipelines.encode(Failing()), allow_imports=CUSTOM)
    with pytest.raises(LookupError, match="of the augmenter's own"):
        run(recipe, batch(), Seed("batch", 1, 0))


def test_worker_seeds_reach_imgaug_with_all_their_bits() -> None:
    seed = Seed("worker", 2**60, 2**61, 7)
    root = np.random.SeedSequence(2**60 + 7, spawn_key=(2**61,))
    for ours, expected in zip((seed.augmenter(), seed.global_generator()), root.spawn(2), strict=True):
        wanted = np.random.SFC64(expected).state["state"]["state"]
        assert iarandom.RNG(ours).state["state"]["state"].tolist() == wanted.tolist()
    augmenter = iaa.Fliplr(0.5)
    augmenter.seed_(seed.augmenter())
    assert augmenter.random_state.state["state"]["state"].tolist() == (
        np.random.SFC64(np.random.SeedSequence(2**60 + 7, spawn_key=(2**61, 0)))
        .state["state"]["state"]
        .tolist()
    )


def test_worker_seeds_differ_by_worker_and_index() -> None:
    recipe = Recipe(pipelines.encode(iaa.AdditiveGaussianNoise(scale=20)))
    seeds = [Seed("worker", 1, index, worker) for index in (0, 1) for worker in (0, 1)]
    results = [run(recipe, batch(), seed).images_aug.tobytes() for seed in seeds]
    assert len(set(results)) == 4
    assert run(recipe, batch(), seeds[2]).images_aug.tobytes() == results[2]


def test_a_spec_whose_augmenters_do_not_fit_together() -> None:
    spec = pipelines.encode(iaa.Sequential([iaa.Sometimes(0.5, iaa.Noop())]))
    with pytest.raises(InvalidPipeline, match="fit together"):
        Recipe(spec.replace(b'"then_list"', b'"than_list"'))


def test_the_request_is_not_changed() -> None:
    packed = batches.pack(batch(), 0)
    before = packed.tree["columns"]["images"].copy()
    Recipe(pipelines.encode(iaa.Add(50))).augment(packed.tree, Seed("batch", 1, 0))
    np.testing.assert_array_equal(packed.tree["columns"]["images"], before)


def test_a_pipeline_is_shown_a_line_for_each_augmenter() -> None:
    flip = iaa.Fliplr(0.5, name="mirror")
    shown = iaa.Sequential([flip, iaa.Sometimes(0.5, iaa.Identity(), iaa.Invert(1.0))], name="all")
    lines = str(Recipe(pipelines.encode(shown))).splitlines()
    assert [line.partition("(")[0] for line in lines] == [
        "Sequential 'all'",
        "  Fliplr",
        "  Sometimes",
        "    Identity",
        "    Invert",
    ]
    assert lines[1].startswith("  Fliplr(name=mirror, parameters=[Binomial(")
