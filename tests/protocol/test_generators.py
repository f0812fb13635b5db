from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augfarm.protocol import generators
from augfarm.protocol.errors import InvalidPipeline

NAMES = ["SFC64", "PCG64", "PCG64DXSM"]


def make(name: str) -> np.random.Generator:
    return np.random.Generator(getattr(np.random, name)(12345))


@pytest.mark.parametrize("name", NAMES)
def test_goes_on_where_the_original_stands(name: str) -> None:
    generator = make(name)
    # Half a 64-bit word stays in stock, and belongs to the state.
    generator.integers(0, 100, dtype=np.int32)
    restored = generators.restore(json.loads(json.dumps(generators.dump(generator, "x"))), "x")
    again = restored.integers(0, 2**31, size=9, dtype=np.int32)
    np.testing.assert_array_equal(again, generator.integers(0, 2**31, size=9, dtype=np.int32))


@pytest.mark.parametrize("name", ["MT19937", "Philox"])
def test_other_bit_generators_are_refused_both_ways(name: str) -> None:
    with pytest.raises(InvalidPipeline, match=name):
        generators.dump(make(name), "here")
    with pytest.raises(InvalidPipeline, match="here"):
        generators.restore({"name": name, "words": [0] * 5, "has_uint32": 0, "uinteger": 0}, "here")


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**130), 2**130),
    st.floats(),
    st.text(max_size=5),
    st.just([1, 2]),
)


@given(st.sampled_from(NAMES), st.sampled_from(["name", "words", "has_uint32", "uinteger"]), VALUES)
def test_any_other_state_is_refused(name: str, key: str, value: Any) -> None:
    state = generators.dump(make(name), "x") | {key: value}
    try:
        generators.restore(state, "x")
    except InvalidPipeline:
        return
    assert generators.dump(generators.restore(state, "x"), "x") == {
        **state,
        key: int(value) if key != "words" and key != "name" else value,
    }


@pytest.mark.parametrize("state", [None, [], "SFC64", {}, {"name": "SFC64"}, {"name": []}])
def test_other_shapes_are_refused(state: Any) -> None:
    with pytest.raises(InvalidPipeline):
        generators.restore(state, "x")


@pytest.mark.parametrize("word", [-1, 2**64, True, 1.0, "1"])
def test_words_out_of_range_are_refused(word: Any) -> None:
    state = generators.dump(make("SFC64"), "x")
    state["words"][2] = word
    with pytest.raises(InvalidPipeline, match="words"):
        generators.restore(state, "x")
