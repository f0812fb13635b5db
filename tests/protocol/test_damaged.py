"""Valid inputs of every decoder (fuzz/corpus.py), changed in their bytes and in their trees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augfarm.protocol.batches import pack
from augfarm.protocol.codec import Record, encode_body
from fuzz.corpus import CORPUS, requests
from fuzz.targets import TARGETS, join

TREES = [pack(batch, 0).tree for batch in requests()]


@st.composite
def changed(draw, octets):
    """The bytes with some turned over, left out, put in or put twice."""
    octets = bytearray(octets)
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(octets)))
        length = draw(st.integers(0, 8))
        octets[start : start + length] = draw(
            st.one_of(st.binary(max_size=8), st.just(octets[:length]), st.just(octets[start:] * 2))
        )
    return bytes(octets[: 2**17])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")
@pytest.mark.parametrize("target", TARGETS)
@given(st.data())
def test_changed_bytes(target, data):
    TARGETS[target](data.draw(changed(data.draw(st.sampled_from(CORPUS[target])))))


def places(tree, path=()):
    """The path of every value inside this one."""
    inside = {}
    if isinstance(tree, dict):
        inside = tree
    elif isinstance(tree, (list, tuple)):
        inside = dict(enumerate(tree))
    elif isinstance(tree, Record):
        inside = dict(enumerate(tree.values))
    for key, value in inside.items():
        yield (*path, key)
        yield from places(value, (*path, key))


def replaced(tree, path, value):
    """The tree with another value in this place."""
    if not path:
        return value
    key, *rest = path
    if isinstance(tree, dict):
        return {k: replaced(v, rest, value) if k == key else v for k, v in tree.items()}
    if isinstance(tree, Record):
        return Record(tree.name, replaced(tree.values, path, value))
    return type(tree)(replaced(v, rest, value) if k == key else v for k, v in enumerate(tree))


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from([(), [], {}, Record("Keypoint", (1, 2)), Record("dtype", ("float32",)), b"\x89PNG"]),
)


@given(st.data())
def test_changed_trees(data):
    """What each attribute may hold is checked, wherever in a batch it stands."""
    tree = data.draw(st.sampled_from(TREES))
    for _ in range(data.draw(st.integers(1, 3))):
        all_places = list(places(tree))
        if all_places:
            path = data.draw(st.sampled_from(all_places))
            other = data.draw(LEAVES | st.just(tree))
            tree = replaced(tree, path, other)
    octets = join([bytes(frame) for frame in encode_body(tree, frame_bytes=2**18)])
    TARGETS["request"](octets)
    TARGETS["result"](octets)
