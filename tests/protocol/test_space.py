"""Parts of a memory: never two in one place, and nothing is ever lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from augfarm.protocol.space import GRAIN, Space


class Spaces(RuleBasedStateMachine):
    """Parts taken and given in any order; `check` holds after each step."""

    parts = Bundle("parts")

    def __init__(self):
        super().__init__()
        self.space = Space(16 * GRAIN)
        self.held = {}

    @rule(target=parts, octets=st.integers(0, 8 * GRAIN))
    def take(self, octets):
        start = self.space.take(octets)
        if start is not None:
            mine = range(start, start + max(octets, 1))
            assert not any(set(mine) & set(other) for other in self.held.values())
            self.held[start] = mine
        return start

    @rule(part=consumes(parts))
    def give(self, part):
        if part is not None:
            del self.held[part]
            self.space.give(part)

    @invariant()
    def laws(self):
        self.space.check()
        assert self.space.taken >= sum(map(len, self.held.values()))
        if not self.held:
            assert self.space.taken == 0
            assert self.space.take(16 * GRAIN) == 0, "what is all free is one stretch"
            self.space.give(0)


TestSpaces = Spaces.TestCase


def test_the_lowest_place_that_is_large_enough_is_taken():
    space = Space(8 * GRAIN)
    first, second, third = space.take(GRAIN), space.take(2 * GRAIN), space.take(GRAIN)
    space.give(second)
    assert space.take(GRAIN) == first + GRAIN
    assert space.take(3 * GRAIN) == third + GRAIN
    assert space.take(2 * GRAIN) is None


def test_a_part_is_given_once():
    space = Space(GRAIN)
    space.give(space.take(1))
    with pytest.raises(KeyError):
        space.give(0)


@given(st.integers(0, 3 * GRAIN))
def test_there_is_never_more_than_there_is(octets):
    space = Space(octets)
    assert space.octets <= octets
    assert space.take(octets + 1) is None
