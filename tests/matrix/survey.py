"""Run in an environment: prints its versions, and which of imgaug's augmenters run there, as JSON."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
import warnings
from typing import Any

DISTRIBUTIONS = ("numpy", "scipy", "scikit-image", "pillow", "opencv-python-headless")


def versions() -> dict[str, str]:
    from augfarm.compat import imgaug_distribution

    found = {"python": platform.python_version(), **{d: importlib.metadata.version(d) for d in DISTRIBUTIONS}}
    name, version = imgaug_distribution()
    return {**found, "imgaug": f"{name} {version}"}


def augmenters() -> tuple[int, dict[str, str]]:
    """How many of imgaug's public augmenters take three photographs, and what the others raise."""
    import imgaug as ia

    from sweep.catalogue import AUGMENTERS
    from sweep.subjects import batch_of

    ran, failed = 0, {}
    needs: dict[str, tuple[str, ...]] = {
        "blend.BlendAlphaBoundingBoxes": ("bounding_boxes",),
        "blend.BlendAlphaSegMapClassIds": ("segmentation_maps",),
    }
    for name, build in AUGMENTERS.items():
        try:
            ia.seed(1)
            build().augment_batch_(batch_of(0, needs.get(name, ())))
            ran += 1
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
    return ran, failed


def main() -> None:
    warnings.simplefilter("ignore")
    import augfarm.compat  # noqa: F401  before imgaug

    result: dict[str, Any] = {"versions": versions()}
    result["ran"], result["failed"] = augmenters()
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
