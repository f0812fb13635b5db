"""What a pipeline spec may name, and what its objects may hold. Checked on what a path resolves to.

A path is ``module:Name``. That a module's name begins with "imgaug." says nothing: ``imgaug.imgaug:os`` is a
whole other library. So the object must be one that its module defines under this very name, and

- a subclass of imgaug's ``Augmenter`` (but not ``SaveDebugImageEveryNBatches``, which writes files), of its
  ``StochasticParameter``, or of the bases of mask generators, point samplers and colorizers;
- or one of the helper classes and functions listed here by name;
- or, from a module that the worker's operator allows, such a subclass or a function.

No module is imported because a peer names it, other than those that the operator allows.
"""

from __future__ import annotations

import importlib
import sys
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from .errors import InvalidPipeline

__all__ = [
    "ADVICE",
    "NUMPY_TYPES",
    "TRANSIENT",
    "check_attribute",
    "check_base",
    "is_key",
    "path_of_class",
    "path_of_function",
    "resolve_class",
    "resolve_function",
    "short",
]

#: What an object of the fork imaug remembers of its last use, and how it is when new.
TRANSIENT: dict[str, dict[str, Any]] = {
    "imgaug.parameters:AutoPrefetcher": {"samples": None, "index": 0, "last_rng_idx": None},
}

#: Classes of numpy scalars that augmenters keep as attributes (``dtype=np.int16``).
NUMPY_TYPES: dict[str, type] = {
    name: np.dtype(name).type
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    )
}

#: What to do with a function or class that workers cannot find.
ADVICE = (
    "define it (def or class) at the top level of a module, say my_augs.py, import it from there, and start"
    " the workers beside that file with: augfarm worker --allow-import my_augs (a local farm needs no option)"
)


def _paths(module: str, names: str) -> set[str]:
    return {f"{module}:{name}" for name in names.split()}


#: imgaug's classes that have none of the bases in _is_pipeline_class and that augmenters keep as attributes.
_HELPER_CLASSES = (
    _paths("imgaug.augmentables.polys", "_ConcavePolygonRecoverer")
    | _paths("imgaug.augmenters.blur", "_MotionBlurMatrixGenerator")
    | _paths("imgaug.augmenters.contrast", "_IntensityChannelBasedApplier")
    | _paths(
        "imgaug.augmenters.convolutional",
        "_SharpeningMatrixGenerator _EmbossMatrixGenerator _EdgeDetectMatrixGenerator"
        " _DirectedEdgeDetectMatrixGenerator",
    )
    | _paths(
        "imgaug.augmenters.meta",
        "_AssertLambdaCallback _AssertShapeImagesCheck _AssertShapeHeatmapsCheck _AssertShapeSegmapCheck"
        " _AssertShapeKeypointsCheck _AssertShapeBoundingBoxesCheck _AssertShapePolygonsCheck"
        " _AssertShapeLineStringsCheck",
    )
)

#: imgaug's functions that augmenters keep as attributes. All take an image and numbers and return an image.
_HELPER_FUNCTIONS = (
    _paths(
        "imgaug.augmenters.contrast",
        "adjust_contrast_gamma adjust_contrast_sigmoid adjust_contrast_log adjust_contrast_linear",
    )
    | _paths(
        "imgaug.augmenters.pillike",
        "autocontrast enhance_color enhance_contrast enhance_brightness enhance_sharpness filter_blur"
        " filter_smooth filter_smooth_more filter_edge_enhance filter_edge_enhance_more filter_find_edges"
        " filter_contour filter_emboss filter_sharpen filter_detail",
    )
    | _paths(
        "imgaug.augmenters.imgcorruptlike",
        "apply_gaussian_noise apply_shot_noise apply_impulse_noise apply_speckle_noise apply_gaussian_blur"
        " apply_glass_blur apply_defocus_blur apply_motion_blur apply_zoom_blur apply_fog apply_frost"
        " apply_snow apply_spatter apply_contrast apply_brightness apply_saturate apply_jpeg_compression"
        " apply_pixelate apply_elastic_transform",
    )
)


def path_of_class(cls: type, where: str) -> str:
    """The path under which objects of this class travel.

    Raises:
        InvalidPipeline: where no worker may or can make them.
    """
    path = f"{cls.__module__}:{cls.__qualname__}"
    if _is_imgaug(cls.__module__):
        _check_class(cls, path, where)
        return path
    if not _is_pipeline_class(cls):
        raise InvalidPipeline(
            f"an object of {short(path)} cannot travel; augmenters, stochastic parameters, mask generators,"
            " point samplers, colorizers, arrays and plain values can",
            where=where,
        )
    _check_findable(cls, "class", where)
    _check_class(cls, path, where)
    return path


def path_of_function(function: FunctionType, where: str) -> str:
    """The path under which this function travels.

    Raises:
        InvalidPipeline: where no worker may or can find it; the text says what to do.
    """
    path = f"{function.__module__}:{function.__qualname__}"
    if path not in _HELPER_FUNCTIONS:
        if _is_imgaug(str(function.__module__)):
            raise InvalidPipeline(f"imgaug's function {short(path)} may not travel", where=where)
        _check_findable(function, "function", where)
    return path


def resolve_class(path: Any, allow_imports: tuple[str, ...], where: str) -> type:
    """The class that a spec's path names.

    Raises:
        InvalidPipeline: where it is not one that a spec may name.
    """
    target = _resolve(path, allow_imports, where)
    if not isinstance(target, type) or f"{target.__module__}:{target.__qualname__}" != path:
        raise InvalidPipeline(f"{short(path)} is not a class of that module", where=where)
    _check_class(target, path, where)
    return target


def resolve_function(path: Any, allow_imports: tuple[str, ...], where: str) -> FunctionType:
    """The function that a spec's path names.

    Raises:
        InvalidPipeline: where it is not one that a spec may name.
    """
    target = _resolve(path, allow_imports, where)
    if not isinstance(target, FunctionType) or f"{target.__module__}:{target.__qualname__}" != path:
        raise InvalidPipeline(f"{short(path)} is not a function of that module", where=where)
    if _is_imgaug(target.__module__) and path not in _HELPER_FUNCTIONS:
        raise InvalidPipeline(f"imgaug's function {short(path)} is not one that a spec may name", where=where)
    return target


def check_attribute(cls: type, name: Any, where: str) -> None:
    """Check that an object of this class may have an attribute of this name.

    A name that the class gives to a method, a property or a nested class would replace behaviour.

    Raises:
        InvalidPipeline: where it may not.
    """
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("__"):
        raise InvalidPipeline(f"{short(name)} is not the name of an attribute", where=where)
    for base in cls.__mro__:
        if name in vars(base):
            found = vars(base)[name]
            if callable(found) or hasattr(type(found), "__get__"):
                raise InvalidPipeline(
                    f"attribute {short(name)} would replace a method of its class", where=where
                )
            return


def short(value: object) -> str:
    """The value as text for a message: ASCII, quoted, and cut where it is long."""
    plain = isinstance(value, (str, float, bytes)) or (isinstance(value, int) and abs(value) < 2**128)
    text = ascii(value) if plain else type(value).__name__
    return text if len(text) <= 120 else f"{text[:120]}..."


def check_base(cls: type, held: dict[str, Any], where: str) -> None:
    """Check that an augmenter has what all have; without it imgaug fails in places that tell nobody why.

    Raises:
        InvalidPipeline: where something is missing or is of another type.
    """
    from imgaug.augmenters.meta import Augmenter
    from imgaug.random import RNG

    if not issubclass(cls, Augmenter):
        return
    truth = (bool, np.bool_)
    for name, kinds in (("activated", truth), ("deterministic", truth), ("name", str), ("random_state", RNG)):
        if name not in held or not isinstance(held[name], kinds):
            raise InvalidPipeline(
                f"an augmenter needs its attribute {name!r}, of the type that imgaug gives it", where=where
            )


def is_key(value: object) -> bool:
    """Whether the value may be a dict's key or a set's element: plain, so hashing runs no code of theirs."""
    if type(value) is tuple:
        return all(is_key(each) for each in value)
    return (
        value is None
        or type(value) in (bool, int, float, complex, str, bytes)
        or isinstance(value, np.generic)
    )


def _is_imgaug(module: str) -> bool:
    return module == "imgaug" or module.startswith("imgaug.")


def _is_pipeline_class(cls: type) -> bool:
    """Whether it is one of what users put into pipelines and write themselves."""
    from imgaug.augmenters.blend import IBatchwiseMaskGenerator
    from imgaug.augmenters.edges import IBinaryImageColorizer
    from imgaug.augmenters.meta import Augmenter
    from imgaug.augmenters.segmentation import IPointsSampler
    from imgaug.parameters import StochasticParameter

    bases = (Augmenter, StochasticParameter, IBatchwiseMaskGenerator, IPointsSampler, IBinaryImageColorizer)
    return issubclass(cls, bases)


def _check_class(cls: type, path: str, where: str) -> None:
    from imgaug.augmenters.debug import _SaveDebugImage

    if issubclass(cls, _SaveDebugImage):
        raise InvalidPipeline(f"{cls.__name__} writes files and may not travel", where=where)
    if not _is_pipeline_class(cls) and path not in _HELPER_CLASSES:
        raise InvalidPipeline(
            f"{short(path)} is neither an augmenter nor a stochastic parameter nor a helper of theirs",
            where=where,
        )
    # Only a plain object or a list can be made without a call, and only __dict__ is restored.
    if issubclass(cls, (dict, tuple, set)) or any(vars(base).get("__slots__") for base in cls.__mro__):
        raise InvalidPipeline(
            f"{short(path)} keeps values outside its __dict__ and cannot travel", where=where
        )


def _resolve(path: Any, allow_imports: tuple[str, ...], where: str) -> object:
    """What the module's own namespace holds under the path's name."""
    module_name, colon, name = path.partition(":") if isinstance(path, str) else ("", "", "")
    if not colon or not name.isidentifier():
        raise InvalidPipeline(f"{short(path)} is not a path of the form module:Name", where=where)
    module: ModuleType | None
    if _is_imgaug(module_name):
        # All of imgaug is loaded; nothing else is imported because a peer names it.
        module = sys.modules.get(module_name)
    elif module_name in allow_imports:
        try:
            module = importlib.import_module(module_name)
        except Exception as error:
            raise InvalidPipeline(
                f"module {short(module_name)} fails to import here: {error!r}", where=where
            ) from error
    else:
        raise InvalidPipeline(
            f"module {short(module_name)} is not allowed on this worker; its operator can allow it with"
            f" --allow-import {module_name[:120] if module_name.isascii() else 'MODULE'}",
            where=where,
        )
    if module is None or name not in vars(module):
        hint = "" if _is_imgaug(module_name) else "; was its module changed after the worker had started?"
        raise InvalidPipeline(f"there is no {short(path)} here{hint}", where=where)
    found: object = vars(module)[name]
    return found


def _check_findable(thing: Any, what: str, where: str) -> None:
    """Check that a worker finds this class or function by its module and name, or say what to do."""
    module, name = thing.__module__, thing.__qualname__
    if "<" in name:
        raise InvalidPipeline(
            f"the {what} {name!r} was made in place, so no worker can find it by name; {ADVICE}", where=where
        )
    if module == "__main__":
        raise InvalidPipeline(
            f"the {what} {name!r} stands in the script itself, which workers do not import; {ADVICE}",
            where=where,
        )
    found = getattr(sys.modules.get(module), name, None)
    if found is None:
        raise InvalidPipeline(
            f"module {module!r} has no {what} of its own under the name {name!r}; {ADVICE}", where=where
        )
    if found is not thing:
        raise InvalidPipeline(
            f"module {module!r} has something else under the name {name!r}, and workers would take that; if"
            " the module was reloaded, make the augmenter anew",
            where=where,
        )
