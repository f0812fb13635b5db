"""YOLO label files."""

import pytest
from imgaug import augmenters as iaa

from augfarm.client.folders.annotations.bundle import AnnotationError
from augfarm.client.folders.annotations.yolo import Yolo
from folders.through import beside, through

BOX = "0 0.50 0.5 0.25 0.5"
TRIANGLE = "3 0.1 0.1 0.3 0.1 0.1 0.5"
POSE = "1 0.5 0.5 0.5 0.5 0.4 0.5 2 0 0 0 0.6 0.25 1"


def labels(folder, text, augmenter, *, keypoints=None, min_visible=0.0):
    (folder / "a.txt").write_text(text)
    written = through(Yolo(beside(folder), keypoints, min_visible), augmenter)
    ((path, octets),) = written.files
    assert path == "a_aug0000.txt"
    return octets.decode().splitlines()


@pytest.mark.parametrize("text", ["", f"{BOX}\n{TRIANGLE}", "7 -0.01 0.333333333 0.1 0.2\n"])
def test_an_identity_changes_nothing(tmp_path, text):
    assert labels(tmp_path, text, iaa.Multiply(0.5)) == text.splitlines()


def test_an_identity_changes_no_pose(tmp_path):
    assert labels(tmp_path, POSE, iaa.Identity(), keypoints=(3, 3)) == [POSE]


def test_an_image_without_a_file_has_none(tmp_path):
    assert through(Yolo(beside(tmp_path), None, 0.0), iaa.Identity()) is None


def test_boxes_polygons_and_poses_are_mirrored(tmp_path):
    assert labels(tmp_path, "0 0.2 0.5 0.2 0.5", iaa.Fliplr(1.0)) == ["0 0.800000 0.500000 0.200000 0.500000"]
    assert labels(tmp_path, TRIANGLE, iaa.Fliplr(1.0)) == [
        "3 0.900000 0.100000 0.700000 0.100000 0.900000 0.500000"
    ]
    assert labels(tmp_path, POSE, iaa.Fliplr(1.0), keypoints=(3, 3)) == [
        "1 0.500000 0.500000 0.500000 0.500000 0.600000 0.500000 2 0 0 0 0.400000 0.250000 1"
    ]


def test_fractions_are_of_the_new_image(tmp_path):
    cut = iaa.Crop(px=(0, 40, 0, 0), keep_size=False)
    assert labels(tmp_path, "0 0.25 0.5 0.25 0.5", cut) == ["0 0.500000 0.500000 0.500000 0.500000"]


def test_what_leaves_the_image_is_clipped_or_dropped(tmp_path):
    left = iaa.Affine(translate_px={"x": -40})
    assert labels(tmp_path, BOX, left) == ["0 0.062500 0.500000 0.125000 0.500000"]
    assert labels(tmp_path, BOX, left, min_visible=0.5) == ["0 0.062500 0.500000 0.125000 0.500000"]
    assert labels(tmp_path, BOX, left, min_visible=0.51) == []
    assert labels(tmp_path, TRIANGLE, left) == []


def test_keypoints_that_leave_the_image_are_no_longer_marked(tmp_path):
    up = iaa.Affine(translate_px={"y": -16})
    (line,) = labels(tmp_path, POSE, up, keypoints=(3, 3))
    assert line.split()[5:] == ["0.400000", "0.233333", "2", "0", "0", "0", "0", "0", "0"]
    (line,) = labels(tmp_path, "1 0.5 0.5 0.5 0.9 0.4 0.5 0.6 0.25", up, keypoints=(2, 2))
    assert line.split()[5:] == ["0.400000", "0.233333", "0", "0"]


def test_keypoints_that_are_not_marked_stay_so(tmp_path):
    right = iaa.Affine(translate_px={"x": 8})
    (line,) = labels(tmp_path, POSE, right, keypoints=(3, 3))
    assert line.split()[5:] == ["0.500000", "0.500000", "2", "0", "0", "0", "0.700000", "0.250000", "1"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("0 0.5 0.5 0.5", "line 2: 4 words, expected a class and 4 numbers"),
        ("0 0.5 0.5 0.5 x", "line 2: could not convert"),
        ("0 0.5 0.5 0.5 0.5 0.9", "line 2: 6 words"),
        ("0 100 50 20 20", "line 2: expected fractions"),
        ("0 nan 0.5 0.5 0.5", "line 2: expected fractions"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, text):
    with pytest.raises(AnnotationError, match=text):
        labels(tmp_path, f"{BOX}\n{line}", iaa.Identity())


def test_a_line_that_is_no_pose_is_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"9 words, expected .* 3 times 3"):
        labels(tmp_path, "0 0.5 0.5 0.5 0.5 0.1 0.2 0.3 0.4", iaa.Identity(), keypoints=(3, 3))
