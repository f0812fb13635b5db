"""Copies that are made by pickle are those that deepcopy makes."""

import copy
import threading

import numpy as np
import pytest
from imgaug import augmenters as iaa
from imgaug.random import RNG, get_global_rng

from augfarm.protocol import pipelines
from augfarm.protocol.augment import Recipe, _seed
from augfarm.protocol.copies import Template


class Plain:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Own:
    """Says itself how it is copied."""

    def __deepcopy__(self, memo):
        return "a copy"


def test_a_copy_has_all_and_shares_nothing():
    original = Plain(numbers=[1, 2], array=np.arange(5), inner=Plain(text="a"))
    original.again = original.inner
    one, other = Template(original).copy(), Template(original).copy()
    for made in (one, other):
        assert made.numbers == [1, 2]
        assert (made.array == np.arange(5)).all()
        assert made.again is made.inner
        assert made.inner.text == "a"
        assert made.inner is not original.inner
        assert not np.shares_memory(made.array, original.array)
    assert one.inner is not other.inner


def test_functions_and_classes_are_the_same_also_those_without_a_name():
    def local():
        pass

    original = Plain(function=local, unnamed=lambda: 1, kind=Plain, builtin=len, method=[].append)
    template = Template(original)
    assert template._written is not None, "pickle alone would not write these"
    made = template.copy()
    assert made.function is local
    assert made.unnamed is original.unnamed
    assert made.kind is Plain
    assert made.builtin is len
    assert made.method is copy.deepcopy(original).method


def test_what_is_shared_is_shared():
    shared = [1]
    made = Template(Plain(one=shared, other={"x": shared}), [shared]).copy()
    assert made.one is shared
    assert made.other["x"] is shared


def test_what_is_dropped_is_not_copied_unless_others_need_it():
    rngs = [RNG(1), RNG(2), RNG(3)]
    within = [rng.generator for rng in rngs]
    original = Plain(once=rngs[0], twice=[rngs[1], rngs[1]], inside=rngs[2], part=rngs[2].generator)
    shared = object()
    made = Template(original, [shared], rngs, within).copy()
    assert made.once is shared
    assert made.twice[0] is made.twice[1]
    assert made.twice[0].equals(rngs[1])
    assert made.part is made.inside.generator


def test_what_pickle_cannot_write_and_what_copies_itself_is_left_to_deepcopy():
    assert Template(Plain(own=Own())).copy().own == "a copy"
    with pytest.raises(TypeError, match="pickle"):
        Template(Plain(lock=threading.Lock())).copy()


def pipeline():
    shared = RNG(7)
    return iaa.Sequential(
        [
            iaa.Fliplr(0.5),
            iaa.Affine(rotate=(-20, 20), seed=shared),
            iaa.Multiply((0.8, 1.2), seed=shared),
            iaa.Sometimes(0.5, iaa.Add((-20, 20)), iaa.Dropout(0.1)),
            iaa.Lambda(func_images=lambda images, state, parents, hooks: images),
            iaa.AdditiveGaussianNoise(scale=(0, 12)).to_deterministic(),
        ],
        random_order=True,
    )


def states(augmenter):
    yield augmenter.random_state.state
    for children in augmenter.get_children_lists():
        for child in children:
            yield from states(child)


def test_a_pipeline_is_seeded_as_imgaug_does():
    one, other = pipeline(), pipeline()
    other = copy.deepcopy(one)
    for entropy in (3, 2**40):
        one.seed_(entropy)
        _seed(other, entropy)
        assert list(map(repr, states(one))) == list(map(repr, states(other)))


def test_a_recipes_copies_are_deepcopies_once_they_are_seeded():
    recipe = Recipe(pipelines.load(iaa.Sequential([iaa.Fliplr(0.5), iaa.Affine(rotate=(-20, 20))])))
    made, expected = recipe._copy(), copy.deepcopy(recipe._augmenter)
    assert recipe._template._written is not None
    _seed(made, 5)
    expected.seed_(5)
    assert list(map(repr, states(made))) == list(map(repr, states(expected)))
    assert not any(child.random_state.is_global_rng() for child in made)
    before = repr(get_global_rng().state)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(made(images=images), expected(images=images))
    assert repr(get_global_rng().state) == before
