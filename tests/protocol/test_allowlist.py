from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import augfarm.compat
from augfarm.protocol import allowlist
from augfarm.protocol.errors import InvalidPipeline

augfarm.compat.import_imgaug()

import imgaug.augmenters as iaa  # noqa: E402
import imgaug.parameters as iap  # noqa: E402

SOURCE = """
import os
import imgaug.augmenters as iaa
import imgaug.parameters as iap
from imgaug.augmenters import Fliplr
from os.path import join
class Mine(iaa.Augmenter):
    strength = 1
    class Inner(iaa.Augmenter): pass
    def _augment_batch_(self, batch, random_state, parents, hooks): return batch
    def get_parameters(self): return []
class Param(iap.StochasticParameter):
    def _draw_samples(self, size, random_state): return 0
class Mask(iaa.IBatchwiseMaskGenerator):
    def draw_masks(self, batch, random_state=None): return []
class Points(iaa.IPointsSampler):
    def sample_points(self, images, random_state): return []
class Colors(iaa.IBinaryImageColorizer):
    def colorize(self, image_binary, image_original, nth_image, random_state): return image_original
class Slotted(Mine):
    __slots__ = ("hidden",)
class Saver(iaa.SaveDebugImageEveryNBatches): pass
class Stranger: pass
def images(images, random_state, parents, hooks): return images
alias = images
instance = Mine()
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A module of a user's, importable as my_allowlist_augs."""
    (tmp_path / "my_allowlist_augs.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    import my_allowlist_augs  # type: ignore[import-not-found]

    yield my_allowlist_augs
    del sys.modules["my_allowlist_augs"]


Resolve = Callable[[Any, tuple[str, ...], str], object]
BOTH = pytest.mark.parametrize("resolve", [allowlist.resolve_class, allowlist.resolve_function])


@BOTH
@pytest.mark.parametrize(
    "path",
    [
        "imgaug.imgaug:os",
        "imgaug.imgaug:os.system",
        "imgaug.imgaug:json",
        "imgaug.imgaug:functools",
        "imgaug.random:copylib",
        "imgaug:imresize_single_image",
        "imgaug.imgaug:imshow",
        "imgaug.augmenters:Fliplr",
        "imgaug.augmenters.meta:Augmenter.augment_images",
        "imgaug.augmenters.meta:six",
        "imgaug.augmenters.debug:SaveDebugImageEveryNBatches",
        "imgaug.augmenters.debug:_SaveDebugImage",
        "imgaug.augmenters.debug:_FolderImageDestination",
        "imgaug.augmenters.imgcorruptlike:_call_imgcorrupt_func",
        "imgaug.multicore:Pool",
        "imgaug.testutils:TemporaryDirectory",
        "imgaugx.evil:System",
        "os:system",
        "builtins:eval",
        "builtins:dict",
        "posixpath:join",
        "",
        ":",
        "imgaug.augmenters.flip:",
        "imgaug.augmenters.flip:__doc__",
        "imgaug.augmenters.flip:Fliplr:Fliplr",
        "imgaug.augmenters.flip\x00:Fliplr",
        "imgaug.augmenters.flip:\ud800",
        None,
        3,
        ["os:system"],
    ],
)
def test_what_no_spec_may_name(resolve: Resolve, path: Any) -> None:
    with pytest.raises(InvalidPipeline) as caught:
        resolve(path, (), "Sequential[1]")
    assert caught.value.where == "Sequential[1]"
    str(caught.value).encode("ascii")


def test_no_module_is_imported_because_a_peer_names_it() -> None:
    before = set(sys.modules)
    for name in ("antigravity", "imgaug.testutils", "this"):
        with pytest.raises(InvalidPipeline):
            allowlist.resolve_class(f"{name}:Thing", (), "")
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    "cls",
    [
        iaa.Fliplr,
        iap.Uniform,
        iaa.InvertMaskGen,
        iaa.RandomColorsBinaryImageColorizer,
        iaa.UniformPointsSampler,
    ],
)
def test_imgaugs_classes(cls: type) -> None:
    path = allowlist.path_of_class(cls, "")
    assert path == f"{cls.__module__}:{cls.__name__}"
    assert allowlist.resolve_class(path, (), "") is cls


def test_every_helper_on_the_list_exists_or_belongs_to_nothing_else() -> None:
    for path in allowlist._HELPER_CLASSES:
        assert allowlist.resolve_class(path, (), "").__name__ == path.split(":")[1]
    for path in allowlist._HELPER_FUNCTIONS:
        assert allowlist.resolve_function(path, (), "").__name__ == path.split(":")[1]


@pytest.mark.parametrize("name", ["Mine", "Param", "Mask", "Points", "Colors"])
def test_a_users_class_needs_the_operators_word(mine: types.ModuleType, name: str) -> None:
    cls = getattr(mine, name)
    path = allowlist.path_of_class(cls, "")
    with pytest.raises(InvalidPipeline, match="--allow-import my_allowlist_augs"):
        allowlist.resolve_class(path, ("other",), "")
    assert allowlist.resolve_class(path, ("other", "my_allowlist_augs"), "") is cls


def test_a_users_function_needs_the_operators_word(mine: types.ModuleType) -> None:
    path = allowlist.path_of_function(mine.images, "")
    with pytest.raises(InvalidPipeline, match="--allow-import my_allowlist_augs"):
        allowlist.resolve_function(path, ("other",), "")
    assert allowlist.resolve_function(path, ("my_allowlist_augs",), "") is mine.images


@pytest.mark.parametrize(
    "name", ["os", "Stranger", "Fliplr", "join", "alias", "instance", "Inner", "Saver", "Slotted"]
)
@BOTH
def test_what_an_allowed_module_still_may_not_give(
    mine: types.ModuleType, resolve: Resolve, name: str
) -> None:
    with pytest.raises(InvalidPipeline):
        resolve(f"my_allowlist_augs:{name}", ("my_allowlist_augs",), "")


def test_allowing_imgaugs_own_modules_allows_nothing_more() -> None:
    with pytest.raises(InvalidPipeline):
        allowlist.resolve_function("imgaug.imgaug:imshow", ("imgaug.imgaug",), "")


def test_a_module_that_fails_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_broken_augs.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("my_broken_augs", "my_absent_augs"):
        with pytest.raises(InvalidPipeline, match="fails to import"):
            allowlist.resolve_class(f"{name}:Mine", (name,), "")


def test_a_module_that_has_changed(mine: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    old, path = mine.Mine, allowlist.path_of_class(mine.Mine, "")
    monkeypatch.setattr(mine, "Mine", mine.Param)
    with pytest.raises(InvalidPipeline, match=r"something else under the name 'Mine'.*reloaded"):
        allowlist.path_of_class(old, "")
    monkeypatch.delattr(mine, "Mine")
    with pytest.raises(InvalidPipeline, match="changed after the worker had started"):
        allowlist.resolve_class(path, ("my_allowlist_augs",), "")


@pytest.mark.parametrize("name", ["Stranger", "Saver", "Slotted"])
def test_classes_that_do_not_travel(mine: types.ModuleType, name: str) -> None:
    with pytest.raises(InvalidPipeline):
        allowlist.path_of_class(getattr(mine, name), "")


def test_classes_that_cannot_be_found_by_name(
    mine: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Local(iaa.Fliplr):  # type: ignore[misc]
        pass

    with pytest.raises(InvalidPipeline, match=r"made in place.*--allow-import"):
        allowlist.path_of_class(Local, "")
    with pytest.raises(InvalidPipeline, match="no class of its own"):
        allowlist.path_of_class(mine.Mine.Inner, "")
    monkeypatch.setattr(mine.Mine, "__module__", "__main__")
    with pytest.raises(InvalidPipeline, match=r"script itself.*--allow-import"):
        allowlist.path_of_class(mine.Mine, "")


@pytest.mark.parametrize(
    "name",
    [
        "augment_images",
        "__class__",
        "__dict__",
        "__reduce__",
        "_augment_batch_",
        "pool",
        "a b",
        "a.b",
        "",
        3,
        "1a",
    ],
)
def test_attributes_that_would_replace_behaviour(name: Any) -> None:
    with pytest.raises(InvalidPipeline):
        allowlist.check_attribute(iaa.Sequential, name, "")


def test_attributes_of_lists_and_properties() -> None:
    with pytest.raises(InvalidPipeline):
        allowlist.check_attribute(iaa.Sequential, "append", "")
    with pytest.raises(InvalidPipeline):
        allowlist.check_attribute(iaa.RandomColorsBinaryImageColorizer, "colorize", "")


def test_attributes_that_replace_a_class_value(mine: types.ModuleType) -> None:
    allowlist.check_attribute(mine.Mine, "strength", "")
    with pytest.raises(InvalidPipeline):
        allowlist.check_attribute(mine.Mine, "Inner", "")


def test_long_and_strange_names_are_cut_in_messages() -> None:
    assert len(allowlist.short("x" * 10**6)) < 200
    assert allowlist.short("é\ud800") == "'\\xe9\\ud800'"
    assert allowlist.short({}) == "dict"
    assert allowlist.short(1 << 20_000) == "int"
