from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import augfarm.compat
from augfarm.protocol import limits, pipelines
from augfarm.protocol.errors import InvalidPipeline

augfarm.compat.import_imgaug()

import imgaug.augmenters as iaa  # noqa: E402
import imgaug.parameters as iap  # noqa: E402
import imgaug.random as iarandom  # noqa: E402
from imgaug.augmentables.batches import UnnormalizedBatch  # noqa: E402

IMAGES = np.random.RandomState(0).randint(0, 255, (2, 24, 30, 3)).astype(np.uint8)
SHARED = iarandom.RNG(7)

#: One augmenter of each kind of state: lists, helpers, functions, arrays, dtypes, deep parameters, sharing.
AUGMENTERS = {
    augmenter.name: augmenter
    for augmenter in (
        iaa.AddElementwise((-40, 40), per_channel=0.5),
        iaa.Affine(scale={"x": (0.8, 1.2), "y": [0.9, 1.1]}, rotate=iap.Normal(0, 20), mode=["edge", "wrap"]),
        iaa.AssertShape((None, 24, [20, 30], (1, 4))),
        iaa.AveragePooling([2, 3]),
        iaa.BlendAlphaMask(iaa.InvertMaskGen(0.5, iaa.VerticalLinearGradientMaskGen()), iaa.Add(50)),
        iaa.BlendAlphaSimplexNoise(iaa.EdgeDetect(1.0)),
        iaa.Canny(colorizer=iaa.RandomColorsBinaryImageColorizer((100, 200))),
        iaa.CLAHE((1, 10)),
        iaa.CoarseDropout(0.2, size_percent=0.2),
        iaa.Convolve(np.array([[0, 0.5], [0.5, 0]], np.float32)),
        iaa.CropAndPad(px=(-10, 10)),
        iaa.ElasticTransformation(alpha=(10.0, 20.0), sigma=5.0),
        iaa.Fog(),
        iaa.GammaContrast((0.5, 2.0)),
        iaa.KeepSizeByResize(iaa.Crop(px=(1, 5))),
        iaa.KMeansColorQuantization(3),
        iaa.MotionBlur(5),
        iaa.OneOf([iaa.Fliplr(1.0), iaa.Flipud(1.0)]),
        iaa.PiecewiseAffine(scale=(0.01, 0.05), nb_rows=(2, 4)),
        iaa.RandAugment(n=2, m=5),
        iaa.ReplaceElementwise(0.2, iap.Choice([0, np.uint8(255)], p=[0.3, 0.7])),
        iaa.Resize({"height": (16, 30), "width": [10, 20]}, interpolation=["nearest", "linear"]),
        iaa.Sequential(
            [iaa.Add((1, 9), seed=SHARED), iaa.Add((1, 9), seed=SHARED)], random_order=True, name="shared"
        ),
        iaa.SomeOf((1, None), [iaa.Fliplr(0.5), iaa.Add((1, 99)).to_deterministic()], random_order=True),
        iaa.Sometimes(0.5, [iaa.Fliplr(1.0)], [iaa.Flipud(1.0)]),
        iaa.UniformVoronoi((20, 40)),
        iaa.WithColorspace("HSV", children=iaa.WithChannels(0, iaa.Add((10, 50)))),
        iaa.WithHueAndSaturation(iaa.Multiply((0.5, 1.5))),
        iaa.pillike.FilterSharpen(),
        iaa.pillike.EnhanceColor(),
    )
}


def augmented(augmenter: Any) -> Any:
    iarandom.seed(3)
    augmenter.seed_(4)
    return augmenter.augment_batch_(UnnormalizedBatch(images=IMAGES.copy())).images_aug


@pytest.mark.filterwarnings("ignore:`estimate` is deprecated:FutureWarning")
@pytest.mark.parametrize("name", AUGMENTERS)
def test_equal_output_after_the_journey(name: str) -> None:
    original = AUGMENTERS[name]
    spec = pipelines.encode(original)
    copy = pipelines.decode(spec)
    assert pipelines.encode(copy) == spec
    expected, result = augmented(original), augmented(copy)
    assert type(result) is type(expected)
    for one, other in zip(result, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.filterwarnings("ignore:AffineCv2 is deprecated")
def test_every_augmenter_that_needs_no_arguments() -> None:
    made = 0
    for name in dir(iaa):
        cls = getattr(iaa, name)
        if isinstance(cls, type) and issubclass(cls, iaa.Augmenter):
            try:
                augmenter = cls()
            except (TypeError, AssertionError):
                continue
            spec = pipelines.encode(augmenter)
            assert pipelines.encode(pipelines.decode(spec)) == spec
            made += 1
    assert made > 80


def test_specs_of_equal_pipelines_are_equal_bytes() -> None:
    make = lambda: iaa.Sequential([iaa.Affine(rotate=(-9, 9)), iaa.Fliplr(0.5)])  # noqa: E731
    first, second = pipelines.encode(make()), pipelines.encode(make())
    assert first == second
    assert json.dumps(json.loads(first), sort_keys=True, separators=(",", ":")).encode() == first
    assert pipelines.digest(first) == hashlib.sha256(first).digest()


def test_envelope() -> None:
    envelope = json.loads(pipelines.encode(iaa.Noop()))
    distribution, version = augfarm.compat.imgaug_distribution()
    assert envelope["augfarm"] == 1
    assert envelope["imgaug"] == {"distribution": distribution, "version": version}


def test_the_global_generator_is_the_receivers() -> None:
    augmenter = pipelines.decode(pipelines.encode(iaa.Fliplr(0.5)))
    assert augmenter.random_state.is_global_rng()


def test_encoding_changes_nothing() -> None:
    original = AUGMENTERS["shared"]
    before = repr(SHARED.state)
    pipelines.encode(original)
    assert repr(SHARED.state) == before


@pytest.mark.parametrize("ours", [("imaug", "0.4.9"), ("imgaug", "0.4.9")])
def test_another_imgaug_on_the_other_side(monkeypatch: pytest.MonkeyPatch, ours: tuple[str, str]) -> None:
    theirs = " ".join(augfarm.compat.imgaug_distribution())
    spec = pipelines.encode(iaa.Noop())
    monkeypatch.setattr(augfarm.compat, "imgaug_distribution", lambda: ours)
    with pytest.raises(InvalidPipeline) as caught:
        pipelines.decode(spec)
    assert theirs in str(caught.value)
    assert " ".join(ours) in str(caught.value)


# --- a module of the user's --------------------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "my_pipeline_augs.py").write_text(
        "import imgaug.augmenters as iaa\n"
        "class Brighter(iaa.Augmenter):\n"
        "    def __init__(self, by): super().__init__(); self.by = by\n"
        "    def _augment_batch_(self, batch, random_state, parents, hooks):\n"
        "        batch.images = batch.images + self.by\n"
        "        return batch\n"
        "    def get_parameters(self): return [self.by]\n"
        "def invert(images, random_state, parents, hooks): return 255 - images\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import my_pipeline_augs  # type: ignore[import-not-found]

    yield my_pipeline_augs
    del sys.modules["my_pipeline_augs"]


def test_a_users_augmenters_and_functions(mine: Any) -> None:
    spec = pipelines.encode(iaa.Sequential([mine.Brighter(3), iaa.Lambda(mine.invert)]))
    with pytest.raises(InvalidPipeline, match="--allow-import my_pipeline_augs") as caught:
        pipelines.decode(spec)
    assert caught.value.where.startswith("Sequential[0]")
    copy = pipelines.decode(spec, allow_imports=("my_pipeline_augs",))
    np.testing.assert_array_equal(augmented(copy), 255 - (IMAGES + 3))


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 3, object(), iap.Uniform(0, 1), iaa.Fliplr, len])
def test_other_things_are_no_pipeline(value: Any) -> None:
    for function in (pipelines.encode, pipelines.load):
        with pytest.raises(InvalidPipeline):
            function(value)


def test_a_list_is_refused_with_advice() -> None:
    with pytest.raises(InvalidPipeline, match="Sequential"):
        pipelines.load([iaa.Fliplr(0.5)])


NOOP = json.loads(pipelines.encode(iaa.Noop()))


@pytest.mark.parametrize(
    "spec",
    [
        b"",
        b"\xff",
        b"{",
        b"[]",
        b"1" * 5000,
        b"[" * 100_000,
        b'{"augfarm":NaN}',
        b" " * (limits.MAX_SPEC_BYTES + 1),
        json.dumps({**NOOP, "augfarm": 2}).encode(),
        json.dumps({**NOOP, "augfarm": True}).encode(),
        json.dumps({**NOOP, "augfarm": [[]]}).encode(),
        json.dumps({**NOOP, "more": 1}).encode(),
        json.dumps({**NOOP, "imgaug": {"distribution": 1, "version": "0.4.0"}}).encode(),
        json.dumps({**NOOP, "imgaug": "0.4.0"}).encode(),
        json.dumps({**NOOP, "pipeline": None}).encode(),
        json.dumps({**NOOP, "pipeline": {"list": []}}).encode(),
        json.dumps({**NOOP, "pipeline": {"object": "os:system", "attributes": {}}}).encode(),
    ],
    ids=lambda spec: repr(spec[:20]),
)
def test_bytes_that_are_no_spec(spec: bytes) -> None:
    with pytest.raises(InvalidPipeline):
        pipelines.decode(spec)


def test_a_parameter_is_no_pipeline() -> None:
    spec = {**NOOP, "pipeline": {"object": "imgaug.parameters:Deterministic", "attributes": {"value": 1}}}
    with pytest.raises(InvalidPipeline, match="root"):
        pipelines.decode(json.dumps(spec).encode())


WHOLE = pipelines.encode(iaa.Sequential([iaa.Fliplr(0.5), iaa.Resize((10, 20)), iaa.Rain()]))


@given(st.data())
def test_damaged_bytes_are_decoded_or_refused(data: st.DataObject) -> None:
    spec = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(spec)))
        length = data.draw(st.integers(0, 8))
        spec[start : start + length] = data.draw(st.one_of(st.binary(max_size=8), st.just(spec[:length])))
    with contextlib.suppress(InvalidPipeline):
        pipelines.decode(spec)


@given(st.binary())
def test_any_bytes_are_decoded_or_refused(spec: bytes) -> None:
    with pytest.raises(InvalidPipeline):
        pipelines.decode(spec)


# --- load --------------------------------------------------------------------------------------------------


def test_load_takes_four_forms(tmp_path: Path) -> None:
    augmenter = iaa.Sequential([iaa.Fliplr(0.5)], name="é")
    spec = pipelines.encode(augmenter)
    path = tmp_path / "spec.json"
    # As somebody's editor leaves it.
    path.write_text(json.dumps(json.loads(spec), indent=2))
    for form in (augmenter, path, str(path), json.loads(spec), spec, bytearray(spec), path.read_bytes()):
        assert pipelines.load(form) == spec


def test_load_says_which_file_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text("[]")
    for path in (tmp_path / "absent.json", tmp_path / "wrong.json", tmp_path, "a\0b"):
        with pytest.raises(InvalidPipeline) as caught:
            pipelines.load(path)
        assert caught.value.where == str(path)


@pytest.mark.parametrize("spec", [{}, {**NOOP, 1: 2}, {**NOOP, "pipeline": {"object": "a:b", "x": {1, 2}}}])
def test_load_refuses_other_dicts(spec: Any) -> None:
    with pytest.raises(InvalidPipeline):
        pipelines.load(spec)


def test_load_does_not_import_imgaug(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_bytes(WHOLE)
    code = (
        "import sys\n"
        "from augfarm.protocol import pipelines\n"
        "from augfarm.protocol.errors import InvalidPipeline\n"
        "spec = pipelines.load(sys.argv[1])\n"
        "assert len(pipelines.digest(spec)) == 32\n"
        "try: pipelines.load(object())\n"
        "except InvalidPipeline: pass\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] in ('imgaug', 'cv2')]\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_what_imgaug_computes_for_a_whole_class_is_there_in_a_process_that_only_decodes(
    tmp_path: Path,
) -> None:
    """AddToHueAndSaturation fills a table of its class when the first one is made."""
    path = tmp_path / "spec.json"
    path.write_bytes(pipelines.encode(iaa.AddToHueAndSaturation((-20, 20))))
    code = (
        "import sys, numpy\n"
        "from augfarm.protocol import pipelines\n"
        "augmenter = pipelines.decode(open(sys.argv[1], 'rb').read())\n"
        "augmenter.augment_images(numpy.zeros((1, 8, 8, 3), numpy.uint8))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
