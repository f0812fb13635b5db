"""One of each of imgaug's public augmenters, with arguments as users give them: ranges, lists, children.

The names are those of the classes below ``imgaug.augmenters``: ``flip.Fliplr``, ``pillike.Affine``. A public
class without an entry here is found by ``test_catalogue.py``.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable

import numpy as np

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import imgaug.augmenters as iaa
import imgaug.parameters as iap

from sweep import my_augs

__all__ = ["AUGMENTERS", "NEVER_SENT", "name_of", "public_classes"]

#: What augfarm refuses on purpose, whatever the arguments, and why.
NEVER_SENT = {"debug.SaveDebugImageEveryNBatches": "it writes files, which a worker does for nobody"}


def name_of(cls: type) -> str:
    """The class's name below imgaug.augmenters."""
    return f"{cls.__module__.removeprefix('imgaug.augmenters.')}.{cls.__name__}"


def public_classes() -> dict[str, type]:
    """All augmenters that imgaug offers under a name without an underscore and that can be built."""
    found: dict[str, type] = {}
    for info in pkgutil.iter_modules(iaa.__path__):
        module = importlib.import_module(f"imgaug.augmenters.{info.name}")
        for name, cls in vars(module).items():
            if (
                isinstance(cls, type)
                and issubclass(cls, iaa.Augmenter)
                and not name.startswith("_")
                and not inspect.isabstract(cls)
                and cls.__module__ == module.__name__
            ):
                found[name_of(cls)] = cls
    return dict(sorted(found.items()))


def _add() -> iaa.Augmenter:
    return iaa.Add((10, 90), per_channel=0.5)


def _points() -> object:
    return iaa.DropoutPointsSampler(
        iaa.SubsamplingPointsSampler(iaa.RelativeRegularGridPointsSampler((0.1, 0.2), 0.2), 50), (0.1, 0.3)
    )


_LAYER = {
    "density": (0.05, 0.2),
    "density_uniformity": (0.2, 0.8),
    "angle": (-15, 15),
    "speed": (0.01, 0.05),
    "blur_sigma_fraction": (0.001, 0.01),
}
_KINDS_OF_SPACE = ["HSV", "Lab", "YCrCb"]

#: Augmenters of which the class alone says how they are built.
_BY_DEFAULT = {
    "arithmetic": "Cutout",
    "artistic": "Cartoon",
    "blur": "AverageBlur BilateralBlur MedianBlur",
    "color": "AddToBrightness AddToHue AddToSaturation ChangeColorTemperature MultiplyAndAddToBrightness"
    " MultiplyBrightness MultiplyHue MultiplySaturation RemoveSaturation",
    "contrast": "AllChannelsCLAHE AllChannelsHistogramEqualization CLAHE HistogramEqualization",
    "edges": "Canny",
    "meta": "ClipCBAsToImagePlanes Identity Noop",
    "pillike": "Autocontrast EnhanceBrightness EnhanceColor EnhanceContrast EnhanceSharpness Equalize"
    " FilterBlur FilterContour FilterDetail FilterEdgeEnhance FilterEdgeEnhanceMore FilterEmboss"
    " FilterFindEdges FilterSharpen FilterSmooth FilterSmoothMore Posterize",
    "imgcorruptlike": "Brightness Contrast DefocusBlur ElasticTransform Fog Frost GaussianBlur GaussianNoise"
    " GlassBlur ImpulseNoise JpegCompression MotionBlur Pixelate Saturate ShotNoise Snow Spatter SpeckleNoise"
    " ZoomBlur",
    "pooling": "AveragePooling MaxPooling MedianPooling MinPooling",
    "size": "CenterCropToSquare CenterPadToSquare CropToSquare",
    "weather": "Clouds FastSnowyLandscape Fog Rain Snowflakes",
}

#: How each augmenter is built; call it for one of your own.
AUGMENTERS: dict[str, Callable[[], iaa.Augmenter]] = {
    f"{module}.{name}": getattr(importlib.import_module(f"imgaug.augmenters.{module}"), name)
    for module, names in _BY_DEFAULT.items()
    for name in names.split()
}

AUGMENTERS |= {
    "arithmetic.Add": lambda: iaa.Add((-40, 40), per_channel=0.5),
    "arithmetic.AddElementwise": lambda: iaa.AddElementwise((-40, 40), per_channel=0.5),
    "arithmetic.AdditiveGaussianNoise": lambda: iaa.AdditiveGaussianNoise(scale=(5, 30), per_channel=True),
    "arithmetic.AdditiveLaplaceNoise": lambda: iaa.AdditiveLaplaceNoise(scale=(5, 30), per_channel=True),
    "arithmetic.AdditivePoissonNoise": lambda: iaa.AdditivePoissonNoise((5, 30), per_channel=True),
    "arithmetic.CoarseDropout": lambda: iaa.CoarseDropout((0.1, 0.3), size_percent=(0.1, 0.3)),
    "arithmetic.CoarsePepper": lambda: iaa.CoarsePepper((0.1, 0.3), size_percent=(0.1, 0.3)),
    "arithmetic.CoarseSalt": lambda: iaa.CoarseSalt((0.1, 0.3), size_px=(4, 9)),
    "arithmetic.CoarseSaltAndPepper": lambda: iaa.CoarseSaltAndPepper((0.1, 0.3), size_percent=(0.1, 0.3)),
    "arithmetic.Dropout": lambda: iaa.Dropout((0.05, 0.3), per_channel=0.5),
    "arithmetic.Dropout2d": lambda: iaa.Dropout2d(0.5, nb_keep_channels=0),
    "arithmetic.ImpulseNoise": lambda: iaa.ImpulseNoise((0.05, 0.2)),
    "arithmetic.Invert": lambda: iaa.Invert(0.5, per_channel=True, threshold=(60, 190)),
    "arithmetic.JpegCompression": lambda: iaa.JpegCompression((40, 99)),
    "arithmetic.Multiply": lambda: iaa.Multiply((0.5, 1.5), per_channel=0.5),
    "arithmetic.MultiplyElementwise": lambda: iaa.MultiplyElementwise((0.5, 1.5), per_channel=0.5),
    "arithmetic.Pepper": lambda: iaa.Pepper((0.05, 0.2), per_channel=True),
    "arithmetic.ReplaceElementwise": lambda: iaa.ReplaceElementwise(
        (0.1, 0.3), iap.Choice([0, np.uint8(255)], p=[0.3, 0.7]), per_channel=0.5
    ),
    "arithmetic.Salt": lambda: iaa.Salt((0.05, 0.2), per_channel=True),
    "arithmetic.SaltAndPepper": lambda: iaa.SaltAndPepper((0.05, 0.2), per_channel=True),
    "arithmetic.Solarize": lambda: iaa.Solarize(0.5, threshold=(32, 128)),
    "arithmetic.TotalDropout": lambda: iaa.TotalDropout(0.5),
    "blend.BlendAlpha": lambda: iaa.BlendAlpha((0.1, 0.9), _add(), iaa.Fliplr(0.5), per_channel=0.5),
    "blend.BlendAlphaBoundingBoxes": lambda: iaa.BlendAlphaBoundingBoxes(
        ["cat", "dog"], _add(), nb_sample_labels=1
    ),
    "blend.BlendAlphaCheckerboard": lambda: iaa.BlendAlphaCheckerboard((2, 5), (2, 5), _add()),
    "blend.BlendAlphaElementwise": lambda: iaa.BlendAlphaElementwise(
        (0.1, 0.9), _add(), iaa.Affine((0.8, 1.2))
    ),
    "blend.BlendAlphaFrequencyNoise": lambda: iaa.BlendAlphaFrequencyNoise(foreground=_add()),
    "blend.BlendAlphaHorizontalLinearGradient": lambda: iaa.BlendAlphaHorizontalLinearGradient(_add()),
    "blend.BlendAlphaMask": lambda: iaa.BlendAlphaMask(
        iaa.InvertMaskGen(0.5, iaa.VerticalLinearGradientMaskGen()), _add(), iaa.Fliplr(0.5)
    ),
    "blend.BlendAlphaRegularGrid": lambda: iaa.BlendAlphaRegularGrid(
        (2, 5), (2, 5), _add(), alpha=(0.2, 0.9)
    ),
    "blend.BlendAlphaSegMapClassIds": lambda: iaa.BlendAlphaSegMapClassIds(
        [1, 2, 3], _add(), nb_sample_classes=2
    ),
    "blend.BlendAlphaSimplexNoise": lambda: iaa.BlendAlphaSimplexNoise(_add(), iaa.EdgeDetect((0.5, 1.0))),
    "blend.BlendAlphaSomeColors": lambda: iaa.BlendAlphaSomeColors(iaa.Grayscale((0.5, 1.0))),
    "blend.BlendAlphaVerticalLinearGradient": lambda: iaa.BlendAlphaVerticalLinearGradient(_add()),
    "blur.GaussianBlur": lambda: iaa.GaussianBlur((0.5, 3.0)),
    "blur.MeanShiftBlur": lambda: iaa.MeanShiftBlur((5.0, 9.0), (10.0, 20.0)),
    "blur.MotionBlur": lambda: iaa.MotionBlur((3, 9), angle=(0, 360)),
    "collections.RandAugment": lambda: iaa.RandAugment(n=(1, 3), m=(4, 12)),
    "color.AddToHueAndSaturation": lambda: iaa.AddToHueAndSaturation((-90, 90), per_channel=True),
    "color.ChangeColorspace": lambda: iaa.ChangeColorspace(_KINDS_OF_SPACE, alpha=(0.3, 1.0)),
    "color.Grayscale": lambda: iaa.Grayscale((0.3, 1.0)),
    "color.KMeansColorQuantization": lambda: iaa.KMeansColorQuantization((3, 6)),
    "color.MultiplyHueAndSaturation": lambda: iaa.MultiplyHueAndSaturation((0.5, 1.5), per_channel=True),
    "color.Posterize": lambda: iaa.Posterize((2, 5)),
    "color.UniformColorQuantization": lambda: iaa.UniformColorQuantization(
        (4, 9), to_colorspace=_KINDS_OF_SPACE
    ),
    "color.UniformColorQuantizationToNBits": lambda: iaa.UniformColorQuantizationToNBits((2, 5)),
    "color.WithBrightnessChannels": lambda: iaa.WithBrightnessChannels(_add()),
    "color.WithColorspace": lambda: iaa.WithColorspace("HSV", children=iaa.WithChannels(0, _add())),
    "color.WithHueAndSaturation": lambda: iaa.WithHueAndSaturation([iaa.Multiply((0.5, 1.5)), _add()]),
    "contrast.GammaContrast": lambda: iaa.GammaContrast((0.5, 2.0), per_channel=True),
    "contrast.LinearContrast": lambda: iaa.LinearContrast((0.5, 1.5), per_channel=True),
    "contrast.LogContrast": lambda: iaa.LogContrast((0.5, 1.5), per_channel=True),
    "contrast.SigmoidContrast": lambda: iaa.SigmoidContrast((3, 9), (0.3, 0.6), per_channel=True),
    "convolutional.Convolve": lambda: iaa.Convolve(np.array([[0, 0.5, 0.1], [0.5, 0, -0.1]], np.float32)),
    "convolutional.DirectedEdgeDetect": lambda: iaa.DirectedEdgeDetect((0.3, 0.9), direction=(0.0, 1.0)),
    "convolutional.EdgeDetect": lambda: iaa.EdgeDetect((0.3, 0.9)),
    "convolutional.Emboss": lambda: iaa.Emboss((0.3, 0.9), (0.5, 1.5)),
    "convolutional.Sharpen": lambda: iaa.Sharpen((0.3, 0.9), (0.8, 1.3)),
    "flip.Fliplr": lambda: iaa.Fliplr(0.5),
    "flip.Flipud": lambda: iaa.Flipud(0.5),
    "geometric.Affine": lambda: iaa.Affine(
        scale={"x": (0.8, 1.2), "y": [0.9, 1.1]},
        translate_percent=(-0.1, 0.1),
        rotate=iap.Normal(0, 20),
        shear=(-8, 8),
        order=[0, 1],
        cval=(0, 255),
        mode=["edge", "wrap", "constant"],
    ),
    "geometric.AffineCv2": lambda: iaa.AffineCv2((0.8, 1.2), rotate=(-20, 20), mode=["replicate", "wrap"]),
    "geometric.ElasticTransformation": lambda: iaa.ElasticTransformation(
        (5.0, 30.0), (4.0, 6.0), mode="wrap"
    ),
    "geometric.Jigsaw": lambda: iaa.Jigsaw((2, 4), (2, 4), max_steps=(1, 3)),
    "geometric.PerspectiveTransform": lambda: iaa.PerspectiveTransform((0.02, 0.1), mode="replicate"),
    "geometric.PiecewiseAffine": lambda: iaa.PiecewiseAffine((0.02, 0.05), nb_rows=(2, 4)),
    "geometric.Rot90": lambda: iaa.Rot90((0, 3), keep_size=False),
    "geometric.Rotate": lambda: iaa.Rotate((-45, 45), fit_output=True),
    "geometric.ScaleX": lambda: iaa.ScaleX((0.5, 1.5)),
    "geometric.ScaleY": lambda: iaa.ScaleY((0.5, 1.5)),
    "geometric.ShearX": lambda: iaa.ShearX((-30, 30)),
    "geometric.ShearY": lambda: iaa.ShearY((-30, 30)),
    "geometric.TranslateX": lambda: iaa.TranslateX(px=(-9, 9)),
    "geometric.TranslateY": lambda: iaa.TranslateY(percent=(-0.2, 0.2)),
    "geometric.WithPolarWarping": lambda: iaa.WithPolarWarping(iaa.CropAndPad(percent=(-0.1, 0.1))),
    "meta.AssertLambda": lambda: iaa.AssertLambda(
        my_augs.images_are_bytes, func_keypoints=my_augs.are_keypoints
    ),
    "meta.AssertShape": lambda: iaa.AssertShape((None, [24, 48], [16, 32, 64], (1, 4))),
    "meta.ChannelShuffle": lambda: iaa.ChannelShuffle(0.7, channels=[0, 2]),
    "meta.Lambda": lambda: iaa.Lambda(my_augs.darken, func_keypoints=my_augs.shift),
    "meta.OneOf": lambda: iaa.OneOf([iaa.Fliplr(0.5), _add(), iaa.Sequential([iaa.Flipud(0.5), _add()])]),
    "meta.RemoveCBAsByOutOfImageFraction": lambda: iaa.RemoveCBAsByOutOfImageFraction(0.2),
    "meta.Sequential": lambda: iaa.Sequential(
        [iaa.Affine(rotate=(-9, 9)), _add(), _add()], random_order=True
    ),
    "meta.SomeOf": lambda: iaa.SomeOf((1, None), [iaa.Fliplr(0.5), _add(), iaa.Affine((0.8, 1.2))]),
    "meta.Sometimes": lambda: iaa.Sometimes(0.5, [_add(), iaa.Fliplr(0.5)], iaa.Flipud(0.5)),
    "meta.WithChannels": lambda: iaa.WithChannels([0, 2], [_add(), iaa.Multiply((0.5, 1.5))]),
    "pillike.Affine": lambda: iaa.pillike.Affine(
        (0.8, 1.2), rotate=(-20, 20), shear={"x": (-9, 9)}, fillcolor=(0, 255)
    ),
    "pillike.Solarize": lambda: iaa.pillike.Solarize(0.5, threshold=(32, 128)),
    "segmentation.RegularGridVoronoi": lambda: iaa.RegularGridVoronoi((4, 9), (4, 9)),
    "segmentation.RelativeRegularGridVoronoi": lambda: iaa.RelativeRegularGridVoronoi((0.1, 0.2), (0.1, 0.2)),
    "segmentation.Superpixels": lambda: iaa.Superpixels((0.3, 0.9), (10, 40)),
    "segmentation.UniformVoronoi": lambda: iaa.UniformVoronoi((20, 60)),
    "segmentation.Voronoi": lambda: iaa.Voronoi(_points(), p_replace=(0.5, 1.0)),
    "size.CenterCropToAspectRatio": lambda: iaa.CenterCropToAspectRatio(2.0),
    "size.CenterCropToFixedSize": lambda: iaa.CenterCropToFixedSize(width=30, height=20),
    "size.CenterCropToMultiplesOf": lambda: iaa.CenterCropToMultiplesOf(7, 5),
    "size.CenterCropToPowersOf": lambda: iaa.CenterCropToPowersOf(3, 2),
    "size.CenterPadToAspectRatio": lambda: iaa.CenterPadToAspectRatio(2.0, pad_mode=["edge", "reflect"]),
    "size.CenterPadToFixedSize": lambda: iaa.CenterPadToFixedSize(width=80, height=70, pad_cval=(0, 255)),
    "size.CenterPadToMultiplesOf": lambda: iaa.CenterPadToMultiplesOf(7, 5, pad_cval=(0, 255)),
    "size.CenterPadToPowersOf": lambda: iaa.CenterPadToPowersOf(3, 2, pad_cval=(0, 255)),
    "size.Crop": lambda: iaa.Crop(px=((0, 5), [1, 2], 3, iap.Poisson(2)), keep_size=False),
    "size.CropAndPad": lambda: iaa.CropAndPad(
        percent=(-0.2, 0.2), pad_mode=["edge", "constant"], pad_cval=(0, 255)
    ),
    "size.CropToAspectRatio": lambda: iaa.CropToAspectRatio(2.0),
    "size.CropToFixedSize": lambda: iaa.CropToFixedSize(width=30, height=20, position="normal"),
    "size.CropToMultiplesOf": lambda: iaa.CropToMultiplesOf(7, 5),
    "size.CropToPowersOf": lambda: iaa.CropToPowersOf(3, 2),
    "size.KeepSizeByResize": lambda: iaa.KeepSizeByResize(
        iaa.Crop(px=(1, 9), keep_size=False), interpolation=["nearest", "linear"]
    ),
    "size.Pad": lambda: iaa.Pad(percent=(0.0, 0.2), pad_mode=["edge", "constant"]),
    "size.PadToAspectRatio": lambda: iaa.PadToAspectRatio(2.0, position="left-top"),
    "size.PadToFixedSize": lambda: iaa.PadToFixedSize(width=80, height=70, position="normal"),
    "size.PadToMultiplesOf": lambda: iaa.PadToMultiplesOf(7, 5),
    "size.PadToPowersOf": lambda: iaa.PadToPowersOf(3, 2),
    "size.PadToSquare": lambda: iaa.PadToSquare(pad_cval=(0, 255)),
    "size.Resize": lambda: iaa.Resize(
        {"height": (16, 60), "width": [0.5, 1.25]}, interpolation=["nearest", "linear", "cubic"]
    ),
    "weather.CloudLayer": lambda: iaa.CloudLayer(
        (196, 255), (-2.5, -2.0), 10, (0.2, 0.4), (0.3, 0.6), (2, 8), (-2.5, -2.0), 1.0, (0.5, 1.0)
    ),
    "weather.RainLayer": lambda: iaa.RainLayer(
        drop_size=(0.1, 0.5), drop_size_uniformity=(0.2, 0.5), **_LAYER
    ),
    "weather.SnowflakesLayer": lambda: iaa.SnowflakesLayer(
        flake_size=(0.1, 0.5), flake_size_uniformity=(0.2, 0.5), **_LAYER
    ),
}
