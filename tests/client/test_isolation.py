"""The search for guilty images, without a farm: its laws, and what it costs."""

from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augfarm.client.isolation import Isolation, Part


def search(images, fails, pick=lambda waiting: 0):
    """A finished search, and the parts that were tried; `fails` says of a part whether it does."""
    isolation = Isolation(images)
    waiting, tried = list(isolation.first), []
    while waiting:
        assert not isolation.complete
        part = waiting.pop(pick(waiting))
        tried.append(part)
        if fails(part):
            waiting += isolation.fail(part)
        else:
            isolation.keep(part)
        isolation.check()
    assert isolation.complete
    return isolation, tried


def holds(guilty):
    return lambda part: any(part.start <= image < part.stop for image in guilty)


@given(st.data(), st.integers(2, 40))
def test_the_guilty_are_named_and_all_others_kept_in_whatever_order_answers_come(data, images):
    guilty = data.draw(st.sets(st.integers(0, images - 1)))
    isolation, tried = search(
        images, holds(guilty), lambda waiting: data.draw(st.integers(0, len(waiting) - 1))
    )
    assert isolation.guilty == tuple(sorted(guilty))
    assert isolation.kept == tuple(image for image in range(images) if image not in guilty)
    assert len(tried) == len(set(tried)) <= 2 * images - 2


@given(st.data(), st.integers(2, 20))
def test_it_ends_with_each_image_in_one_place_whatever_fails(data, images):
    """Also where a part fails whose halves pass, or the other way round."""
    isolation, _ = search(images, lambda part: data.draw(st.booleans()))
    assert sorted(isolation.kept + isolation.guilty) == list(range(images))
    assert [image for part in isolation.parts for image in range(part.start, part.stop)] == list(
        isolation.kept
    )


@pytest.mark.parametrize("images", [2, 3, 8, 9, 32, 100])
def test_one_guilty_image_is_found_in_two_parts_for_each_halving(images):
    for guilty in range(images):
        _, tried = search(images, holds({guilty}))
        assert len(tried) <= 2 * ceil(log2(images))


def test_a_batch_whose_halves_pass_has_nobody_guilty():
    isolation, tried = search(7, lambda part: False)
    assert (isolation.kept, isolation.guilty, len(tried)) == (tuple(range(7)), (), 2)


def test_a_part_is_answered_once():
    isolation = Isolation(4)
    isolation.keep(isolation.first[0])
    with pytest.raises(KeyError):
        isolation.keep(isolation.first[0])
    with pytest.raises(KeyError):
        isolation.fail(Part(0, 1))
