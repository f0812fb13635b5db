"""Files that appear whole or not at all; and where they may be written."""

import os

import pytest

from augfarm.client.folders.places import check_places
from augfarm.client.folders.writing import InTheWay, Writer


@pytest.fixture
def writer(tmp_path):
    return Writer(tmp_path / "dst", tmp_path / "dst" / ".augfarm" / "aside")


def test_folders_are_made(writer, tmp_path):
    writer.write("a/b/c.jpg", b"123")
    assert (tmp_path / "dst/a/b/c.jpg").read_bytes() == b"123"
    assert writer.size_of("a/b/c.jpg") == 3
    assert writer.size_of("a/b/d.jpg") is None
    assert writer.size_of("a/b/c.jpg/d") is None


@pytest.mark.parametrize("link", [True, False], ids=["links", "a file system without links"])
def test_anothers_file_is_left_as_it_is(writer, tmp_path, monkeypatch, link):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    if not link:
        monkeypatch.setattr("os.link", refuse)
    writer.write("c.jpg", b"123")
    writer.write("c.jpg", b"123")  # the same is no other
    with pytest.raises(InTheWay, match=r"c\.jpg is there already"):
        writer.write("c.jpg", b"12x")
    assert (tmp_path / "dst/c.jpg").read_bytes() == b"123"
    writer.write("c.jpg", b"12x", replace=True)
    assert (tmp_path / "dst/c.jpg").read_bytes() == b"12x"
    assert not os.listdir(tmp_path / "dst/.augfarm/aside")


def test_a_file_that_cannot_be_finished_leaves_nothing(writer, tmp_path):
    def fill(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        writer.write_by("c.jpg", fill)
    assert not (tmp_path / "dst/c.jpg").exists()
    assert not os.listdir(tmp_path / "dst/.augfarm/aside")


def test_what_a_killed_run_left_aside_is_removed(writer, tmp_path):
    left = tmp_path / "dst/.augfarm/aside/7"
    left.write_bytes(b"half")
    Writer(tmp_path / "dst", left.parent)
    assert not left.exists()


def test_a_dst_that_is_not_there_is_made(tmp_path):
    (tmp_path / "src").mkdir()
    places = check_places(str(tmp_path / "src"), str(tmp_path / "a" / "dst"))
    assert places.own.is_dir()


@pytest.mark.parametrize(
    ("src", "dst", "text"),
    [
        ("src", "src", "the same folder"),
        ("src", "src/deep/dst", "DST .* is inside of SRC"),
        ("src", "link/dst", "DST .* is inside of SRC"),
        ("src/deep", "src", "SRC .* is inside of DST"),
        ("none", "dst", "is not there"),
        ("file", "dst", "is no folder"),
        ("src", "file", "is a file"),
        ("src", "file/dst", "cannot be written to: Not a directory"),
        ("src", "/proc/dst", "cannot be written to"),
    ],
)
def test_folders_that_cannot_be_are_named_before_anything_is_made(tmp_path, src, dst, text):
    (tmp_path / "src" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "src")
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=text):
        check_places(str(tmp_path / src), str(tmp_path / dst))
    assert sorted(tmp_path.rglob("*")) == before
