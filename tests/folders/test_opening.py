"""The size of an image, as its file's header says it."""

import io

import numpy as np
import pytest
from PIL import Image

from augfarm.client.folders.annotations.bundle import AnnotationError
from augfarm.client.folders.opening import size_of
from augfarm.protocol.pictures import decode_picture

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")


def saved(format, **options):
    sink = io.BytesIO()
    Image.fromarray(np.zeros((30, 50, 3), np.uint8)).save(sink, format, **options)
    return sink.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", FORMATS)
def test_the_size_is_that_which_the_worker_sees(format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    octets = saved(format, exif=exif)
    assert size_of(octets) == decode_picture(octets, 10**6).pixels.shape[:2]


def test_broken_exif_says_nothing():
    octets = saved("JPEG", exif=b"Exif\0\0MM\0*" + b"\xff" * 20)
    assert size_of(octets) == decode_picture(octets, 10**6).pixels.shape[:2] == (30, 50)


@pytest.mark.parametrize("format", FORMATS)
def test_no_pixel_is_decoded(format, monkeypatch):
    octets = saved(format)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    assert size_of(octets) == (30, 50)


def test_what_is_no_image_is_an_error():
    with pytest.raises(AnnotationError, match="whose size cannot be read"):
        size_of(b"\xff\xd8\xff")
