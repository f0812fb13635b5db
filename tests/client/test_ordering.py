"""The sink's order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augfarm.client.ordering import Reorder


@given(st.permutations(range(12)))
def test_ordered_gives_every_position_once_and_in_order(arrivals):
    window = Reorder(ordered=True)
    taken = []
    for position in arrivals:
        window.add(position, position)
        while window.ready():
            taken.append(window.take())
        # Nothing is held back that could go: what is taken is the longest prefix that has arrived.
        arrived = set(arrivals[: arrivals.index(position) + 1])
        prefix = next((n for n in range(13) if n not in arrived), 13)
        assert taken == list(range(prefix))
        assert len(window) == len(arrived) - prefix
    assert taken == list(range(12))


@given(st.permutations(range(12)))
def test_unordered_gives_what_comes_as_it_comes(arrivals):
    window = Reorder(ordered=False)
    for position in arrivals:
        window.add(position, position)
    assert [window.take() for _ in arrivals] == list(arrivals)
    assert not window.ready()


def test_a_position_is_added_once():
    window = Reorder(ordered=True)
    window.add(1, "b")
    with pytest.raises(AssertionError):
        window.add(1, "again")
    window.add(0, "a")
    with pytest.raises(AssertionError):
        window.add(0, "late")
