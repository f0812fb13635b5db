"""The mends against what the older versions gave (tests/matrix/mended.py); nothing else is touched."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augfarm import _mends, compat
from matrix import mended

IMGAUG = ("imgaug", "0.4.0")
needs_mends = pytest.mark.skipif(
    compat.imgaug_distribution() != IMGAUG, reason="made for imgaug 0.4.0; this one needs no mends"
)


@needs_mends
@pytest.mark.parametrize("name", sorted(mended.CASES))
def test_as_on_the_older_versions(name: str) -> None:
    assert mended.difference(name, mended.CASES[name]()) <= (0 if name == "boxes" else 1)


@needs_mends
@pytest.mark.parametrize("name", sorted(mended.CORRUPTIONS))
def test_corruptions_as_on_the_older_versions(name: str) -> None:
    pytest.importorskip("imagecorruptions", reason="not installed: imagecorruptions")
    assert mended.difference(name, mended.CORRUPTIONS[name]()) <= 1


def test_a_wrong_value_would_be_noticed() -> None:
    shape, _ = mended.REFERENCE["Autocontrast"]
    assert mended.difference("Autocontrast", np.zeros(shape, np.uint8)) > 1
    assert mended.difference("Autocontrast", np.zeros((1, 1), np.uint8)) == 255


# --- imgaug ------------------------------------------------------------------------------------------------


def test_maps_of_an_elastic_transformation_are_what_numpy_1_gave() -> None:
    class ElasticTransformation:
        """Float64 maps where the strength is a numpy float64, as imgaug 0.4.0 makes them."""

        @classmethod
        def _generate_shift_maps(cls, shape: object, alpha: Any, sigma: object, random_state: object) -> Any:
            maps = np.float32([[0.1, 0.7]]) * alpha
            return maps, maps * 3

    module = types.ModuleType("imgaug.augmenters.geometric")
    module.ElasticTransformation = ElasticTransformation  # type: ignore[attr-defined]
    _mends.mend(module, IMGAUG)
    dx, dy = ElasticTransformation._generate_shift_maps((1, 2), np.float64(0.3), 1.0, None)
    assert dx.dtype == dy.dtype == np.float32
    # numpy 1 cast the scalar to the array's dtype before it multiplied.
    np.testing.assert_array_equal(dx, np.float32([[0.1, 0.7]]) * np.float32(0.3))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_colour_temperatures_do_not_depend_on_the_images_beside(count: int) -> None:
    from imgaug.augmenters import color

    kelvins = np.float32([1234, 4321, 8765, 15055])[:count]
    images = np.stack([mended.pattern()] * count)
    together = color.change_color_temperatures_(images.copy(), kelvins)
    for n in range(count):
        alone = color.change_color_temperatures_(images[n : n + 1].copy(), kelvins[n : n + 1])
        np.testing.assert_array_equal(together[n], alone[0])


def test_glass_blur_leaves_scikit_image_as_it_is() -> None:
    from skimage import filters

    before = filters.gaussian
    mended.glass_blur_function()
    assert filters.gaussian is before
    assert sys.modules["skimage.filters"] is filters


@pytest.fixture
def polygon_perimeter(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stands for scikit-image's function, which demands matplotlib: the calls that it got."""
    from skimage import draw

    calls: list[Any] = []

    def refuse(*arguments: Any, **options: Any) -> None:
        calls.append((arguments, options))
        raise ImportError("requires matplotlib")

    monkeypatch.setattr(draw, "polygon_perimeter", refuse)
    return calls


def test_boxes_are_drawn_without_matplotlib(polygon_perimeter: list[Any]) -> None:
    assert mended.difference("boxes", mended.boxes()) == 0
    assert polygon_perimeter


def test_boxes_are_drawn_by_scikit_image_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    from imgaug.augmentables.bbs import BoundingBox
    from skimage import draw

    monkeypatch.setattr(draw, "polygon_perimeter", lambda r, c, shape, clip: (np.array([1]), np.array([2])))
    image = BoundingBox(1, 1, 5, 5).draw_on_image(np.zeros((9, 9, 3), np.uint8))
    assert np.argwhere(image.any(axis=2)).tolist() == [[1, 2]]


def test_what_boxes_do_not_ask_for_still_needs_matplotlib(polygon_perimeter: list[Any]) -> None:
    from imgaug.augmentables import bbs

    with pytest.raises(ImportError, match="matplotlib"):
        bbs.skimage.draw.polygon_perimeter([1, 1, 5, 5], [1, 5, 5, 1], shape=(9, 9), clip=True)


# --- imagecorruptions --------------------------------------------------------------------------------------

#: A module that trips over the same things as imagecorruptions 1.1.2.
CORRUPTIONS = """
    import numpy as np
    from pkg_resources import resource_filename
    from scipy.ndimage.interpolation import map_coordinates
    from skimage.filters import gaussian

    def blur(image):
        return gaussian(image, sigma=1, multichannel=True)

    def fractal():
        return np.empty((2, 2), dtype=np.float_)

    def frost():
        with open(resource_filename(__name__, "./frost/1.txt")) as file:
            return file.read()
"""

USE = """
    import sys, scipy.ndimage
    sys.modules["pkg_resources"] = sys.modules["scipy.ndimage.interpolation"] = None  # gone
    import numpy as np, augfarm.compat
    from imagecorruptions import corruptions
    image = np.zeros((9, 9, 3)); image[4, 4, 0] = 1
    blurred = corruptions.blur(image)
    assert 0 < blurred[4, 4, 0] < 1 and not blurred[..., 1:].any()
    assert corruptions.fractal().dtype == np.float64
    assert corruptions.frost() == "ice"
    assert sys.modules["pkg_resources"] is None
"""


def _imagecorruptions(directory: Path, version: str) -> None:
    package = directory / "imagecorruptions"
    (package / "frost").mkdir(parents=True)
    (package / "frost" / "1.txt").write_text("ice")
    (package / "__init__.py").write_text("from .corruptions import *\n")
    (package / "corruptions.py").write_text(textwrap.dedent(CORRUPTIONS))
    information = directory / f"imagecorruptions-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Name: imagecorruptions\nVersion: {version}\n")


def _run(code: str, directory: Path) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(directory)!r})\n" + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60
    )


def test_imagecorruptions_finds_what_is_gone(tmp_path: Path) -> None:
    _imagecorruptions(tmp_path, "1.1.2")
    done = _run(USE, tmp_path)
    assert done.returncode == 0, done.stderr


def test_another_version_of_imagecorruptions_is_left_alone(tmp_path: Path) -> None:
    _imagecorruptions(tmp_path, "1.1.5")
    done = _run(USE, tmp_path)
    assert done.returncode != 0
    assert "pkg_resources" in done.stderr


def test_a_module_that_nobody_stands_in_for_is_still_missing() -> None:
    import_ = _mends._builtins_that_import(_mends._missing_in_corruptions)["__import__"]
    with pytest.raises(ImportError):
        import_("no_such_module_anywhere")
    assert import_("json") is sys.modules["json"]


def test_a_gaussian_that_knows_multichannel_is_left_alone() -> None:
    def old(image: Any, sigma: float = 1, multichannel: bool | None = None) -> Any:
        return image

    assert _mends._with_multichannel(old) is old


def test_multichannel_means_the_last_axis_is_not_blurred() -> None:
    def new(image: Any, sigma: float = 1, *, channel_axis: int | None = None) -> Any:
        return channel_axis

    gaussian = _mends._with_multichannel(new)
    assert gaussian(0, multichannel=True) == -1
    assert gaussian(0, multichannel=False) is None
    assert gaussian(0, 2.0) is None
    assert inspect.unwrap(gaussian) is new


# --- where a mend is made ----------------------------------------------------------------------------------


def _stand_in(name: str) -> types.ModuleType:
    """A module with everything that a mend looks for."""
    module = types.ModuleType(name)
    for attribute in ("_autocontrast_pil", "_apply_glass_blur_imgaug", "gaussian", "skimage"):
        setattr(module, attribute, lambda image: image)
    module.skimage.draw = None  # type: ignore[attr-defined]
    table = {"transform_kelvins_to_rgb_multipliers": lambda self, kelvins: kelvins}
    module._KelvinToRGBTable = type("Table", (), table)  # type: ignore[attr-defined]
    elastic = {"_generate_shift_maps": classmethod(lambda cls, *arguments: arguments)}
    module.ElasticTransformation = type("Elastic", (), elastic)  # type: ignore[attr-defined]
    return module


def _contents(module: types.ModuleType) -> dict[str, Any]:
    classes = {name: dict(vars(value)) for name, value in vars(module).items() if isinstance(value, type)}
    return {**vars(module), **classes}


@pytest.mark.parametrize("name", sorted(name for name, wanted in _mends.APPLIES.items() if wanted))
def test_only_the_version_that_has_the_fault_is_mended_and_only_once(name: str) -> None:
    module = _stand_in(name)
    before = _contents(module)
    for other in (("imaug", "0.4.3"), ("imgaug", "0.5.0"), ("imagecorruptions", "1.1.5"), None):
        _mends.prepare(module, other)
        _mends.mend(module, other)
        assert _contents(module) == before
    _mends.mend(module, _mends.APPLIES[name])
    after = _contents(module)
    assert after != before
    _mends.mend(module, _mends.APPLIES[name])
    assert _contents(module) == after


@pytest.mark.parametrize("name", sorted(_mends.APPLIES))
def test_other_files_than_those_of_that_version_are_left_alone(name: str) -> None:
    module = types.ModuleType(name)
    before = _contents(module)
    _mends.mend(module, _mends.APPLIES[name])
    assert _contents(module) == before


@needs_mends
def test_a_mended_function_keeps_its_name() -> None:
    from imgaug.augmenters import pillike

    assert pillike._autocontrast_pil.__module__ == "imgaug.augmenters.pillike"
    assert pillike._autocontrast_pil.__name__ == "_autocontrast_pil"
