from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import augfarm.compat
from augfarm.protocol import limits
from augfarm.protocol.errors import InvalidPipeline
from augfarm.protocol.pipeline_decoder import _FORMS, Decoder
from augfarm.protocol.pipeline_encoder import Encoder, canonical

augfarm.compat.import_imgaug()

import imgaug.augmenters as iaa  # noqa: E402
import imgaug.parameters as iap  # noqa: E402
import imgaug.random as iarandom  # noqa: E402


def decode(spec: Any) -> Any:
    return Decoder(()).node(spec, "")


def again(value: Any) -> Any:
    """The value after a journey as JSON."""
    return decode(json.loads(canonical(Encoder().node(value, ""))))


KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.complex_numbers(allow_nan=False),
)
VALUES = st.recursive(
    KEYS,
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner, inner),
        st.dictionaries(KEYS, inner, max_size=4),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
    ),
    max_leaves=20,
)


@given(VALUES)
def test_plain_values_come_back_equal_and_of_their_types(value: Any) -> None:
    result = again(value)
    assert result == value
    # repr tells True from 1 and 1 from 1.0; sets have an order of their own.
    if "{" not in repr(value) and "frozenset" not in repr(value):
        assert repr(result) == repr(value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.asfortranarray(np.arange(12, dtype=">i2").reshape(3, 4)),
        np.arange(12)[::2],
        np.zeros((0, 3), np.uint8),
        np.array(3.5),
        np.array([True, False]),
    ],
)
def test_arrays(array: np.ndarray[Any, Any]) -> None:
    result = again(array)
    np.testing.assert_array_equal(result, array)
    assert (result.dtype, result.shape) == (array.dtype, array.shape)
    assert result.flags.writeable


@pytest.mark.parametrize("value", [np.float32(0.1), np.uint64(2**64 - 1), np.bool_(True), np.complex64(1j)])
def test_numpy_scalars(value: Any) -> None:
    assert again(value) == value
    assert type(again(value)) is type(value)


def test_numpy_types_and_nan() -> None:
    assert again([np.int16, np.dtype("<u2")]) == [np.int16, np.dtype("<u2")]
    assert np.isnan(again(float("nan")))


def test_sharing_is_kept() -> None:
    rng = iarandom.RNG(5)
    shared = iap.Uniform(0, 1)
    one, other = again([shared, shared])
    assert one is other
    pipeline = again(iaa.Sequential([iaa.Add(1, seed=rng), iaa.Add(1, seed=rng)]))
    first, second = pipeline
    # imgaug wraps the generator of an RNG in an RNG for each augmenter.
    assert first.random_state.generator is second.random_state.generator
    assert not first.random_state.is_global_rng()
    assert pipeline.random_state.is_global_rng()


def test_the_global_generator_is_not_touched() -> None:
    iarandom.get_global_rng().integers(0, 10, dtype="int32")
    before = repr(iarandom.get_global_rng().state)
    again(iaa.Sequential([iaa.Fliplr(0.5)]))
    assert repr(iarandom.get_global_rng().state) == before


FLIP = Encoder().node(iaa.Fliplr(0.5), "")
SEQUENTIAL = Encoder().node(iaa.Sequential([iaa.Fliplr(0.5)]), "")


def changed(spec: Any, *path: Any, to: Any) -> Any:
    spec = copy.deepcopy(spec)
    inner = spec
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return spec


@pytest.mark.parametrize(
    "spec",
    [
        [],
        {},
        {"id": 1},
        {"list": [], "tuple": []},
        {"list": {}},
        {"list": [], "id": True},
        {"list": [{"list": [], "id": 1}, {"list": [], "id": 1}]},
        {"list": [{"ref": 1}], "id": 1},
        {"ref": 0},
        {"ref": 1.0},
        {"ref": []},
        {"tuple": [], "id": 1},
        {"tuple": [], "more": 1},
        {"set": [{"list": []}]},
        {"set": [{"object": "imgaug.parameters:Deterministic", "attributes": {}}]},
        {"dict": [[1]]},
        {"dict": [[{"list": []}, 1]]},
        {"dict": {}},
        {"float": "1.0"},
        {"float": []},
        {"complex": [1.0]},
        {"complex": [1, 2]},
        {"bytes": "YWI"},
        {"bytes": "é"},
        {"bytes": 3},
        {"array": "AA==", "dtype": "|u1", "shape": [2], "order": "C"},
        {"array": "AA==", "dtype": "|O", "shape": [1], "order": "C"},
        {"array": "AA==", "dtype": "|u1", "shape": [1], "order": []},
        {"array": "AA==", "dtype": "|u1", "shape": [-1], "order": "C"},
        {"array": "", "dtype": "|u1", "shape": [0, 2**62], "order": "C"},
        {"scalar": "AA==", "dtype": "<f8"},
        {"numpy_dtype": "i4,i4"},
        {"numpy_dtype": []},
        {"numpy_type": "object"},
        {"numpy_type": []},
        {"rng": 1},
        {"rng": {"list": []}},
        {"generator": "local"},
        {"function": "os:system"},
        {"function": "imgaug.imgaug:imshow"},
        {"object": "imgaug.imgaug:os", "attributes": {}},
        {"object": "imgaug.augmenters.meta:Augmenter", "attributes": FLIP["attributes"]},
        {"object": "imgaug.augmenters.flip:Fliplr", "attributes": {}},
        {"object": "imgaug.parameters:StochasticParameter", "attributes": []},
        changed(FLIP, "attributes", "random_state", to=None),
        changed(FLIP, "attributes", "name", to=1),
        changed(FLIP, "attributes", "augment_batch_", to=1),
        changed(FLIP, "attributes", "__class__", to=1),
        changed(FLIP, "items", to=[]),
        {key: value for key, value in SEQUENTIAL.items() if key != "items"},
    ],
)
def test_what_the_encoder_does_not_write_is_refused(spec: Any) -> None:
    with pytest.raises(InvalidPipeline):
        decode(spec)


def test_errors_say_where() -> None:
    with pytest.raises(InvalidPipeline) as caught:
        decode(changed(SEQUENTIAL, "items", 0, "attributes", "p", to={"ref": 9}))
    assert caught.value.where == "Sequential[0].Fliplr.p"


def test_nothing_of_the_class_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("called")

    for name in ("__init__", "__setattr__"):
        monkeypatch.setattr(iaa.Fliplr, name, never)
    assert decode(FLIP).name == "UnnamedFliplr"


def test_limits() -> None:
    spec: Any = 1
    for _ in range(limits.MAX_PIPELINE_DEPTH):
        spec = {"list": [spec]}
    assert decode(spec)
    with pytest.raises(InvalidPipeline, match="deep"):
        decode({"list": [spec]})
    with pytest.raises(InvalidPipeline, match="nodes"):
        decode({"list": [{"list": []}] * limits.MAX_PIPELINE_NODES})


def test_a_small_spec_cannot_stand_for_a_huge_pipeline() -> None:
    """Each level holds the one below twice: imgaug would walk 2^29 augmenters."""
    spec: Any = json.loads(canonical(Encoder().node(iaa.Sequential([]), "")))
    spec["id"] = 0
    for level in range(1, 30):
        spec = {**spec, "items": [spec, {"ref": level - 1}], "id": level}
    assert len(json.dumps(spec)) < 100_000
    with pytest.raises(InvalidPipeline, match="nodes"):
        decode(spec)


@pytest.mark.parametrize("kind", ["set", "frozenset", "dict"])
def test_keys_made_to_collide_are_few(kind: str) -> None:
    keys = [n * (2**61 - 1) for n in range(limits.MAX_PIPELINE_KEYS + 1)]
    spec = {kind: [[key, 0] for key in keys] if kind == "dict" else keys}
    with pytest.raises(InvalidPipeline, match="keys"):
        decode(spec)


WORDS = [
    *_FORMS,
    "id",
    "attributes",
    "items",
    "dtype",
    "shape",
    "order",
    "global",
    "imgaug.parameters:Uniform",
]
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(WORDS)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=4), inner, max_size=3),
        st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
        *(st.fixed_dictionaries({form: inner}) for form in _FORMS),
    ),
    max_leaves=12,
)
WHOLE = Encoder().node(
    iaa.Sequential(
        [
            iaa.Sometimes(0.3, iaa.Rain()),
            iaa.Resize({"height": (16, 30), "width": [10, 20]}, interpolation=["nearest", "linear"]),
            iaa.Convolve(np.ones((3, 3), np.float32), seed=3),
            iaa.AssertShape((None, 3, (1, 2), [1, 3])),
            iaa.Add(np.float64(3), seed=iarandom.RNG(4)).to_deterministic(),
        ],
        random_order=True,
    ),
    "",
)


def places(spec: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside this one."""
    inside = spec.items() if isinstance(spec, dict) else enumerate(spec) if isinstance(spec, list) else ()
    for key, value in inside:
        yield (*path, key)
        yield from places(value, (*path, key))


PLACES = list(places(WHOLE))


@given(st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=3))
def test_a_changed_spec_is_decoded_or_refused(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    spec = WHOLE
    for path, value in changes:
        try:
            spec = changed(spec, *path, to=value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change has removed this place
    try:
        decode(spec)
    except InvalidPipeline as error:
        str(error).encode("ascii", "backslashreplace")


@given(JSON)
def test_any_json_is_decoded_or_refused(spec: Any) -> None:
    with contextlib.suppress(InvalidPipeline):
        decode(spec)
