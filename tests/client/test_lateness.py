"""When a batch is late."""

from hypothesis import given
from hypothesis import strategies as st

from augfarm.client.lateness import FACTOR, FEWEST, LEAST_S, SAMPLES, Lateness


def after(*seconds):
    lateness = Lateness()
    for each in seconds:
        lateness.answered(each)
    return lateness.allowed


def test_nothing_is_late_before_enough_is_known():
    assert after(*[1.0] * (FEWEST - 1)) is None


def test_twice_the_median_and_never_below_the_least():
    assert after(*[1.0] * FEWEST) == FACTOR
    assert after(*[1.0] * FEWEST, 50.0, 60.0) == FACTOR, "what one slow worker did changes little"
    assert after(*[0.001] * FEWEST) == LEAST_S


@given(st.lists(st.floats(0, 1e6), min_size=FEWEST, max_size=3 * SAMPLES), st.floats(0, 1e6))
def test_the_old_is_forgotten(before, now):
    assert after(*before, *[now] * SAMPLES) == max(LEAST_S, FACTOR * now)
