"""Sheets of batches, made on a farm."""

import io
import time

import imgaug as ia
import imgaug.augmenters as iaa
import numpy as np
import pytest
from imgaug.augmentables.batches import UnnormalizedBatch

from augfarm.client import Client, ClosedError, FarmUnavailable, InvalidBatch
from augfarm.client.preview.drawing import POINT_COLOUR
from augfarm.client.preview.making import Host, Sheet, Told, Wish, form_of, rows_of
from augfarm.protocol import pipelines
from farms import PATIENCE, free_port, ten_augmenters

NOISE = iaa.Sequential([iaa.Fliplr(0.5), iaa.AdditiveGaussianNoise(scale=40)])
IMAGE = ia.quokka(size=(48, 64))
POINTS = [[(10.0, 20.0), (30.0, 40.0)]]


@pytest.fixture
def host(two_workers):
    with Client(NOISE, two_workers.clients) as client:
        yield Host.of(client)


def rows(host, batch, told=None, **wish):
    return rows_of(host, batch, Wish(**{"seeds": range(1, 4), **wish}), told or Told())


def test_a_variant_is_what_a_client_with_its_seed_makes_first(host, two_workers):
    (row,) = rows(host, [IMAGE], seeds=range(5, 8))
    assert [cell.caption for cell in row.cells] == ["source", "seed 5", "seed 6", "seed 7"]
    assert np.array_equal(row.cells[0].content.image, IMAGE)
    with Client(NOISE, two_workers.clients, seed=6, seeding="batch") as client:
        (expected,) = client.map_batches([[IMAGE]])
    assert np.array_equal(row.cells[2].content.image, expected[0])
    assert not np.array_equal(row.cells[3].content.image, expected[0])


def test_one_seed_shows_the_same_variant_as_a_sheet_of_many(two_workers):
    with Client(NOISE, two_workers.clients) as client:
        large = np.asarray(client.preview([IMAGE], seed=2))
        again = np.asarray(client.preview([IMAGE], seed=2))
        other = np.asarray(client.preview([IMAGE], seed=3))
    assert np.array_equal(large, again)
    assert not np.array_equal(large, other)


def test_the_clients_own_batches_stay_as_they_were(two_workers):
    with Client(NOISE, two_workers.clients, seed=9, seeding="batch") as client:
        undisturbed = client.map_batches([[IMAGE]] * 2, start=0)
    with Client(NOISE, two_workers.clients, seed=9, seeding="batch") as client:
        first = client.map_batches([[IMAGE]])
        client.preview([IMAGE], 2)
        second = client.map_batches([[IMAGE]])
    assert np.array_equal([*first, *second], undisturbed)


def test_annotations_are_drawn_as_they_were_augmented(host):
    (row,) = rows(host, {"images": [IMAGE], "keypoints": POINTS}, seeds=range(1, 9))
    seen = {tuple(cell.content.marks.points) for cell in row.cells}
    assert seen == {((10, 20), (30, 40)), ((54, 20), (34, 40))}  # Fliplr


@pytest.mark.parametrize(
    "batch",
    [
        [IMAGE, IMAGE],
        np.array([IMAGE, IMAGE]),
        {"images": [IMAGE, IMAGE], "keypoints": [*POINTS, *POINTS], "labels": ["a", "b"]},
        UnnormalizedBatch(images=[IMAGE, IMAGE], keypoints=[*POINTS, *POINTS]),
        UnnormalizedBatch(images=[IMAGE, IMAGE], keypoints=[*POINTS, *POINTS]).to_normalized_batch(),
        np.array([IMAGE[..., 0], IMAGE[..., 0]]),
    ],
    ids=["list", "array", "dict", "unnormalized", "normalized", "grey"],
)
def test_batches_of_all_forms_have_a_row_for_each_image(host, batch):
    found = rows(host, batch)
    assert [row.heading for row in found] == ["image 0", "image 1"]
    assert all(len(row.cells) == 4 for row in found)


def test_files_are_shown_as_workers_decode_them(host):
    from PIL import Image

    octets = io.BytesIO()
    Image.fromarray(IMAGE).save(octets, "png")
    (row,) = rows(host, [octets.getvalue()])
    assert np.array_equal(row.cells[0].content.image, IMAGE)
    assert row.cells[1].content.size == (64, 48)


def test_only_so_many_images_of_a_batch_are_shown(host):
    assert len(rows(host, [IMAGE] * 9, images=2)) == 2


def test_each_augmenter_has_a_row_with_its_name_place_and_parameters(two_workers):
    with Client(ten_augmenters(), two_workers.clients) as client:
        found = rows(Host.of(client), [IMAGE], each=True, seeds=range(1, 3))
    assert len(found) == 1 + 14
    assert found[0].note.startswith("the whole pipeline: 64×48")
    assert found[1].heading == "1. Fliplr"
    assert found[1].note == "p=0.5"
    assert found[6].heading == "6. GaussianBlur"
    assert found[6].note == "in Sometimes(p=0.5) then: sigma=(0, 1)"
    source = found[0].cells[0].content.image
    changed = [any((cell.content.image != source).any() for cell in row.cells) for row in found]
    assert sum(changed) >= 12  # Fliplr(0.5) may well not


def test_sizes_that_change_are_in_the_captions(two_workers):
    with Client(iaa.Crop(px=4, keep_size=False), two_workers.clients) as client:
        (row,) = rows(Host.of(client), [IMAGE])
    assert row.cells[1].caption == "seed 1: 56×40"


def test_variants_that_fail_say_why_and_the_others_are_shown(two_workers):
    grey = iaa.Sequential([iaa.Fliplr(0.5), iaa.Sometimes(0.5, iaa.AddToHue((-9, 9)))])
    told = Told()
    with Client(grey, two_workers.clients) as client:
        (row,) = rows(Host.of(client), [IMAGE[..., 0]], told, seeds=range(1, 9))
        sheet = client.preview([IMAGE[..., 0]])
    failed = [cell for cell in row.cells if isinstance(cell.content, str)]
    assert 0 < len(failed) < 8
    assert len(told.errors) == len(failed)
    assert all("Error: " in cell.content for cell in failed)
    assert sheet.ndim == 3


def test_16_bit_images_are_shown_by_what_they_fill(two_workers):
    image = IMAGE[..., 0].astype(np.uint16) * 4
    with Client(iaa.Fliplr(1), two_workers.clients) as client:
        (row,) = rows(Host.of(client), [image])
    assert row.note == "64×48, 1 channel of uint16; black is 0, white is 1023"
    assert np.array_equal(row.cells[1].content.image[:, ::-1], row.cells[0].content.image)


def test_a_sheet_is_an_array_that_a_notebook_shows(two_workers):
    from PIL import Image

    with Client(NOISE, two_workers.clients) as client:
        sheet = client.preview({"images": [IMAGE], "keypoints": POINTS}, 3)
    assert isinstance(sheet, np.ndarray)
    assert sheet.dtype == np.uint8
    shown = np.asarray(Image.open(io.BytesIO(sheet._repr_png_())))
    assert np.array_equal(shown, sheet)
    assert (shown == POINT_COLOUR).all(axis=2).sum() > 4 * 2 * 10
    assert sheet[0]._repr_png_() is None
    assert sheet[..., 0]._repr_png_() is None


def test_a_sheet_is_written_in_the_form_of_its_name(tmp_path):
    sheet = np.full((20, 30, 3), 200, np.uint8).view(Sheet)
    for ending in (".png", ".jpg", ".webp", ".bmp", ".tiff"):
        sheet.save(tmp_path / f"sheet{ending}")
        assert (tmp_path / f"sheet{ending}").stat().st_size > 0
    with pytest.raises(ValueError, match=r"sheet\.pdf: expected a name that ends with one of \.png"):
        form_of("sheet.pdf")
    with pytest.raises(ValueError, match=r"2×70000 pixels is too large for JPEG: write a \.png"):
        np.zeros((70_000, 2, 3), np.uint8).view(Sheet).save(tmp_path / "long.jpg")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variants": 0}, "expected variants to be a whole number from 1"),
        ({"variants": 9.5}, "expected variants"),
        ({"seed": -1}, "expected seed to be a whole number from 0"),
        ({"images": 0}, "expected images"),
        ({"width": 3}, "expected width"),
        ({"variants": 2000}, "a sheet of 2001 pictures, more than 2000"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(two_workers, options, message):
    with Client(NOISE, two_workers.clients) as client, pytest.raises(ValueError, match=message):
        client.preview([IMAGE], **options)


def test_batches_that_cannot_be_shown_are_refused(two_workers):
    with Client(NOISE, two_workers.clients) as client:
        with pytest.raises(ValueError, match="expected a batch with images"):
            client.preview({"heatmaps": [], "images": []})
        with pytest.raises(InvalidBatch, match="got str"):
            client.preview(["image.png"])
    with pytest.raises(ClosedError):
        client.preview([IMAGE])


def test_a_preview_gives_up_when_its_client_does():
    spec, nowhere = pipelines.encode(NOISE), f"tcp://127.0.0.1:{free_port()}"
    dead = FarmUnavailable("the farm is gone", waiting_for="workers")
    began = time.monotonic()
    with pytest.raises(FarmUnavailable, match="the farm is gone"):
        rows(Host(spec, nowhere, refusal=lambda: dead), [IMAGE])
    with pytest.raises(FarmUnavailable, match="no broker"):
        rows(Host(spec, nowhere, timeout=1.5), [IMAGE])
    assert time.monotonic() - began < PATIENCE
