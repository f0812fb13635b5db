"""What a run says: how fast it is, and what failed."""

import json

import pytest

from augfarm.client.folders.failures import Failures, reason_of, report_of
from augfarm.client.folders.rate import Rate, in_words
from augfarm.protocol.errors import AugmentationFailed, BatchPoisoned, InvalidBatch


def test_the_rate_is_that_of_late():
    rate = Rate(100.0)
    assert rate.per_second(100.0) == 0
    assert rate.seconds_left(5, 100.0) is None
    for second in range(101, 201):
        rate.advance(2, float(second))
    assert rate.per_second(200.0) == pytest.approx(2)
    assert rate.seconds_left(100, 200.0) == pytest.approx(50)
    for second in range(201, 261):
        rate.advance(10, float(second))
    assert rate.per_second(260.0) == pytest.approx(10)
    assert rate.overall(260.0) == pytest.approx((200 + 600) / 160)


def test_times_in_words():
    assert [in_words(s) for s in (3.6, 61, 3600 * 2 + 300)] == ["4 s", "1 min 1 s", "2 h 5 min"]


def raised(kind, text):
    return AugmentationFailed(
        "long", index=3, worker_id=1, seed=None, exception_type=kind, exception_text=text
    )


DEAD = "3 worker processes died while augmenting it; their log says how each ended"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (raised("ProtocolError", "images[3]: a file that is cut"), "a file that is cut"),
        (raised("InvalidBatch", "the result cannot travel: images_aug[0]: no JPEG"), "no JPEG"),
        (raised("AssertionError", "3 channels"), "the pipeline raised AssertionError: 3 channels"),
        (BatchPoisoned("x", index=3, attempts=3), DEAD),
        (InvalidBatch("too large"), "batch: too large"),
    ],
)
def test_reasons_speak_of_the_image_alone(error, reason):
    assert reason_of(error) == reason


def test_failures_are_told_by_image_and_reason():
    failures = Failures()
    for copy in range(3):
        failures.add("broken.jpg", "cannot be decoded", copy)
    failures.add("cat.jpg", "unlucky", 1)
    failures.add("folder", "Permission denied")
    assert len(failures) == 3
    assert failures.lines(3) == [
        "broken.jpg: cannot be decoded",
        "cat.jpg (copy 1): unlucky",
        "folder: Permission denied",
    ]
    report = json.loads(report_of(failures, {"written": 5}))
    assert report["written"] == 5
    assert report["failed"][1] == {"image": "cat.jpg", "copies": [1], "reason": "unlucky"}


def test_many_failures_are_named_in_part():
    failures = Failures()
    for number in range(50):
        failures.add(f"{number:02}.jpg", "x" * 500)
    lines = failures.lines(1)
    assert len(lines) == 21
    assert lines[-1] == "... and 30 more"
    assert len(lines[0]) < 220
