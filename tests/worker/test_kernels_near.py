"""Kernels that are not equal to imgaug bit for bit: how far they may be, for pixels and for annotations."""

import importlib.util

import imgaug.augmenters as iaa
import numpy as np
import pytest

from augfarm.worker import kernels
from kernel_cases import (
    ANNOTATIONS,
    Difference,
    annotated,
    augmenter,
    both,
    difference,
    name_of,
    photographs,
    picture,
)

pytestmark = pytest.mark.skipif(
    not kernels.replaced("fast"), reason="this imgaug is not the one kernels are for"
)

NEAR = [name_of(module, name) for module, name, equal in kernels.known() if not equal]
#: The most that may differ in grey levels; cv2.remap counts coordinates in steps of 1/32 pixel.
LIMITS = {"photograph": 4, "noise": 8, "edges": 8}
#: 99.9 % of the values differ by no more, and annotations by no more pixels.
MOST_LEVELS, MOST_PIXELS = 6, 1e-3
#: Splines in float64, from coordinates that round otherwise.
MOST_OF_HEATMAP, MOST_OF_SEGMAP = 1e-4, 1e-3
WARPS = ["geometric.PiecewiseAffine", "geometric.ElasticTransformation"]


def kinds_for(name):
    """The annotations that can be moved here: ElasticTransformation mends polygons with Shapely."""
    if "Elastic" in name and importlib.util.find_spec("shapely") is None:
        return tuple(each for each in ANNOTATIONS if each != "polygons")
    return ANNOTATIONS


def check(name, kind, seeds, *, height=72, width=96, columns=(), count=2):
    found = Difference()
    for seed in seeds:
        rng = np.random.default_rng([seed, len(name), len(kind)])
        images = [picture(kind, rng, height, width) for _ in range(count)]
        found.add(*both(augmenter(name, rng), annotated(images, columns, rng), seed))
    assert found.largest <= LIMITS[kind]
    assert found.percentile() <= MOST_LEVELS
    assert found.points <= MOST_PIXELS
    assert found.heatmaps <= MOST_OF_HEATMAP
    assert found.segmaps <= MOST_OF_SEGMAP


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("name", NEAR)
def test_images_differ_by_a_few_grey_levels(name, kind):
    check(name, kind, range(2), height=56, width=64)


@pytest.mark.parametrize("name", WARPS)
def test_annotations_move_as_imgaugs_do(name):
    check(name, "photograph", range(2), columns=kinds_for(name), height=32, width=44, count=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("name", NEAR)
def test_many_images_differ_by_a_few_grey_levels(name, kind):
    check(name, kind, range(4, 44), height=225, width=225)


@pytest.mark.slow
@pytest.mark.parametrize("name", WARPS)
def test_many_annotations_move_as_imgaugs_do(name):
    check(name, "photograph", range(4, 44), columns=kinds_for(name), height=61, width=83, count=1)
    check(name, "photograph", range(4, 7), columns=("keypoints",), height=330, width=310, count=1)


def in_range_of(dtype, image):
    """The picture in this dtype, over its range."""
    if dtype == "bool":
        return image > 127
    if np.dtype(dtype).kind == "f":
        return (image / 255).astype(dtype)
    return (image.astype(np.float64) / 255 * np.iinfo(dtype).max).astype(dtype)


DTYPES = ["bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64"]


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float32"])
def test_piecewise_affine_takes_other_dtypes_and_orders(dtype, order):
    check_dtype(dtype, order, (4,))


@pytest.mark.slow
@pytest.mark.parametrize("order", range(6))
@pytest.mark.parametrize("dtype", DTYPES)
def test_piecewise_affine_takes_every_dtype_and_order_that_imgaug_does(dtype, order):
    if (dtype, order) == ("float16", 0):
        pytest.skip("imgaug fails there, in SciPy")
    check_dtype(dtype, order, (1, 3, 6))


def check_dtype(dtype, order, channels):
    rng = np.random.default_rng(5)
    images = [in_range_of(dtype, picture("photograph", rng, 40, 52, count)) for count in channels]
    mode = ["constant", "edge", "symmetric", "reflect", "wrap"][order % 5]
    augment = iaa.PiecewiseAffine(0.04, nb_rows=4, nb_cols=5, order=order, mode=mode, cval=9)
    found = difference(augment, annotated(images, (), rng), 3)
    if dtype == "uint8" and order == 1:
        assert found.largest <= 4
    else:  # the same interpolation: by rounding alone, and now and then another nearest pixel
        assert found.percentile() <= 1


@pytest.mark.parametrize("dtype", ["uint64", "int64"])
def test_what_imgaug_refuses_is_refused_by_its_text(dtype):
    batch = annotated([np.zeros((20, 20, 3), dtype)], (), np.random.default_rng(0))
    with pytest.raises(ValueError, match=dtype):
        difference(iaa.PiecewiseAffine(0.05), batch, 1)


@pytest.mark.parametrize("shape", [(1, 40, 3), (40, 1, 3), (2, 3, 3), (5, 40, 3), (40, 40, 1), (40, 30, 5)])
@pytest.mark.parametrize("name", WARPS)
def test_images_of_odd_shapes(name, shape):
    rng = np.random.default_rng(2)
    images = [picture("noise", rng, *shape) for _ in range(2)]
    assert difference(augmenter(name, rng), annotated(images, (), rng), 2).largest <= 8


@pytest.mark.parametrize(
    "arguments", [{"scale": 0}, {"scale": 3.0, "absolute_scale": True}, {"scale": 0.05, "order": 2}]
)
def test_piecewise_affine_with_other_arguments(arguments):
    rng = np.random.default_rng(4)
    images = [picture("photograph", rng, 40, 40) for _ in range(2)]
    batch = annotated(images, ("keypoints", "segmentation_maps"), rng)
    found = difference(iaa.PiecewiseAffine(nb_rows=3, nb_cols=3, **arguments), batch, 4)
    assert found.largest <= 4
    assert found.points <= MOST_PIXELS


def test_coordinates_are_those_of_scikit_image():
    tf = pytest.importorskip("skimage.transform")
    from augfarm.worker.kernels.mesh import Mesh

    rng = np.random.default_rng(1)
    for _ in range(3):
        height, width, rows, columns = (int(each) for each in rng.integers([4, 4, 2, 2], [90, 90, 6, 6]))
        mesh = Mesh(height, width, rows, columns)
        assert mesh.whole
        targets = np.clip(
            mesh.points + rng.normal(0, 0.05, mesh.points.shape) * [height, width], 0, [height - 1, width - 1]
        )
        transform = tf.PiecewiseAffineTransform()
        transform._estimate(mesh.points[:, ::-1], targets[:, ::-1]) if hasattr(transform, "_estimate") else (
            transform.estimate(mesh.points[:, ::-1], targets[:, ::-1])
        )
        theirs = tf.warp_coords(transform, (height, width))[::-1]
        assert np.abs(mesh.render(targets, np.float32) - theirs).max() < 0.01
        assert np.abs(mesh.render(targets, np.float64) - theirs).max() < 1e-8
        y, x = rng.integers(0, height, 50), rng.integers(0, width, 50)
        assert np.abs(np.array(mesh.at(targets, y, x)) - theirs[:, y, x]).max() < 1e-8


def test_there_are_photographs_to_compare():
    assert photographs()[0][0] == "quokka"
