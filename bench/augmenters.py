"""Where imgaug's time goes: every public augmenter, on one thread, slowest first.

    python bench/augmenters.py               # some minutes; writes bench/results/augmenters.json
    python bench/augmenters.py --quick       # one repetition, Albumentations at 225x225 alone: three minutes
    python bench/augmenters.py --document    # docs/augmenter-speed.md and its plot anew, from the results

16 images of 225x225 and of 512x512, arguments as in tests/sweep/catalogue.py. Beside each what fast kernels
take, and Albumentations where it has an equivalent and is installed (`pip install albumentations`).
"""

from __future__ import annotations

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[name] = "1"  # before numpy is loaded

import argparse  # noqa: E402
import copy  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

from scaffold import RESULTS, ROOT, machine  # noqa: E402

# isort: split
import cv2  # noqa: E402
import imgaug as ia  # noqa: E402
import imgaug.augmenters as iaa  # noqa: E402
import numpy as np  # noqa: E402

from augfarm.worker import kernels  # noqa: E402
from sweep.catalogue import AUGMENTERS, NEVER_SENT  # noqa: E402

RESULT = RESULTS / "augmenters.json"
DOCUMENT = ROOT / "docs" / "augmenter-speed.md"
IMAGE = ROOT / "docs" / "images" / "augmenter-speed.png"
IMAGES, SIZES = 16, (225, 512)
#: An augmenter is timed until so many seconds have gone, twice at least unless it is slow; the least counts.
SECONDS, SLOW = 0.3, 2.0
#: Bars of the plot.
SHOWN = 45
#: Arguments other than the catalogue's, which are for small images.
OTHERS: dict[str, Callable[[], Any]] = {"meta.AssertShape": lambda: iaa.AssertShape((None, None, None, 3))}


def main() -> None:
    """Measure, or write the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--document", action="store_true", help="write the document from the last results")
    parser.add_argument(
        "--quick", action="store_true", help="one repetition; Albumentations at 225x225 alone"
    )
    told = parser.parse_args()
    if not told.document:
        warnings.simplefilter("ignore")
        cv2.setNumThreads(0)
        RESULTS.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(measure(told.quick), indent=1) + "\n")
    found = json.loads(RESULT.read_text())
    DOCUMENT.write_text(document(found))
    draw(found)


# --- measuring ---------------------------------------------------------------------------------------------


def measure(quick: bool) -> dict[str, Any]:
    """Milliseconds of CPU a megapixel, for each augmenter and size; or why there are none."""
    rows, left_out = [], dict(NEVER_SENT)
    theirs = albumentations()
    for name, make in sorted({**AUGMENTERS, **OTHERS}.items()):
        row: dict[str, Any] = {"name": name}
        try:
            mine = make()
            kernel = copy.deepcopy(mine)
            replaced = kernels.install(kernel)
            for size in SIZES:
                row[str(size)] = _time(mine, name, size, quick)
                if replaced:
                    row[f"{size} fast"] = _time(kernel, name, size, quick)
                if name in theirs and not (quick and size > SIZES[0]):
                    row[f"{size} albumentations"] = _time_albumentations(theirs[name], size, quick)
        except Exception as error:
            left_out[name] = f"{type(error).__name__}: {error}".partition(". ")[0].strip()
            continue
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
    return {
        "machine": machine(),
        "quick": quick,
        "albumentations": bool(theirs),
        "rows": rows,
        "left_out": left_out,
    }


def _images(size: int) -> list[Any]:
    image = ia.quokka(size=(size, size))
    return [np.roll(image, 7 * number, axis=1) for number in range(IMAGES)]


def _time(augmenter: Any, name: str, size: int, quick: bool) -> float:
    more: dict[str, Any] = {}
    if "BoundingBoxes" in name:
        more["bounding_boxes"] = [ia.quokka_bounding_boxes(size=(size, size))] * IMAGES
    if "SegMap" in name:
        more["segmentation_maps"] = [ia.quokka_segmentation_map(size=(size, size))] * IMAGES
    few = {key: value[:1] for key, value in more.items()}
    augmenter(images=_images(size)[:1], **few)
    return _least(lambda images: augmenter(images=images, **more), size, quick)


def _time_albumentations(transform: Any, size: int, quick: bool) -> float:
    transform(image=_images(size)[0])

    def all_of_them(images: list[Any]) -> None:
        for image in images:
            transform(image=image)

    return _least(all_of_them, size, quick)


def _least(work: Callable[[list[Any]], Any], size: int, quick: bool) -> float:
    images = _images(size)
    began, least, times = time.monotonic(), float("inf"), 0
    while times == 0 or ((time.monotonic() - began < SECONDS or times < 2) and least < SLOW):
        fresh = [image.copy() for image in images]
        before = time.process_time()
        work(fresh)
        least = min(least, time.process_time() - before)
        times += 1
        if quick:
            break
    return round(1e3 * least / (IMAGES * size * size / 1e6), 3)


def albumentations() -> dict[str, Any]:
    """Albumentations' equivalents by imgaug's names; none where it is not installed."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask a server
    try:
        import albumentations as a
    except ImportError as error:
        print(f"Albumentations is left out: {error}", file=sys.stderr)
        return {}
    made: dict[str, Callable[[], Any]] = {
        "arithmetic.AdditiveGaussianNoise": lambda: a.GaussNoise(p=1),
        "arithmetic.AdditivePoissonNoise": lambda: a.ShotNoise(p=1),
        "arithmetic.CoarseDropout": lambda: a.CoarseDropout(p=1),
        "arithmetic.Dropout": lambda: a.PixelDropout(0.15, p=1),
        "arithmetic.Invert": lambda: a.InvertImg(p=1),
        "arithmetic.JpegCompression": lambda: a.ImageCompression(quality_range=(40, 99), p=1),
        "arithmetic.Multiply": lambda: a.MultiplicativeNoise((0.5, 1.5), p=1),
        "arithmetic.MultiplyElementwise": lambda: a.MultiplicativeNoise((0.5, 1.5), elementwise=True, p=1),
        "arithmetic.SaltAndPepper": lambda: a.SaltAndPepper(p=1),
        "arithmetic.Solarize": lambda: a.Solarize(p=1),
        "blur.AverageBlur": lambda: a.Blur((3, 7), p=1),
        "blur.GaussianBlur": lambda: a.GaussianBlur(sigma_limit=(0.5, 3.0), p=1),
        "blur.MedianBlur": lambda: a.MedianBlur((3, 7), p=1),
        "blur.MotionBlur": lambda: a.MotionBlur((3, 9), p=1),
        "color.AddToHueAndSaturation": lambda: a.HueSaturationValue(45, 90, 0, p=1),
        "color.Grayscale": lambda: a.ToGray(p=1),
        "color.Posterize": lambda: a.Posterize((2, 5), p=1),
        "contrast.CLAHE": lambda: a.CLAHE(p=1),
        "contrast.GammaContrast": lambda: a.RandomGamma((50, 200), p=1),
        "contrast.HistogramEqualization": lambda: a.Equalize(p=1),
        "contrast.LinearContrast": lambda: a.RandomBrightnessContrast(0, 0.5, p=1),
        "convolutional.Emboss": lambda: a.Emboss((0.3, 0.9), (0.5, 1.5), p=1),
        "convolutional.Sharpen": lambda: a.Sharpen((0.3, 0.9), (0.8, 1.3), p=1),
        "flip.Fliplr": lambda: a.HorizontalFlip(p=0.5),
        "flip.Flipud": lambda: a.VerticalFlip(p=0.5),
        "geometric.Affine": lambda: a.Affine(
            scale=(0.8, 1.2), translate_percent=(-0.1, 0.1), rotate=(-20, 20), shear=(-8, 8), p=1
        ),
        "geometric.ElasticTransformation": lambda: a.ElasticTransform(alpha=20, sigma=5, p=1),
        "geometric.PerspectiveTransform": lambda: a.Perspective((0.02, 0.1), p=1),
        "geometric.PiecewiseAffine": lambda: a.PiecewiseAffine((0.02, 0.05), nb_rows=(2, 4), nb_cols=4, p=1),
        "geometric.Rot90": lambda: a.RandomRotate90(p=1),
        "meta.ChannelShuffle": lambda: a.ChannelShuffle(p=0.7),
        "pillike.Autocontrast": lambda: a.AutoContrast(p=1),
        "segmentation.Superpixels": lambda: a.Superpixels((0.3, 0.9), (10, 40), p=1),
        "size.CropAndPad": lambda: a.CropAndPad(percent=(-0.2, 0.2), p=1),
        "weather.Fog": lambda: a.RandomFog(p=1),
        "weather.Rain": lambda: a.RandomRain(p=1),
        "weather.Snowflakes": lambda: a.RandomSnow(p=1),
    }
    found = {}
    for name, make in made.items():
        try:
            found[name] = make()
        except Exception as error:  # its arguments change between versions
            print(f"Albumentations' {name} is left out: {error}", file=sys.stderr)
    return found


# --- in words and as a plot --------------------------------------------------------------------------------


_INTRODUCTION = """\
Milliseconds of CPU a megapixel, on one thread, slowest first: every public augmenter of imgaug 0.4.0, on 16
images of 225x225 and of 512x512, with the arguments of `tests/sweep/catalogue.py`. *fast*: with
`kernels="fast"` ([kernels.md](kernels.md)), where that has a kernel for the augmenter or for what it is
made of. *Albumentations*: its nearest equivalent with like arguments, which is not the same augmentation. A
batch of 16 images of 225x225 is 0.81 megapixel."""


def document(found: dict[str, Any]) -> str:
    """docs/augmenter-speed.md, from the results."""
    rows = _ranked(found)
    lines = [
        "# How long augmenters take",
        "",
        *_INTRODUCTION.splitlines(),
        "",
        f"Measured by `bench/augmenters.py{' --quick' if found['quick'] else ''}` on {found['machine']}.",
        "Compare within the table only.",
        "",
        "![the slowest augmenters](images/augmenter-speed.png)",
        "",
        "| augmenter | 225: imgaug | fast | Albumentations | 512: imgaug | fast | Albumentations |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = [
            _number(row.get(f"{size}{way}")) for size in SIZES for way in ("", " fast", " albumentations")
        ]
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    reasons: dict[str, list[str]] = {}
    for name, why in found["left_out"].items():
        reasons.setdefault(why.strip(), []).append(name)
    lines += ["", "Left out:", ""]
    lines += [f"- {', '.join(names)}: {why}" for why, names in reasons.items()]
    if not found["albumentations"]:
        lines += ["- Albumentations, which was not installed"]
    return "\n".join(lines) + "\n"


def _ranked(found: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(found["rows"], key=lambda row: row[str(SIZES[0])], reverse=True)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def draw(found: dict[str, Any]) -> None:
    """The slowest augmenters as bars, in docs/images."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = _ranked(found)[:SHOWN][::-1]
    places = np.arange(len(rows))
    figure, axis = plt.subplots(figsize=(9, 0.21 * SHOWN + 1))
    axis.barh(places, [row[str(SIZES[0])] for row in rows], height=0.75, color="#c7ccd1", label="imgaug")
    for way, marker, colour, label in (
        (" fast", "D", "#1a7f5a", 'augfarm, kernels="fast"'),
        (" albumentations", "o", "#c2570c", "Albumentations' nearest"),
    ):
        known = [
            (row[f"{SIZES[0]}{way}"], at)
            for row, at in zip(rows, places, strict=True)
            if f"{SIZES[0]}{way}" in row
        ]
        axis.plot(
            *zip(*known, strict=True) if known else ([], []), marker, color=colour, markersize=5, label=label
        )
    axis.set_yticks(places, [row["name"] for row in rows], fontsize=7)
    axis.set_xscale("log")
    axis.set_xlabel("ms a megapixel, images of 225x225, one thread")
    axis.margins(y=0.01)
    axis.legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    IMAGE.parent.mkdir(exist_ok=True)
    figure.savefig(IMAGE, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
