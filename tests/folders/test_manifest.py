"""What a run remembers of what it did."""

import json

import pytest

from augfarm.client.folders.listing import Source
from augfarm.client.folders.manifest import Done, Entry, Manifest, ManifestError
from augfarm.client.folders.plan import Item, Unit

SETTINGS = {"pipeline": "p", "seed": 5, "copies": 2}
CAT, DOG = Source("cat.jpg", 10, 1), Source("dog.jpg", 20, 2)


def unit(index, *sources):
    return Unit(index, tuple(Item(source, copy) for source in sources for copy in range(2)))


def entry(index, *sources):
    return Entry(index, tuple((item, Done(7)) for item in unit(index, *sources).items))


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "dst" / ".augfarm"
    folder.mkdir(parents=True)
    return folder / "manifest.jsonl"


def opened(path, settings=SETTINGS, resume=True):
    return Manifest(path, settings, resume=resume)


def test_what_was_added_is_there_again(path):
    first = opened(path, resume=False)
    failed = Done(None, "broken", True, {"coco": {"a": [1.5]}})
    second = Entry(1, ((Item(DOG, 0), failed),))
    first.add(second)
    first.add(entry(0, CAT))
    first.claim("all.json")
    first.close()
    again = opened(path)
    assert len(again) == 2
    assert list(again.entries()) == [entry(0, CAT), second]
    assert again.claimed == {"all.json"}
    assert again.entry(unit(0, CAT)) == entry(0, CAT)
    assert again.entry(unit(7, CAT)) is None


def test_the_later_of_two_lines_counts(path):
    manifest = opened(path)
    for size in (1, 2):
        manifest.add(Entry(0, ((Item(CAT, 0), Done(size)),)))
    manifest.close()
    (found,) = opened(path).entries()
    assert found.items[0][1].size == 2


@pytest.mark.parametrize("torn", [b'{"batch":1,"items":[["ca', b"{", b'{"batch":1,"items":[]}', b"\0" * 9000])
def test_a_torn_last_line_is_not_there(path, torn):
    manifest = opened(path)
    manifest.add(entry(0, CAT))
    manifest.close()
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    again = opened(path)
    assert len(again) == 1
    again.add(entry(1, DOG))
    again.close()
    assert path.read_bytes().startswith(whole)
    assert [each.index for each in opened(path).entries()] == [0, 1]


@pytest.mark.parametrize("torn", [b"", b'{"augfarm-run":1,"set'])
def test_a_run_that_ended_in_its_first_line_begins_anew(path, torn):
    path.write_bytes(torn)
    assert opened(path, resume=False).settings == SETTINGS


def test_a_run_that_is_there_is_not_begun_again_by_accident(path):
    first = opened(path)
    first.add(entry(0, CAT))
    first.close()
    with pytest.raises(ManifestError, match="holds a run already: --resume"):
        opened(path, resume=False)


def test_a_run_that_did_nothing_is_begun_anew(path):
    first = opened(path)
    first.claim("all.json")
    first.close()
    again = opened(path, {**SETTINGS, "copies": 9}, resume=False)
    assert again.settings["copies"] == 9
    assert not again.claimed
    again.close()
    assert opened(path, {**SETTINGS, "copies": 9}).claimed == set()


def test_another_run_is_named_by_what_differs(path):
    opened(path).close()
    with pytest.raises(ManifestError, match=r"holds another run: seed was 5 and is 6, copies was 2 and is 3"):
        opened(path, {"copies": 3, "pipeline": "p", "seed": 6})


def test_a_seed_that_was_drawn_is_kept(path):
    first = opened(path, {**SETTINGS, "seed": None})
    first.close()
    assert first.settings["seed"] is not None
    assert opened(path, {**SETTINGS, "seed": None}).settings == first.settings


def test_a_manifest_in_use_is_refused(path):
    first = opened(path)
    with pytest.raises(ManifestError, match="in use by another run"):
        opened(path)
    first.close()
    opened(path)


@pytest.mark.parametrize("text", ["hello\n", "[]\n", '{"batch":0}\n'])
def test_another_file_is_refused_and_left_alone(path, text):
    path.write_text(text)
    with pytest.raises(ManifestError, match="no manifest"):
        opened(path)
    assert path.read_text() == text


def test_another_version_is_refused(path):
    path.write_text(json.dumps({"augfarm-run": 99, "settings": SETTINGS}) + "\n")
    with pytest.raises(ManifestError, match="another version"):
        opened(path)


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (unit(0, DOG), "dog.jpg stands where cat.jpg stood"),
        (unit(0, Source("cat.jpg", 11, 1)), "cat.jpg has another size"),
        (unit(0, Source("cat.jpg", 10, 9)), "cat.jpg has another size or time"),
        (unit(0, CAT, DOG), "there were 2 images in its last batch"),
    ],
)
def test_a_folder_that_has_changed_is_an_error(path, now, text):
    manifest = opened(path)
    manifest.add(entry(0, CAT))
    with pytest.raises(ManifestError, match=text):
        manifest.entry(now)


def test_names_that_are_no_text_are_kept(path):
    odd = Source("caf\udce9.jpg", 1, 1)
    manifest = opened(path)
    manifest.add(entry(0, odd))
    assert manifest.entry(unit(0, odd)) == entry(0, odd)


def test_a_full_disk_leaves_no_half_line(path, monkeypatch):
    manifest = opened(path)
    manifest.add(entry(0, CAT))
    whole = path.read_bytes()
    import os

    pwrite = os.pwrite

    def short(descriptor, octets, offset):
        if offset > len(whole):
            raise OSError(28, "No space left on device")
        return pwrite(descriptor, octets[:5], offset)

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", short)
        with pytest.raises(OSError, match="No space"):
            manifest.add(entry(1, DOG))
    assert path.read_bytes() == whole
    manifest.add(entry(1, DOG))
    assert len(list(manifest.entries())) == 2
