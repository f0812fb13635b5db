import copy
import subprocess
import sys

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import imgaug
import imgaug.augmenters as iaa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imgaug.augmentables import (
    Batch,
    BoundingBox,
    Keypoint,
    KeypointsOnImage,
    Polygon,
    UnnormalizedBatch,
)

from alike import assert_same
from augfarm.protocol.batches import FIELDS, Keep, encode, pack, pack_result, unpack_request
from augfarm.protocol.codec import Record, decode_body
from augfarm.protocol.errors import InvalidBatch, ProtocolError
from sweep.forms import BOX, FORMS, HEATMAPS, IMAGES, NORMALIZED, ONE, SEGMAPS, SHAPE, TRIANGLE, kpsoi


def augment(batch, make=None):
    """What imgaug itself does with the batch, by one seed."""
    make = make or (lambda: iaa.Sequential([iaa.Fliplr(0.5), iaa.Affine(rotate=(-20, 20))]))
    imgaug.random.seed(2)
    augmenter = make()
    augmenter.seed_(1)
    return augmenter.augment_batch_(batch)


def travel(tree, frame_bytes=1 << 18):
    """The tree on the other side; frames are read-only, as they may be there."""
    return decode_body([bytes(frame) for frame in encode(tree, 0, frame_bytes)])


def farm(batch, make=None):
    """The batch as a farm would augment it."""
    packed = pack(batch, 0)
    result = pack_result(augment(unpack_request(travel(packed.tree)), make))
    return packed.keep.restore(travel(result))


def png(image):
    import imageio.v3

    return imageio.v3.imwrite("<bytes>", image, extension=".png")


@pytest.mark.parametrize("name", FORMS)
def test_every_form_comes_back_as_imgaug_gives_it(name):
    batch = UnnormalizedBatch(**FORMS[name])
    assert_same(farm(batch), augment(UnnormalizedBatch(**copy.deepcopy(FORMS[name]))))


def test_images_in_the_other_byte_order_come_back_in_this_machines_as_from_imgaugs_pool():
    """imgaug on one core reads their bytes in the wrong order, and keeps the dtype."""
    native = IMAGES.astype(np.uint16) * np.uint16(300)
    expected = augment(UnnormalizedBatch(images=native.copy()))
    for images in (native.astype(">u2"), list(native.astype(">u2"))):
        result = farm(UnnormalizedBatch(images=images))
        for image, right in zip(result.images_aug, expected.images_aug, strict=True):
            assert image.dtype == np.uint16
            assert image.dtype.isnative
            assert np.array_equal(image, right)


@pytest.mark.parametrize("name", FORMS)
def test_a_dict_gives_what_the_batch_gives(name):
    columns = FORMS[name]
    if not columns:
        return
    expected = augment(UnnormalizedBatch(**copy.deepcopy(columns)))
    result = farm({"labels": 5, **columns, 7: "seven"})
    assert list(result) == ["labels", *columns, 7]
    assert result["labels"] == 5
    for column in columns:
        assert_same(result[column], getattr(expected, f"{column}_aug"), column)


def test_a_normalized_batch_stays_one():
    expected = augment(Batch(**copy.deepcopy(NORMALIZED), data=[1]))
    assert_same(farm(Batch(**NORMALIZED, data=[1])), expected)


def test_a_batch_whose_shapes_diverge_becomes_a_list():
    def make():
        return iaa.Crop(px=(0, 8), keep_size=False)

    result = farm(IMAGES, make)
    assert isinstance(result, list)
    assert_same(result, augment(UnnormalizedBatch(images=IMAGES.copy()), make).images_aug)


@pytest.mark.parametrize("images", [IMAGES, IMAGES[..., 0], [IMAGES[0], IMAGES[1, :9]], (IMAGES[0],), []])
def test_images_alone(images):
    expected = augment(UnnormalizedBatch(images=copy.deepcopy(images))).images_aug
    assert_same(farm(images), expected)


def test_what_stays_is_the_same_object_and_the_original_is_untouched():
    data = object()
    batch = UnnormalizedBatch(images=IMAGES, keypoints=[kpsoi((1, 2)), kpsoi()], data=data)
    batch.extra = "mine"
    result = farm(batch)
    assert result is not batch
    assert result.images_unaug is IMAGES
    assert result.keypoints_unaug is batch.keypoints_unaug
    assert result.data is data
    assert result.extra == "mine"
    assert batch.images_aug is None


def test_what_the_worker_does_not_need_stays():
    tree = pack({"images": IMAGES, "path": "secret", "data": 1}, 0).tree
    assert tree.keys() == {"form", "columns"}
    assert tree["columns"].keys() == {"images"}
    assert pack(UnnormalizedBatch(images=IMAGES, data="secret"), 0).tree["columns"].keys() == {"images"}


def test_a_result_holds_only_the_augmented_columns():
    result = pack_result(augment(UnnormalizedBatch(images=IMAGES)))
    assert result.keys() == {"columns"}
    assert result["columns"].keys() == {"images"}
    assert result["columns"]["images"] is not IMAGES


def test_keep_restores_many_times():
    packed = pack({"images": IMAGES, "label": 1}, 0)
    first, second = (packed.keep.restore({"columns": {"images": images}}) for images in (IMAGES, ONE))
    assert first["images"] is IMAGES
    assert second["images"] is ONE
    assert first["label"] == second["label"] == 1


def test_keep_of_images_holds_no_pixels():
    assert pack(IMAGES, 0).keep == Keep(("images",))
    assert pack({"images": IMAGES, "a": 1}, 0).keep.original == {"images": None, "a": 1}


def test_an_array_travels_without_a_copy():
    frames = encode(pack(IMAGES, 0).tree, 0, 1 << 30)
    assert np.shares_memory(np.frombuffer(frames[-1], np.uint8), IMAGES)


# --- images given as files ---------------------------------------------------------------------------------


def test_files_come_back_as_arrays():
    grey = IMAGES[1, ..., 0]
    expected = augment(UnnormalizedBatch(images=[IMAGES[0].copy(), grey.copy(), IMAGES[1].copy()])).images_aug
    files = [png(IMAGES[0]), png(grey), IMAGES[1]]
    assert_same(farm(files), expected)
    assert_same(farm({"images": files})["images"], expected)
    result = farm(UnnormalizedBatch(images=files))
    assert result.images_unaug is files
    assert_same(result.images_aug, expected)


def test_grey_files_of_a_normalized_batch_have_a_channel():
    result = farm(Batch(images=[png(IMAGES[0, ..., 0])]))
    assert result.images_aug[0].shape == (24, 32, 1)


def test_an_undecodable_file_is_named():
    packed = pack([IMAGES[0], png(IMAGES[0])[:60]], 0)
    with pytest.raises(ProtocolError, match=r"^images\[1\]: .*cannot be decoded"):
        unpack_request(travel(packed.tree))


# --- what is refused before anything is sent ---------------------------------------------------------------


class MyKeypoint(Keypoint):
    pass


NESTED = []
NESTED.append(NESTED)

REFUSED = {
    "a generator": ({"images": (i for i in IMAGES)}, "images", "make it a list"),
    "an iterator": ({"images": iter(IMAGES)}, "images", "make it a list"),
    "no batch": (5, "", "expected an imgaug UnnormalizedBatch"),
    "text": ("abc", "", "got str"),
    "an empty dict": ({}, "", "expected at least one of images"),
    "a dict of a wrong name": ({"image": IMAGES}, "", "'image'"),
    "objects": (np.array([None, 1]), "images", "dtype object"),
    "object images": ([IMAGES[0], np.empty((4, 4), object)], "images[1]", "dtype object"),
    "texts": ([np.array([["a"]])], "images[0]", "dtype <U1"),
    "no image": ([IMAGES[0], 7], "images[1]", "got int"),
    "a path": (["cat.jpg"], "images[0]", "read the file"),
    "bytes that are no file": ([b"hello"], "images[0]", "b'hello'"),
    "one file": ({"images": b"\xff\xd8\xff"}, "images", "into a list"),
    "five dimensions": (np.zeros((1, 1, 2, 2, 3)), "images", "expected an array"),
    "images and labels": ((IMAGES, [1, 2]), "images[0]", "of shape"),
    "a masked array": (np.ma.masked_array(IMAGES), "images", "mask"),
    "float64 heatmaps": ({"images": IMAGES, "heatmaps": HEATMAPS.astype(float)}, "heatmaps", "float32"),
    "float64 in a list": (
        {"images": IMAGES, "heatmaps": [HEATMAPS[0], HEATMAPS[1].astype(float)]},
        "heatmaps[1]",
        "float32",
    ),
    "3-dimensional heatmaps": ({"images": IMAGES, "heatmaps": HEATMAPS[..., 0]}, "heatmaps", "N,H,W,C"),
    "int64 segmaps": (
        {"images": IMAGES, "segmentation_maps": SEGMAPS.astype(np.int64)},
        "segmentation_maps",
        "int32",
    ),
    "three heatmaps for two": ({"images": IMAGES, "heatmaps": [HEATMAPS[0]] * 3}, "heatmaps", "3 image"),
    "tuples for two": ({"images": IMAGES, "keypoints": [(1, 2), (3, 4)]}, "keypoints", "1 image"),
    "keypoints of one for two": ({"images": IMAGES, "keypoints": [[(1, 2)]]}, "keypoints", "for 2 image"),
    "tuples without images": ({"keypoints": [(1, 2)]}, "keypoints", "without images"),
    "triples": ({"images": ONE, "keypoints": [(1, 2, 3)]}, "keypoints", "a tuple of 3 in a list"),
    "three coordinates": ({"images": ONE, "keypoints": np.zeros((1, 2, 3))}, "keypoints", "N,K,2"),
    "numbers": ({"images": ONE, "keypoints": [1, 2]}, "keypoints", "int in a list"),
    "boxes as keypoints": ({"images": ONE, "keypoints": [BOX]}, "keypoints", "BoundingBox in a list"),
    "a subclass": ({"images": ONE, "keypoints": [[MyKeypoint(1, 2)]]}, "keypoints[0][0]", "MyKeypoint"),
    "an odd object": ({"images": IMAGES, "keypoints": [[], [object()]]}, "keypoints[1][0]", "got object"),
    "a label that is an object": (
        {"images": ONE, "bounding_boxes": [BoundingBox(1, 1, 2, 2, label=object())]},
        "bounding_boxes[0].label",
        "got object",
    ),
    "a label of many characters": (
        {"images": ONE, "polygons": [Polygon(TRIANGLE, label="x" * 70_000)]},
        "polygons[0].label",
        "65536 characters",
    ),
    "a label with numbers as keys": (
        {"images": ONE, "polygons": [Polygon(TRIANGLE, label={1: 2})]},
        "polygons[0].label",
        "keys of text",
    ),
    "a coordinate that is no number": (
        {"images": ONE, "keypoints": [KeypointsOnImage([Keypoint(1, 2), Keypoint("1", 2)], SHAPE)]},
        "keypoints[0].keypoints[1].x",
        "a number",
    ),
    "boxes in keypoints": (
        {"images": ONE, "keypoints": KeypointsOnImage([BOX], SHAPE)},
        "keypoints.keypoints",
        "Keypoint",
    ),
    "itself": ({"images": IMAGES, "keypoints": NESTED}, "keypoints" + "[0]" * 32, "nested more than 32"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    batch, field, text = REFUSED[name]
    batches = [batch]
    if isinstance(batch, dict) and batch and batch.keys() <= set(FIELDS):
        batches.append(UnnormalizedBatch(**batch))
    for each in batches:
        with pytest.raises(InvalidBatch) as caught:
            pack(each, 12)
        assert caught.value.index == 12
        assert caught.value.field == field
        assert text in caught.value.message


def test_an_augmented_batch_is_refused_as_imgaug_does():
    batch = UnnormalizedBatch(images=IMAGES)
    batch.keypoints_aug = []
    with pytest.raises(InvalidBatch, match="keypoints_aug: is set already"):
        pack(batch, 0)
    # imgaug augments a Batch again, and replaces what was there.
    again = Batch(images=IMAGES)
    again.images_aug = again.keypoints_aug = ONE
    result = farm(again)
    assert result.images_aug.shape == IMAGES.shape
    assert result.keypoints_aug is None


def test_a_batch_beyond_the_limits_is_refused():
    huge = np.broadcast_to(np.uint8(0), (1 << 10, 1 << 10, 1 << 11))
    with pytest.raises(InvalidBatch, match=r"batch 3: .*more than 1073741824") as caught:
        encode(pack(huge, 3).tree, 3, 1 << 18)
    assert caught.value.index == 3


def test_a_result_that_cannot_travel_is_named():
    def make():
        return iaa.Lambda(func_images=lambda images, *_: [image.astype(object) for image in images])

    with pytest.raises(InvalidBatch, match=r"images_aug\[0\]: .*dtype object"):
        pack_result(augment(UnnormalizedBatch(images=IMAGES), make))


# --- what peers may send -----------------------------------------------------------------------------------

HOSTILE = [
    None,
    [],
    {"form": "unnormalized"},
    {"form": "other", "columns": {}},
    {"form": ["unnormalized"], "columns": {}},
    {"form": "normalized", "columns": {"data": 1}},
    {"form": "normalized", "columns": {"images": 5}},
    {"form": "normalized", "columns": {"images": [IMAGES[0], "x"]}},
    {"form": "normalized", "columns": {"images": [Record("file", ("x",))]}},
    {
        "form": "normalized",
        "columns": {"images": [Record("file", (np.frombuffer(b"%!PS-Adobe", np.uint8),))]},
    },
    {"form": "normalized", "columns": {"keypoints": [Record("os.system", ("x",))]}},
    {"form": "normalized", "columns": {"keypoints": [Record("Keypoint", (1,))]}},
    {"form": "normalized", "columns": {"keypoints": [Record("Keypoint", (1, "2"))]}},
    {"form": "normalized", "columns": {"keypoints": [Record("KeypointsOnImage", ([1], SHAPE))]}},
    {"form": "normalized", "columns": {"keypoints": [Record("dtype", ("O",))]}},
]


@pytest.mark.parametrize("tree", HOSTILE, ids=repr)
def test_a_hostile_request_is_a_protocol_error(tree):
    with pytest.raises(ProtocolError):
        unpack_request(tree)


@pytest.mark.parametrize(
    "tree",
    [
        None,
        {},
        {"columns": {}},
        {"columns": {"images": IMAGES, "keypoints": []}},
        {"columns": {"images": "x"}},
        {"columns": {"images": ["x"]}},
        {"columns": {"images": Record("os.system", ("x",))}},
    ],
    ids=repr,
)
def test_a_hostile_result_is_a_protocol_error(tree):
    with pytest.raises(ProtocolError):
        pack(IMAGES, 0).keep.restore(tree)


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.binary(max_size=4),
    st.just(IMAGES),
    st.just(np.float32(1)),
)
names = st.sampled_from(
    ["Keypoint", "KeypointsOnImage", "Polygon", "HeatmapsOnImage", "file", "dtype", "str_"]
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=2),
        st.builds(Record, names, st.lists(inner, max_size=5).map(tuple)),
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(FIELDS), trees, max_size=3),
    st.sampled_from(["normalized", "unnormalized"]),
)
def test_any_tree_is_a_batch_or_a_protocol_error(columns, form):
    try:
        batch = unpack_request({"form": form, "columns": columns})
    except ProtocolError:
        return
    assert isinstance(batch, (Batch, UnnormalizedBatch))


def test_a_client_without_imgaug_imports_none():
    script = """
import sys
import numpy as np
from augfarm.protocol.batches import encode, pack
packed = pack({"images": np.zeros((2, 4, 4, 3), np.uint8), "keypoints": [[(1, 2)], [(3, 4)]]}, 0)
encode(packed.tree, 0, 1 << 18)
packed.keep.restore({"columns": {"images": np.zeros((2, 4, 4, 3), np.uint8), "keypoints": []}})
try:
    pack(np.zeros((1, 2, 2), np.uint8), 0).keep.restore({"columns": {"images": [object]}})
except Exception as error:
    print(type(error).__name__)
print([name for name in sys.modules if name.split(".")[0] in ("imgaug", "cv2", "imageio", "PIL")])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ProtocolError", "[]"]
