"""One of each of imgaug's stochastic parameters, and augmenters that draw from them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import imgaug.augmenters as iaa
import imgaug.parameters as iap
import numpy as np

__all__ = ["PARAMETERS", "public_parameters", "users_of"]


def public_parameters() -> dict[str, type]:
    """All parameters that imgaug offers under a name without an underscore and that can be built."""
    return {
        name: cls
        for name, cls in vars(iap).items()
        if isinstance(cls, type)
        and issubclass(cls, iap.StochasticParameter)
        and not name.startswith("_")
        and not inspect.isabstract(cls)
    }


#: How each parameter is built; what it draws lies around 1, mostly.
PARAMETERS: dict[str, Callable[[], Any]] = {
    "Absolute": lambda: iap.Absolute(iap.Normal(0, 1.0)),
    "Add": lambda: iap.Add(iap.Uniform(0.2, 0.6), (0.1, 0.5), elementwise=True),
    "AutoPrefetcher": lambda: iap.AutoPrefetcher(iap.Uniform(0.5, 1.5), 100),
    "Beta": lambda: iap.Beta((0.5, 1.5), 0.5),
    "Binomial": lambda: iap.Binomial((0.2, 0.8)),
    "ChiSquare": lambda: iap.ChiSquare((1, 3)),
    "Choice": lambda: iap.Choice([0.5, np.float32(0.8), iap.Poisson(1)], p=[0.2, 0.3, 0.5]),
    "Clip": lambda: iap.Clip(iap.Normal(1, 1), 0.3, None),
    "Deterministic": lambda: iap.Deterministic(0.7),
    "DeterministicList": lambda: iap.DeterministicList([0.3, 0.6, 1.2]),
    "DiscreteUniform": lambda: iap.DiscreteUniform((0, 1), [2, 3]),
    "Discretize": lambda: iap.Discretize(iap.Uniform(0, 2.5), round=False),
    "Divide": lambda: iap.Divide(iap.Uniform(0.5, 1.0), [1, 2], elementwise=True),
    "ForceSign": lambda: iap.ForceSign(iap.Normal(0, 1), positive=True, mode="reroll", reroll_count_max=3),
    "FrequencyNoise": lambda: iap.FrequencyNoise((-2, 2), size_px_max=(4, 8)),
    "FromLowerResolution": lambda: iap.FromLowerResolution(iap.Uniform(0.2, 1.5), size_percent=(0.1, 0.3)),
    "IterativeNoiseAggregator": lambda: iap.IterativeNoiseAggregator(
        iap.SimplexNoise((2, 8)), (1, 3), ["avg"]
    ),
    "Laplace": lambda: iap.Laplace((0.8, 1.2), 0.2),
    "Multiply": lambda: iap.Multiply(iap.Uniform(0.5, 1.0), (0.5, 1.5)),
    "Normal": lambda: iap.Normal([0.8, 1.2], (0.1, 0.3)),
    "Poisson": lambda: iap.Poisson((1, 2)),
    "Power": lambda: iap.Power(iap.Uniform(0.5, 1.5), (0.5, 2.0)),
    "RandomSign": lambda: iap.RandomSign(iap.Uniform(0.5, 1.5), 0.8),
    "Sigmoid": lambda: iap.Sigmoid.create_for_noise(iap.SimplexNoise((2, 8)), threshold=(-5, 5)),
    "SimplexNoise": lambda: iap.SimplexNoise((2, 8), upscale_method=["nearest", "linear"]),
    "Subtract": lambda: iap.Subtract(iap.Uniform(0.9, 1.6), (0.1, 0.5)),
    "TruncatedNormal": lambda: iap.TruncatedNormal(1.0, (0.2, 0.5), low=0.0),
    "Uniform": lambda: iap.Uniform((0.2, 0.4), iap.Choice([1.0, 1.4])),
    "Weibull": lambda: iap.Weibull((0.8, 1.5)),
}


#: What draws for the pixels of a plane only.
_PLANES = ("FrequencyNoise", "FromLowerResolution", "IterativeNoiseAggregator", "Sigmoid", "SimplexNoise")


def users_of(name: str) -> iaa.Augmenter:
    """An augmenter that draws a number for each pixel, and where it can one that does for each channel."""
    pixels = iaa.MultiplyElementwise(PARAMETERS[name](), per_channel=True)
    if name in _PLANES:
        return pixels
    return iaa.Sequential([pixels, iaa.Multiply(PARAMETERS[name](), per_channel=True)])
