"""A pipeline's augmenters one by one."""

import json

import imgaug.augmenters as iaa
import imgaug.parameters as iap
import numpy as np
import pytest

from augfarm.client.preview.parts import parts
from augfarm.protocol import pipelines
from augfarm.protocol.errors import InvalidPipeline
from farms import ten_augmenters
from sweep.catalogue import AUGMENTERS, NEVER_SENT


def of(augmenter):
    return parts(pipelines.encode(augmenter))


def words(augmenter):
    (part,) = of(augmenter)
    return f"{part.name}: {part.parameters}"


def test_nested_augmenters_come_in_order_each_with_its_place():
    found = [(part.name, part.place) for part in of(ten_augmenters())]
    assert found == [
        ("Fliplr", ()),
        ("Affine", ()),
        ("Multiply", ("SomeOf(n=(1, 2))",)),
        ("Add", ("SomeOf(n=(1, 2))",)),
        ("AdditiveGaussianNoise", ("Sometimes(p=0.5) else",)),
        ("GaussianBlur", ("Sometimes(p=0.5) then",)),
        ("Dropout", ("OneOf",)),
        ("CoarseDropout", ("OneOf",)),
        ("LinearContrast", ()),
        ("WithChannels", ()),
        ("Add", ("WithChannels",)),
        ("AddToHueAndSaturation", ()),
        ("ElasticTransformation", ()),
        ("CropAndPad", ()),
    ]


def test_a_part_is_the_augmenter_alone():
    pipeline = ten_augmenters()
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    alone = {part.name: pipelines.decode(part.spec) for part in of(pipeline)}
    for child in pipeline:
        part = alone.get(type(child).__name__)
        if part is None:
            continue  # a container
        part.seed_(5)
        child.seed_(5)
        assert np.array_equal(part(image=image), child(image=image)), child


@pytest.mark.parametrize("name", sorted(AUGMENTERS.keys() - NEVER_SENT))
def test_every_augmenter_of_imgaug_gives_parts_that_can_be_made(name):
    found = of(AUGMENTERS[name]())
    assert found
    for part in found:
        pipelines.decode(part.spec, allow_imports=pipelines.imports(part.spec))
        assert len(part.parameters) < 700
        assert "random_state" not in part.parameters


@pytest.mark.parametrize(
    ("augmenter", "expected"),
    [
        (iaa.Fliplr(0.5), "Fliplr: p=0.5"),
        (iaa.Fliplr(0.5, name="mirror"), "Fliplr 'mirror': p=0.5"),
        (iaa.Identity(), "Identity: "),
        (iaa.GaussianBlur((0, 1.5)), "GaussianBlur: sigma=(0, 1.5)"),
        (iaa.Add((-10, 10), per_channel=0.5), "Add: value=(-10, 10), per_channel=0.5"),
        (iaa.Add([1, 2, 3]), "Add: value=[1, 2, 3], per_channel=0"),
        (iaa.Multiply(iap.Normal(1, 0.1)), "Multiply: mul=Normal(loc=1, scale=0.1), per_channel=0"),
        (iaa.Invert(0.3, per_channel=True), None),
        (iaa.GammaContrast((0.5, 2.0)), "GammaContrast: params1d=[(0.5, 2)], per_channel=0"),
        (iaa.Convolve(np.ones((2, 3))), "Convolve: matrix=array of 2×3"),
    ],
)
def test_parameters_read_as_they_were_typed(augmenter, expected):
    assert expected is None or words(augmenter) == expected


def test_what_is_drawn_anew_comes_before_what_is_always_the_same():
    text = words(iaa.Affine(rotate=(-20, 20), mode=["edge", "wrap"]))
    assert text.startswith("Affine: mode=['edge', 'wrap'], rotate=(-20, 20), ")
    assert "translate" not in text
    assert text.endswith("cval=0, fit_output=False, order=1, scale=1, shear=0")


def test_containers_that_change_the_image_are_parts_and_so_is_what_they_hold():
    found = of(iaa.BlendAlpha(0.5, iaa.Add(1), iaa.Sequential([iaa.Fliplr(1), iaa.Flipud(1)])))
    assert [(part.name, part.place) for part in found] == [
        ("BlendAlpha", ()),
        ("Fliplr", ("BlendAlpha background",)),
        ("Flipud", ("BlendAlpha background",)),
        ("Add", ("BlendAlpha foreground",)),
    ]
    assert "background=[Fliplr, Flipud], foreground=Add, factor=0.5" in found[0].parameters


def test_what_imgaug_made_of_several_augmenters_itself_is_one_part():
    assert [part.name for part in of(iaa.Clouds())] == ["Clouds"]
    (part,) = of(iaa.MultiplyHue((0.5, 1.5)))
    assert "mul=(0.5, 1.5)" in part.parameters


def test_an_augmenter_that_stands_twice_comes_once():
    shared = iaa.Fliplr(0.5)
    found = of(iaa.Sequential([shared, iaa.OneOf([shared, iaa.Flipud(0.5)])]))
    assert [part.name for part in found] == ["Fliplr", "Flipud"]


def test_parameters_that_augmenters_share_go_with_each():
    angle = iap.Uniform(-10, 10)
    found = of(iaa.Sequential([iaa.Rotate(angle), iaa.ShearX(angle)]))
    for part, kind in zip(found, (iaa.Rotate, iaa.ShearX), strict=True):
        assert isinstance(pipelines.decode(part.spec), kind)
        assert "(-10, 10)" in part.parameters


def test_switched_off_and_deterministic_augmenters_say_so():
    off = iaa.Fliplr(0.5)
    off.activated = False
    assert words(off) == "Fliplr: p=0.5, activated=False"
    assert words(iaa.Fliplr(0.5).to_deterministic()).endswith("deterministic=True")


@pytest.mark.parametrize("node", [{"ref": 9}, {"ref": "a"}, {"ref": None}])
def test_a_reference_to_nothing_is_an_error(node):
    spec = json.loads(pipelines.encode(iaa.Fliplr(0.5)))
    spec["pipeline"]["attributes"]["p"] = node
    with pytest.raises(InvalidPipeline, match="refers to a node that it does not hold"):
        parts(json.dumps(spec).encode())


def test_a_reference_to_itself_is_an_error():
    spec = json.loads(pipelines.encode(iaa.Fliplr(0.5)))
    spec["pipeline"]["attributes"]["p"] = {"list": [{"ref": 5}], "id": 5}
    with pytest.raises(InvalidPipeline, match="refers to itself"):
        parts(json.dumps(spec).encode())


def test_words_stay_short_whatever_a_spec_holds():
    node = {"list": [1], "id": 0}
    for number in range(1, 40):  # each twice the one before: 2**40 in words
        node = {"list": [node, {"ref": number - 1}], "id": number}
    spec = json.loads(pipelines.encode(iaa.Fliplr(0.5)))
    spec["pipeline"]["attributes"]["p"] = node
    (part,) = parts(json.dumps(spec).encode())
    assert len(part.parameters) < 10_000
