"""What newer numpy, scikit-image and setuptools break in imgaug 0.4.0, mended module by module.

:mod:`augfarm.compat` calls :func:`prepare` before and :func:`mend` after it has a module named in
:data:`APPLIES` executed. Three rules:

- A mend is made only in the distribution and version that has the fault (see :data:`APPLIES`).
- What raised works then, with the values of the older versions. What worked is left as it is, to the bit; the
  one exception is ChangeColorTemperature on exactly three images (below).
- A mended function calls the original, so that it keeps its name, its checks and its texts.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

__all__ = ["APPLIES", "mend", "prepare", "put_back"]

#: The modules that are mended, and the distribution and version that has the fault. None: whichever, since
#: the fault lies in what the module calls and is looked for with each call.
APPLIES: dict[str, tuple[str, str] | None] = {
    "imgaug.augmenters.geometric": ("imgaug", "0.4.0"),
    "imgaug.augmenters.color": ("imgaug", "0.4.0"),
    "imgaug.augmenters.pillike": ("imgaug", "0.4.0"),
    "imgaug.augmenters.imgcorruptlike": ("imgaug", "0.4.0"),
    "imgaug.augmentables.bbs": None,
    "imagecorruptions.corruptions": ("imagecorruptions", "1.1.2"),
}

_MENDED = "_augfarm_mended"


def prepare(module: ModuleType, distribution: tuple[str, str] | None) -> None:
    """Give a module that is about to be executed what it imports and no longer finds."""
    if module.__name__ == "imagecorruptions.corruptions" and distribution == APPLIES[module.__name__]:
        vars(module)["__builtins__"] = _builtins_that_import(_missing_in_corruptions)


def mend(module: ModuleType, distribution: tuple[str, str] | None) -> None:
    """Mend this module, once, where `distribution`, its name and version, is one that has the fault."""
    wanted = APPLIES[module.__name__]
    if (wanted is not None and wanted != distribution) or hasattr(module, _MENDED):
        return
    try:
        _MENDS[module.__name__](module)
    except (AttributeError, KeyError):
        # Not the files of that version: of two distributions that are installed, the other is on top.
        return
    setattr(module, _MENDED, True)


def put_back(name: str, value: Any) -> None:
    """Set ``numpy.<name>`` where numpy no longer has it."""
    with warnings.catch_warnings():
        # numpy 1.20 to 1.23 still have np.bool and others, and warn about it.
        warnings.simplefilter("ignore")
        missing = not hasattr(np, name)
    if missing:
        setattr(np, name, value)


# --- imgaug ------------------------------------------------------------------------------------------------


def _mend_geometric(geometric: Any) -> None:
    """ElasticTransformation's shift maps stay float32.

    A strength of int32 or float64 makes float64 maps under numpy 2 (NEP 50), and OpenCV refuses them. Passed
    on as a plain float it leaves them float32, as under numpy 1, to the bit.
    """
    elastic = geometric.ElasticTransformation
    original = elastic.__dict__["_generate_shift_maps"].__func__

    @functools.wraps(original)
    def generate_shift_maps(
        cls: type, shape: Any, alpha: Any, sigma: Any, random_state: Any
    ) -> tuple[Any, Any]:
        dx, dy = original(cls, shape, float(alpha), sigma, random_state)
        return dx.astype(np.float32, copy=False), dy.astype(np.float32, copy=False)

    elastic._generate_shift_maps = classmethod(generate_shift_maps)


def _mend_color(color: Any) -> None:
    """ChangeColorTemperature works on more than one image.

    imgaug multiplies an array (N,) by one (N,3), which raises for all N but 1 and 3; for 3 images it mixes
    their temperatures, which the fork imaug does not do, and no longer happens here.
    """
    table = color._KelvinToRGBTable
    original = table.transform_kelvins_to_rgb_multipliers

    @functools.wraps(original)
    def transform_kelvins_to_rgb_multipliers(self: Any, kelvins: Any) -> Any:
        each = [original(self, kelvins[i : i + 1]) for i in range(len(kelvins))]
        return np.concatenate(each) if each else original(self, kelvins)

    table.transform_kelvins_to_rgb_multipliers = transform_kelvins_to_rgb_multipliers


def _mend_pillike(pillike: Any) -> None:
    """Autocontrast gives Pillow its cutoff as a number.

    imgaug draws it as an array of one number. Pillow makes an int of what it calculates from that, which
    numpy 2.4 no longer does for an array with a dimension.
    """
    original = pillike._autocontrast_pil

    @functools.wraps(original)
    def autocontrast_pil(image: Any, cutoff: Any, ignore: Any) -> Any:
        if isinstance(cutoff, np.ndarray) and cutoff.size == 1:
            cutoff = cutoff.reshape(())[()]
        return original(image, cutoff, ignore)

    pillike._autocontrast_pil = autocontrast_pil


def _mend_imgcorruptlike(imgcorruptlike: Any) -> None:
    """GlassBlur finds a ``gaussian`` that knows ``multichannel``, which it imports anew with every image."""
    original = imgcorruptlike._apply_glass_blur_imgaug

    def stand_in(name: str) -> Any:
        if name != "skimage.filters":
            return None
        return SimpleNamespace(gaussian=_with_multichannel(importlib.import_module(name).gaussian))

    scope = {**original.__globals__, "__builtins__": _builtins_that_import(stand_in, first=True)}
    mended = FunctionType(original.__code__, scope, original.__name__, original.__defaults__)
    imgcorruptlike._apply_glass_blur_imgaug = functools.update_wrapper(mended, original)


def _mend_bbs(bbs: Any) -> None:
    """Boxes can be drawn without matplotlib, which scikit-image demands to clip a polygon.

    imgaug does not ask it to clip anything: a box's outline is four lines, of which the pixels inside the
    image are drawn. Where scikit-image does its work it is left to do it.
    """
    skimage = bbs.skimage

    def polygon_perimeter(r: Any, c: Any, shape: Any = None, clip: bool = False) -> Any:
        try:
            return skimage.draw.polygon_perimeter(r, c, shape=shape, clip=clip)
        except ImportError:
            if clip or shape is None:
                raise
            return _outline(skimage.draw.line, r, c, shape)

    # It is all that the module takes from scikit-image.
    bbs.skimage = SimpleNamespace(draw=SimpleNamespace(polygon_perimeter=polygon_perimeter))


def _outline(line: Callable[..., Any], rows: list[int], columns: list[int], shape: Any) -> tuple[Any, Any]:
    """The pixels of a polygon's sides that lie in an image of this shape: rows and columns."""
    corners = list(zip(rows, columns, strict=True))
    sides = [line(*start, *end) for start, end in zip(corners, [*corners[1:], corners[0]], strict=True)]
    rr = np.concatenate([side[0] for side in sides])
    cc = np.concatenate([side[1] for side in sides])
    inside = (rr >= 0) & (rr < shape[0]) & (cc >= 0) & (cc < shape[1])
    return rr[inside], cc[inside]


# --- imagecorruptions --------------------------------------------------------------------------------------


def _missing_in_corruptions(name: str) -> Any:
    """What stands for a module that imagecorruptions imports and that is gone."""
    if (
        name == "pkg_resources"
    ):  # from setuptools, which newer Pythons do not bring and which dropped it in 82
        return SimpleNamespace(resource_filename=_resource_filename)
    if name == "scipy.ndimage.interpolation":  # announced to go with scipy 2
        return importlib.import_module("scipy.ndimage")
    return None


def _resource_filename(module: str, resource: str) -> str:
    """The path of a file that lies beside this module, or below."""
    return str(Path(str(importlib.import_module(module).__file__)).parent / resource)


def _mend_corruptions(corruptions: Any) -> None:
    """GaussianBlur finds a ``gaussian`` that knows ``multichannel``, Fog finds ``numpy.float_``."""
    corruptions.gaussian = _with_multichannel(corruptions.gaussian)
    put_back("float_", np.float64)


# --- tools -------------------------------------------------------------------------------------------------


def _with_multichannel(gaussian: Callable[..., Any]) -> Callable[..., Any]:
    """scikit-image's ``gaussian``, with the keyword that became ``channel_axis``."""
    if "multichannel" in inspect.signature(gaussian).parameters:
        return gaussian

    @functools.wraps(gaussian)
    def gaussian_of_old(*arguments: Any, multichannel: bool = False, **options: Any) -> Any:
        if multichannel:
            options["channel_axis"] = -1
        return gaussian(*arguments, **options)

    return gaussian_of_old


def _builtins_that_import(stand_in: Callable[[str], Any], *, first: bool = False) -> dict[str, Any]:
    """Builtins for one module or function, whose ``import`` asks `stand_in` for what cannot be found.

    With `first` it asks before it looks. Nothing outside that module or function sees the stand-ins.
    """

    def import_(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        found = stand_in(name) if first else None
        if found is not None:
            return found
        try:
            return builtins.__import__(name, globals, locals, fromlist, level)
        except ImportError:
            found = stand_in(name)
            if found is None:
                raise
            return found

    return {**vars(builtins), "__import__": import_}


_MENDS: dict[str, Callable[[Any], None]] = {
    "imgaug.augmenters.geometric": _mend_geometric,
    "imgaug.augmenters.color": _mend_color,
    "imgaug.augmenters.pillike": _mend_pillike,
    "imgaug.augmenters.imgcorruptlike": _mend_imgcorruptlike,
    "imgaug.augmentables.bbs": _mend_bbs,
    "imagecorruptions.corruptions": _mend_corruptions,
}
