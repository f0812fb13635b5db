from __future__ import annotations

import functools
import json
from inspect import isfunction
from typing import Any

import numpy as np
import pytest

import augfarm.compat
from augfarm.protocol import limits
from augfarm.protocol.errors import InvalidPipeline
from augfarm.protocol.pipeline_encoder import Encoder, canonical

augfarm.compat.import_imgaug()

import imgaug.augmenters as iaa  # noqa: E402
import imgaug.parameters as iap  # noqa: E402
import imgaug.random as iarandom  # noqa: E402


def node(value: Any) -> Any:
    return Encoder().node(value, "here")


def refusal(value: Any) -> InvalidPipeline:
    with pytest.raises(InvalidPipeline) as caught:
        Encoder().node(value, "")
    return caught.value


def test_canonical_json() -> None:
    assert canonical({"b": [1, 2.5], "a": "é"}) == '{"a":"é","b":[1,2.5]}'.encode()
    with pytest.raises(ValueError, match="JSON"):
        canonical(float("nan"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**100, 2**100),
        (-0.0, -0.0),
        ("é", "é"),
        (float("-inf"), {"float": "-inf"}),
        (b"ab", {"bytes": "YWI="}),
        ((1, [2]), {"tuple": [1, {"list": [2]}]}),
        ({3, 1}, {"set": [1, 3]}),
        ({"b": 1, 2: None}, {"dict": [["b", 1], [2, None]]}),
        (np.int16, {"numpy_type": "int16"}),
        (np.dtype(">f4"), {"numpy_dtype": ">f4"}),
        (np.float64(1), {"scalar": "AAAAAAAA8D8=", "dtype": "<f8"}),
        (np.uint8([[1, 2]]), {"array": "AQI=", "dtype": "|u1", "shape": [1, 2], "order": "C"}),
    ],
)
def test_values(value: Any, expected: Any) -> None:
    assert node(value) == expected
    assert type(node(value)) is type(expected)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        range(3),
        pytest.param(1 << 20_000, id="long"),
        pytest.param({1 << 20_000: 1}, id="long key"),
        "\ud800",
        np.array([None]),
        np.array(["a"]),
        np.longdouble(1),
        np.datetime64(0, "s"),
        np.random.RandomState(1),
        np.random.SeedSequence(1),
        iaa.Fliplr,
        int,
        len,
        np.add,
        # A plain function up to numpy 1.24, which travels by its name as any other does.
        pytest.param(np.flip, marks=pytest.mark.skipif(isfunction(np.flip), reason="numpy below 1.25")),
        "".join,
        functools.partial(max, 1),
        {1: {(1, object()): 2}},
        {frozenset()},
    ],
)
def test_values_that_do_not_travel(value: Any) -> None:
    assert refusal(iaa.Sequential([iaa.Noop(), iaa.Lambda(value)])).where.startswith(
        "Sequential[1].Lambda.func_images"
    )


def test_an_object_in_several_places_is_written_once() -> None:
    shared = [1]
    assert node((shared, shared, [1], shared)) == {
        "tuple": [{"list": [1], "id": 0}, {"ref": 0}, {"list": [1]}, {"ref": 0}]
    }


def test_generators() -> None:
    assert node(iarandom.RNG(None)) == {"rng": {"generator": "global"}}
    rng = iarandom.RNG(1)
    first, second = node([rng, iarandom.RNG(rng)])["list"]
    assert first["rng"]["generator"]["name"] == "SFC64"
    assert second == {"rng": {"ref": first["rng"]["id"]}}


def test_lists_of_augmenters_are_list_content() -> None:
    spec = node(iaa.Sequential([iaa.Fliplr(0.5)]))
    assert spec["object"] == "imgaug.augmenters.meta:Sequential"
    assert [item["object"] for item in spec["items"]] == ["imgaug.augmenters.flip:Fliplr"]
    assert "items" not in spec["items"][0]


def test_where_a_function_sits_and_what_to_do() -> None:
    pipeline = iaa.Sequential([iaa.Fliplr(1), iaa.Sometimes(0.5, [iaa.Lambda(lambda *a: a[0])])])
    error = refusal(pipeline)
    assert error.where == "Sequential[1].Sometimes.then_list[0].Lambda.func_images"
    for words in ("<lambda>", "made in place", "augfarm worker --allow-import my_augs"):
        assert words in str(error)


def test_functions_of_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    def f() -> None: ...

    monkeypatch.setattr(f, "__module__", "__main__")
    monkeypatch.setattr(f, "__qualname__", "f")
    assert "--allow-import" in str(refusal(iaa.Lambda(f)))


def test_functions_of_modules_travel_by_name() -> None:
    assert node(json.loads) == {"function": "json:loads"}


def test_what_writes_files_does_not_travel(tmp_path: Any) -> None:
    error = refusal(iaa.Sequential([iaa.SaveDebugImageEveryNBatches(str(tmp_path), 10)]))
    assert "writes files" in str(error)
    assert error.where == "Sequential[0].SaveDebugImageEveryNBatches"


def test_a_pipeline_that_contains_itself() -> None:
    pipeline = iaa.Sequential([])
    pipeline.append(pipeline)
    assert "contains itself" in str(refusal(pipeline))


def test_limits() -> None:
    deep = iap.Deterministic(1)
    for _ in range(limits.MAX_PIPELINE_DEPTH):
        deep = iap.Absolute(deep)
    assert "deep" in str(refusal(deep))
    assert "nodes" in str(refusal([[] for _ in range(limits.MAX_PIPELINE_NODES)]))
    # Plain values are no nodes.
    assert node(list(range(limits.MAX_PIPELINE_NODES)))


def test_what_imaugs_parameters_remember_is_left_out() -> None:
    class AutoPrefetcher(iap.StochasticParameter):  # type: ignore[misc]
        """Has the name and the attributes of imaug's."""

        def _draw_samples(self, size: Any, random_state: Any) -> None: ...

    AutoPrefetcher.__module__, AutoPrefetcher.__qualname__ = "imgaug.parameters", "AutoPrefetcher"
    used = AutoPrefetcher()
    used.samples, used.index, used.last_rng_idx, used.nb_prefetch = np.zeros(9), 4, 77, 10
    assert node(used)["attributes"] == {"samples": None, "index": 0, "last_rng_idx": None, "nb_prefetch": 10}
