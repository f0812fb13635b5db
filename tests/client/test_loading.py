from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from augfarm.client.loading import load_spec
from augfarm.protocol import pipelines
from augfarm.protocol.errors import InvalidPipeline

SOURCE = """
import imgaug.augmenters as iaa
class Mine(iaa.Augmenter):
    def get_parameters(self): return []
mine = Mine()
def make(): return iaa.Sequential([Mine()])
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of a user's, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    path = tmp_path / "my_loaded_augs.py"
    path.write_text(SOURCE)
    yield path
    sys.modules.pop(path.stem, None)


@pytest.mark.parametrize(
    "reference", ["my_loaded_augs.py:mine", "my_loaded_augs.py:make", "my_loaded_augs:mine"]
)
def test_a_files_own_augmenter_is_named_as_workers_that_import_it_find_it(
    source: Path, reference: str
) -> None:
    assert pipelines.imports(load_spec(reference)) == ("my_loaded_augs",)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("my_loaded_augs.py:yours", "has no 'yours'"),
        ("my_loaded_augs.py", "say which name in it"),
        ("my_absent_augs.py:mine", "no such file"),
        ("my_absent_augs:mine", "cannot import my_absent_augs"),
        ("absent.json", "no such spec file"),
    ],
)
def test_what_is_not_there(source: Path, reference: str, expected: str) -> None:
    with pytest.raises(InvalidPipeline, match=expected):
        load_spec(reference)


def test_a_spec_file(source: Path) -> None:
    spec = load_spec("my_loaded_augs.py:mine")
    Path("spec.json").write_bytes(spec)
    assert load_spec("spec.json") == spec
