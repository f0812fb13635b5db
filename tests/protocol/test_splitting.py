"""Batches cut by image and joined again: as if the images that are left had been a batch of their own."""

import copy
import itertools
import subprocess
import sys

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import imageio.v3 as iio
import imgaug.augmenters as iaa
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from imgaug.augmentables import (
    Batch,
    BoundingBox,
    BoundingBoxesOnImage,
    HeatmapsOnImage,
    Keypoint,
    KeypointsOnImage,
    LineString,
    LineStringsOnImage,
    Polygon,
    PolygonsOnImage,
    SegmentationMapsOnImage,
    UnnormalizedBatch,
)

from alike import assert_same
from augfarm.protocol.batches import FIELDS, encode, pack, pack_result, unpack_request
from augfarm.protocol.codec import decode_body
from augfarm.protocol.splitting import cut_out, fits, join, restore_some, separable_images
from sweep.forms import FORMS, IMAGES, NORMALIZED, SHAPE, SQUARE, TRIANGLE

#: Changes every column, and each image as it would alone: nothing in it is drawn.
PIPELINE = iaa.Sequential([iaa.Fliplr(1.0), iaa.CropAndPad(px=(1, 2, 3, 4), keep_size=False)])


def travel(tree):
    return decode_body([bytes(frame) for frame in encode(tree, 0, 1 << 18)])


def augmented(tree):
    """What a worker answers."""
    return travel(pack_result(PIPELINE.augment_batch_(unpack_request(travel(tree)))))


def in_parts(packed, cuts):
    """The parts of a batch that end at these positions and at its end, augmented one by one."""
    images = separable_images(packed.tree)
    edges = [0, *sorted(cuts), images]
    ranges = [(start, stop) for start, stop in itertools.pairwise(edges) if stop > start]
    parts = [cut_out(packed.tree, start, stop) for start, stop in ranges]
    results = [augmented(part) for part in parts]
    assert all(fits(result, part) for result, part in zip(results, parts, strict=True))
    return results


# --- batches of every form ---------------------------------------------------------------------------------

points = st.tuples(st.integers(0, 20), st.floats(0, 20, width=32))
rings = st.sampled_from([SQUARE, TRIANGLE, TRIANGLE[::-1]])
boxes = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(10, 20), st.integers(10, 20))
some = {"max_size": 3}


def of_items(item, many):
    return st.lists(item, **some).map(lambda items: many(items, SHAPE))


keypoint = points.map(lambda p: Keypoint(*p))
box = boxes.map(lambda b: BoundingBox(*b, label="cat"))
polygon = rings.map(lambda ring: Polygon(ring, label=("a", 1)))
line = rings.map(LineString)
heatmap = st.integers(0, 9).map(lambda n: np.full((12, 16, 1), n / 10, np.float32))
segmap = st.integers(0, 9).map(lambda n: np.full((24, 32, 1), n, np.int32))

#: By field, what one image may have; all images of a batch have the same of these.
OBJECTS = {
    "heatmaps": heatmap.map(lambda array: HeatmapsOnImage(array, SHAPE)),
    "segmentation_maps": segmap.map(lambda array: SegmentationMapsOnImage(array, SHAPE)),
    "keypoints": of_items(keypoint, KeypointsOnImage),
    "bounding_boxes": of_items(box, BoundingBoxesOnImage),
    "polygons": of_items(polygon, PolygonsOnImage),
    "line_strings": of_items(line, LineStringsOnImage),
}
RAW = {
    "heatmaps": [heatmap],
    "segmentation_maps": [segmap, segmap.map(lambda array: array > 4)],
    "keypoints": [
        st.lists(points, **some),
        st.lists(keypoint, **some),
        st.lists(points, **some).map(lambda p: np.float32(p).reshape(-1, 2)),
    ],
    "bounding_boxes": [
        st.lists(boxes, **some),
        st.lists(box, **some),
        st.lists(boxes, **some).map(lambda b: np.float32(b).reshape(-1, 4)),
    ],
    "polygons": [st.lists(rings, **some), st.lists(polygon, **some)],
    "line_strings": [st.lists(rings, **some), st.lists(line, **some)],
}


def image(draw, shape):
    return np.full(shape, draw(st.integers(0, 255)), np.uint8)


@st.composite
def images_columns(draw, images):
    """An array, or a list or tuple of images of any size, some as files."""
    shape = draw(st.sampled_from([(24, 32, 3), (24, 32, 1), (24, 32)]))
    if draw(st.booleans()):
        array = np.stack([image(draw, shape) for _ in range(images)])
        return np.asfortranarray(array) if draw(st.booleans()) else array
    listed = []
    for _ in range(images):
        one = image(draw, draw(st.sampled_from([shape, (20, 30, 3), (70, 90, 3)])))
        as_file = draw(st.booleans()) and one.shape[-1] != 1
        listed.append(iio.imwrite("<bytes>", one, extension=".png") if as_file else one)
    return draw(st.sampled_from([list, tuple]))(listed)


@st.composite
def columns(draw, *, normalized=False):
    images = draw(st.integers(2, 5))
    found = {"images": draw(images_columns(images))}
    for field in draw(st.lists(st.sampled_from(FIELDS[1:]), unique=True)):
        entry = OBJECTS[field] if normalized else draw(st.sampled_from([OBJECTS[field], *RAW[field]]))
        values = [draw(entry) for _ in range(images)]
        if isinstance(values[0], np.ndarray) and field.endswith("maps") and draw(st.booleans()):
            values = np.stack(values)
        found[field] = values
    return found


@st.composite
def batches(draw):
    """A batch in one of the caller's forms, made anew at each call: imgaug changes what it augments."""
    form = draw(st.sampled_from(["images", "dict", "unnormalized", "normalized"]))
    found = draw(columns(normalized=form == "normalized"))
    make = {
        "images": lambda c: c["images"],
        "dict": lambda c: {"label": [1, 2], **c, 7: "seven"},
        "unnormalized": lambda c: UnnormalizedBatch(**c, data=("data", 1)),
        "normalized": lambda c: Batch(**c, data=("data", 1)),
    }[form]
    return lambda: make(copy.deepcopy(found))


@given(batches(), st.sets(st.integers(1, 4)))
def test_all_parts_joined_are_the_batch(make, cuts):
    packed = pack(make(), 0)
    images = separable_images(packed.tree)
    assert images
    results = in_parts(packed, {cut for cut in cuts if cut < images})
    whole = packed.keep.restore(augmented(packed.tree))
    assert_same(packed.keep.restore(join(results)), whole)
    assert_same(restore_some(packed.keep, join(results), range(images), images), whole)


@given(batches(), st.sets(st.integers(0, 4)))
def test_some_images_are_what_they_would_be_as_a_batch_of_their_own(make, chosen):
    packed = pack(make(), 0)
    images = separable_images(packed.tree)
    kept = sorted(image for image in chosen if image < images)
    assume(kept)
    results = [augmented(cut_out(packed.tree, image, image + 1)) for image in kept]
    alone = pack(only(make(), kept), 0)
    expected = alone.keep.restore(augmented(alone.tree))
    assert_same(restore_some(packed.keep, join(results), kept, images), expected)


def only(batch, kept):
    """The batch with these images alone, by hand; what is the caller's own stays whole."""

    def chosen(column):
        if isinstance(column, np.ndarray):
            return column[kept]
        return type(column)(column[image] for image in kept)

    if isinstance(batch, dict):
        return {key: chosen(value) if key in FIELDS else value for key, value in batch.items()}
    if isinstance(batch, (np.ndarray, list, tuple)):
        return chosen(batch)
    for field in FIELDS:
        value = getattr(batch, f"{field}_unaug")
        if value is not None:
            setattr(batch, f"{field}_unaug", chosen(value))
    return batch


# --- what can be cut ---------------------------------------------------------------------------------------

#: Forms of more than one image in which some column is not one entry for each.
NOT_ONE_TO_ONE = {
    "heatmaps empty",
    "keypoints other number",
    "keypoints empty",
    "polygons empty",
    "line_strings empty",
}


@pytest.mark.parametrize("name", FORMS)
def test_a_batch_can_be_cut_where_every_column_has_an_entry_for_each_of_two_images_or_more(name):
    fields = FORMS[name]
    packed = pack(UnnormalizedBatch(**fields), 0)
    images = fields.get("images")
    images = 1 if images is None or getattr(images, "ndim", 3) < 3 else len(images)
    expected = images if images >= 2 and name not in NOT_ONE_TO_ONE else 0
    assert separable_images(packed.tree) == expected
    if expected:
        results = in_parts(packed, range(1, images))
        assert_same(
            packed.keep.restore(join(results)), packed.keep.restore(augmented(packed.tree)), where=name
        )


def test_a_normalized_batch_of_one_object_for_all_images_cannot_be_cut():
    assert separable_images(pack(Batch(**NORMALIZED), 0).tree) == 2
    fields = NORMALIZED | {"keypoints": NORMALIZED["keypoints"][0]}
    assert separable_images(pack(Batch(**fields), 0).tree) == 0


def test_a_part_shares_the_batchs_memory():
    tree = pack(IMAGES, 0).tree
    assert np.shares_memory(cut_out(tree, 1, 2)["columns"]["images"], IMAGES)


# --- results -----------------------------------------------------------------------------------------------


def result(**found):
    return {"columns": found}


@pytest.mark.parametrize(
    "bad",
    [
        None,
        {},
        {"columns": 3},
        result(images=IMAGES),
        result(images=IMAGES, keypoints=[[]]),
        result(images=IMAGES[:1], keypoints=[[], []]),
        result(images=None, keypoints=[[], []]),
        result(images=np.uint8(1), keypoints=[[], []]),
        result(images=np.array(1), keypoints=[[], []]),
        result(images=IMAGES, keypoints=[[], []], heatmaps=None),
    ],
    ids=repr,
)
def test_a_result_without_an_entry_for_each_image_does_not_fit(bad):
    request = {"form": "unnormalized", "columns": {"images": IMAGES, "keypoints": [[], []]}}
    assert not fits(bad, request)
    assert fits(result(images=IMAGES, keypoints=[[], []]), request)
    assert fits(result(images=list(IMAGES), keypoints=None), request)


def test_an_array_stays_one_where_the_shapes_agree_and_becomes_a_list_where_not():
    small = IMAGES[:1, :9]
    assert join([result(images=IMAGES), result(images=IMAGES)])["columns"]["images"].shape == (4, *SHAPE)
    for pieces in ([IMAGES, small], [IMAGES, list(small)], [IMAGES, small.astype(np.float32)]):
        joined = join([result(images=piece) for piece in pieces])["columns"]["images"]
        assert [one.shape for one in joined] == [SHAPE, SHAPE, pieces[1][0].shape]


def test_columns_that_came_back_empty():
    pieces = [result(images=IMAGES[:1], keypoints=k) for k in (None, [[(1, 2)]])]
    assert join([pieces[0], pieces[0]])["columns"]["keypoints"] is None
    assert join(pieces)["columns"]["keypoints"] == [None, [(1, 2)]]


def test_a_batch_that_its_owner_has_changed_since_comes_back_as_it_is():
    images, points = list(IMAGES), [[(1, 2)], [(3, 4)]]
    packed = pack(UnnormalizedBatch(images=images, keypoints=points), 0)
    points.append([(5, 6)])
    some = augmented(cut_out(packed.tree, 1, 2))
    batch = restore_some(packed.keep, some, (1,), 2)
    assert batch.images_unaug == [images[1]]
    assert batch.keypoints_unaug is points


def test_nothing_of_it_imports_imgaug():
    script = """
import sys
import numpy as np
from augfarm.protocol.batches import pack
from augfarm.protocol.splitting import cut_out, join, restore_some
packed = pack({"images": np.zeros((3, 4, 4, 3), np.uint8), "keypoints": [[(1, 2)]] * 3}, 0)
parts = [{"columns": cut_out(packed.tree, n, n + 1)["columns"]} for n in (0, 2)]
assert len(restore_some(packed.keep, join(parts), (0, 2), 3)["images"]) == 2
print([name for name in sys.modules if name.split(".")[0] in ("imgaug", "cv2", "imageio", "PIL")])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]"]
