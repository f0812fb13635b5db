"""Images that are sent as files and come back as files, through the one place that runs imgaug."""

import io

import imgaug.augmenters as iaa
import numpy as np
import pytest
from PIL import Image

from augfarm.protocol import pipelines
from augfarm.protocol.augment import Recipe
from augfarm.protocol.batches import encode, pack
from augfarm.protocol.codec import Record, body_bytes, decode_body, encode_body
from augfarm.protocol.errors import InvalidBatch, ProtocolError
from augfarm.protocol.images import EncodedImage, ImageFile, encoded_from_tree, is_image_file, wanted_files
from augfarm.protocol.records import Misfit
from augfarm.protocol.seeds import Seed

COLOUR = np.random.default_rng(1).integers(0, 255, (50, 60, 3), np.uint8)
ALPHA = np.random.default_rng(2).integers(0, 255, (50, 60), np.uint8)
SEED = Seed("batch", 1, 0)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def pixels_of(image):
    return np.asarray(Image.open(io.BytesIO(image.octets)))


def augmented(augmenter, batch):
    """The batch through worker and wire."""
    packed = pack(batch, 0)
    request = decode_body(encode(packed.tree, 0, 2**30))
    result = Recipe(pipelines.encode(augmenter)).augment(request, SEED)
    return packed.keep.restore(decode_body(encode_body(result, frame_bytes=2**30)))


def test_a_file_comes_back_as_a_file():
    (image,) = augmented(iaa.Fliplr(1.0), [ImageFile(png(COLOUR), "png")])
    assert isinstance(image, EncodedImage)
    assert image.shape == (50, 60, 3)
    np.testing.assert_array_equal(pixels_of(image), COLOUR[:, ::-1])


def test_files_are_augmented_as_their_pixels_are():
    pipeline = iaa.Sequential([iaa.Affine(rotate=(-20, 20)), iaa.Multiply((0.5, 1.5))])
    images = [COLOUR, COLOUR[::-1], COLOUR[:40]]
    files = augmented(pipeline, [ImageFile(png(each), "png") for each in images])
    for file, pixels in zip(files, augmented(pipeline, images), strict=True):
        np.testing.assert_array_equal(pixels_of(file), pixels)


def test_colours_change_and_alpha_does_not():
    (image,) = augmented(iaa.Add(100), [ImageFile(png(np.dstack([COLOUR, ALPHA])), "png")])
    np.testing.assert_array_equal(pixels_of(image)[..., 3], ALPHA)
    np.testing.assert_array_equal(pixels_of(image)[..., :3], np.minimum(COLOUR.astype(int) + 100, 255))


def test_alpha_moves_with_the_pixels():
    with_alpha, without = augmented(
        iaa.Sequential([iaa.Fliplr(1.0), iaa.Crop(px=5, keep_size=False)]),
        [ImageFile(png(np.dstack([COLOUR, ALPHA])), "png"), ImageFile(png(COLOUR), "png")],
    )
    np.testing.assert_array_equal(pixels_of(with_alpha)[..., 3], ALPHA[:, ::-1][5:-5, 5:-5])
    assert pixels_of(without).shape == (40, 50, 3)


def test_alpha_does_not_disturb_other_images():
    pipeline = iaa.Sequential([iaa.Affine(rotate=(-20, 20)), iaa.Sometimes(0.5, iaa.GaussianBlur(2.0))])
    plain = augmented(pipeline, [ImageFile(png(COLOUR), "png")] * 2)
    beside = augmented(
        pipeline, [ImageFile(png(COLOUR), "png"), ImageFile(png(np.dstack([COLOUR, ALPHA])), "png")]
    )
    assert plain[0] == beside[0]
    np.testing.assert_array_equal(pixels_of(beside[1])[..., :3], pixels_of(plain[1]))


def test_annotations_and_arrays_may_stand_beside_files():
    batch = {"images": [ImageFile(png(COLOUR), "png"), COLOUR], "keypoints": [[(1.0, 2.0)]] * 2, "mine": 5}
    result = augmented(iaa.Fliplr(1.0), batch)
    assert [type(image) for image in result["images"]] == [EncodedImage, np.ndarray]
    assert result["keypoints"] == [[(59.0, 2.0)]] * 2
    assert result["mine"] == 5


def test_a_file_that_stands_several_times_travels_once():
    file = ImageFile(png(COLOUR), "png")
    assert body_bytes(encode(pack([file] * 5, 0).tree, 0, 2**30)) < 1.1 * len(file.octets)
    results = augmented(iaa.Add((-50, 50), per_channel=True), [file] * 5)
    assert len({image.octets for image in results}) == 5


def test_a_result_that_no_file_holds_is_named():
    with pytest.raises(InvalidBatch, match=r"images_aug\[1\]: cannot be written as JPEG"):
        augmented(
            iaa.Resize({"height": 1, "width": 70_000}),
            [ImageFile(png(COLOUR), "png"), ImageFile(png(COLOUR), "jpeg")],
        )


def test_a_broken_file_is_named():
    with pytest.raises(ProtocolError, match=r"images\[1\]: an image file that cannot be decoded"):
        augmented(iaa.Identity(), [ImageFile(png(COLOUR), "png"), ImageFile(png(COLOUR)[:99], "png")])


@pytest.mark.parametrize(
    ("format", "quality", "text"),
    [("gif", None, "expected format"), ("png", 0, "quality"), ("png", True, "quality")],
)
def test_wishes_that_make_no_sense_are_refused(format, quality, text):
    with pytest.raises(ValueError, match=text):
        ImageFile(png(COLOUR), format, quality)


@pytest.mark.parametrize(
    "values",
    [("png", 101, False), ("eps", None, False), ("png", None, 1), ([], None, False), ("png", [], False)],
    ids=repr,
)
def test_a_clients_wishes_are_checked(values):
    octets = np.frombuffer(png(COLOUR), np.uint8)
    column = [Record("file", (octets, *values))]
    assert wanted_files(column) == (column, [])  # and as a file it is none that images_from_tree takes


@pytest.mark.parametrize(
    "values",
    [
        (),
        (b"x", (1, 1, 1)),
        (np.zeros(3, np.uint8), [1, 1, 1]),
        (np.zeros(3, np.uint8), (1, 1)),
        (np.zeros(3, np.uint8), (1, 1, -1)),
        (np.zeros((3, 1), np.uint8), (1, 1, 1)),
    ],
    ids=repr,
)
def test_a_workers_files_are_checked(values):
    with pytest.raises(Misfit):
        encoded_from_tree(Record("file", values))


def test_what_looks_like_an_image_file():
    assert is_image_file(png(COLOUR))
    assert not is_image_file(b"hello")
    assert not is_image_file(b"")
