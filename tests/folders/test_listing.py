"""Which images a folder has, and which batches they make."""

import os

import pytest

from augfarm.client.folders.listing import Missed, Source, count_images, list_images
from augfarm.client.folders.names import format_of, output_name, shown, stem_of
from augfarm.client.folders.plan import Unit, units_of


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b.jpg",
        "a.PNG",
        "notes.txt",
        ".hidden.jpg",
        "z/1.tif",
        "a/2.webp",
        "a/deep/3.bmp",
        ".git/4.jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    return tmp_path


def listed(folder, key=str, **options):
    return list(list_images(str(folder), key=key, **options))


def test_images_come_in_order_a_folders_own_before_those_below(folder):
    found = listed(folder)
    assert [each.path for each in found] == ["a.PNG", "b.jpg", "a/2.webp", "a/deep/3.bmp", "z/1.tif"]
    assert found[1] == Source("b.jpg", 5, (folder / "b.jpg").stat().st_mtime_ns)
    assert count_images(str(folder), stopped=lambda: False) == 5


def test_folders_are_left_out_where_told(folder):
    assert [each.path for each in listed(folder, left_out=("a",))] == ["a.PNG", "b.jpg", "z/1.tif"]
    assert count_images(str(folder), ("a",), stopped=lambda: False) == 3


def test_counting_can_be_stopped(folder):
    assert count_images(str(folder), stopped=lambda: True) is None


def test_of_two_images_with_one_output_name_the_second_is_missed(folder):
    (folder / "b.png").write_bytes(b"")
    assert Missed("b.png", "its outputs would have the names of those of b.jpg: rename one") in listed(
        folder, stem_of
    )
    assert not [each for each in listed(folder) if isinstance(each, Missed)]


def test_links_to_files_are_followed_and_to_folders_are_not(folder):
    (folder / "c.jpg").symlink_to(folder / "b.jpg")
    (folder / "circle").symlink_to(folder)
    (folder / "dangling.jpg").symlink_to(folder / "gone")
    missed = [each for each in listed(folder) if isinstance(each, Missed)]
    assert missed == [
        Missed("circle", "a link to a folder, which is not followed"),
        Missed("dangling.jpg", "No such file or directory"),
    ]
    assert "c.jpg" in [each.path for each in listed(folder)]


def test_a_folder_that_cannot_be_read_is_missed(folder, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("a/"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    assert Missed("a", "Permission denied") in listed(folder)


def test_the_first_image_comes_before_the_last_folder_is_read(folder, monkeypatch):
    read = []
    scandir = os.scandir
    monkeypatch.setattr("os.scandir", lambda path: read.append(path) or scandir(path))
    next(list_images(str(folder), key=str))
    assert len(read) == 1


def test_names():
    assert format_of("Cat.JPG") == "jpeg"
    assert format_of("cat.gif") is None
    assert output_name("animals/cat.jpg", 3) == "animals/cat_aug0003.jpg"
    assert output_name("cat.v2.JPEG", 0, "png") == "cat.v2_aug0000.png"
    assert output_name("cat.png", 12345, "jpeg") == "cat_aug12345.jpg"
    assert shown(os.fsdecode(b"caf\xe9.jpg")) == "caf\\xe9.jpg"


def sources(count):
    return [Source(f"{number}.jpg", 1, 1) for number in range(count)]


@pytest.mark.parametrize(
    ("count", "copies", "size"), [(0, 3, 4), (5, 1, 2), (5, 3, 4), (2, 10, 4), (3, 2, 100)]
)
def test_copies_are_counted_off_in_order(count, copies, size):
    units = list(units_of(sources(count), copies, size))
    items = [(item.source.path, item.copy) for unit in units for item in unit.items]
    assert items == [(f"{number}.jpg", copy) for number in range(count) for copy in range(copies)]
    assert [unit.index for unit in units] == list(range(len(units)))
    assert all(len(unit.items) == size for unit in units[:-1])


def test_what_is_missed_changes_no_batch():
    found = [Missed("x", "y"), *sources(4)]
    assert [unit for unit in units_of(found, 1, 3) if isinstance(unit, Unit)] == list(
        units_of(sources(4), 1, 3)
    )
