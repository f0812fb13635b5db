"""How far the fast kernels are from imgaug: the table in docs/kernels.md, and docs/images/kernels.png.

    python bench/kernel_differences.py          # two minutes; rewrites the table and draws the picture

The cases are those of tests/kernel_cases.py: what the tests check in small, at 225x225 and with more seeds.
"""

from __future__ import annotations

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[name] = "1"  # before numpy is loaded

import argparse  # noqa: E402
import copy  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

from scaffold import RESULTS, ROOT, machine  # noqa: E402

# isort: split
import cv2  # noqa: E402
import imgaug as ia  # noqa: E402
import imgaug.augmenters as iaa  # noqa: E402
import imgaug.random  # noqa: E402
import numpy as np  # noqa: E402

from augfarm.compat import hush  # noqa: E402
from augfarm.worker import kernels  # noqa: E402
from kernel_cases import (  # noqa: E402
    ANNOTATIONS,
    KINDS,
    Difference,
    annotated,
    augmenter,
    both,
    name_of,
    photographs,
    picture,
)
from sweep.catalogue import AUGMENTERS  # noqa: E402

DOCUMENT = ROOT / "docs" / "kernels.md"
IMAGE = ROOT / "docs" / "images" / "kernels.png"
BEGIN, END = "<!-- written by bench/kernel_differences.py -->", "<!-- end -->"
SIZE = 225
#: Cases of each kind of picture; and of annotations, which imgaug takes long for.
SEEDS, ANNOTATED = 12, 6
#: Times are the least of so many.
REPEATS = 3
#: Differences are drawn so many times as large.
LOUDER = 32


def main() -> None:
    """Measure, write the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--picture", action="store_true", help="draw the picture alone")
    hush()
    cv2.setNumThreads(0)
    draw()
    if parser.parse_args().picture:
        return
    rows = [row(*each) for each in kernels.known()]
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine(), "rows": rows}, indent=1)
    (RESULTS / "kernel-differences.json").write_text(text + "\n")
    DOCUMENT.write_text(document(rows))


def row(module: str, name: str, equal: bool) -> dict[str, Any]:
    """What is known of one kernel."""
    full = name_of(module, name)
    found = {kind: _of_pictures(full, kind) for kind in KINDS}
    moved = _of_annotations(full) if full.startswith("geometric") else None
    theirs, ours = _times(full)
    print(f"{full}: {theirs:.2f} ms, {ours:.2f} ms", flush=True)
    return {
        "name": full,
        "equal": equal,
        "imgaug_ms": theirs,
        "kernel_ms": ours,
        **{kind: [each.largest, each.percentile()] for kind, each in found.items()},
        "points": None if moved is None else moved.points,
        "heatmaps": None if moved is None else moved.heatmaps,
        "segmaps": None if moved is None else moved.segmaps,
    }


def _of_pictures(name: str, kind: str) -> Difference:
    found = Difference()
    for seed in range(100, 100 + (SEEDS if "oronoi" not in name else 2)):
        rng = np.random.default_rng([seed, len(kind)])
        images = [picture(kind, rng, SIZE, SIZE) for _ in range(2)]
        found.add(*both(augmenter(name, rng), annotated(images, (), rng), seed))
    return found


def _of_annotations(name: str) -> Difference:
    found = Difference()
    columns = ANNOTATIONS
    if "Elastic" in name and importlib.util.find_spec("shapely") is None:
        columns = tuple(each for each in columns if each != "polygons")
    for seed in range(200, 200 + ANNOTATED):
        rng = np.random.default_rng(seed)
        images = [picture("photograph", rng, 90, 120)]
        found.add(*both(augmenter(name, rng), annotated(images, columns, rng), seed))
    return found


def _times(name: str) -> tuple[float, float]:
    """Milliseconds of CPU for one image of SIZE x SIZE, by imgaug and by the kernel, taking turns."""
    mine = AUGMENTERS[name]()
    quick = copy.deepcopy(mine)
    kernels.install(quick)
    images = [ia.quokka(size=(SIZE, SIZE)) for _ in range(4 if "oronoi" not in name else 1)]
    least = [float("inf")] * 2
    for _ in range(REPEATS + 1):
        for way, each in enumerate((mine, quick)):
            each.seed_(1)
            fresh = [image.copy() for image in images]
            before = time.process_time()
            each(images=fresh)
            least[way] = min(least[way], 1e3 * (time.process_time() - before) / len(images))
    return least[0], least[1]


# --- in words ----------------------------------------------------------------------------------------------


def document(rows: list[dict[str, Any]]) -> str:
    """docs/kernels.md with this table."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(rows)}{END}{after}"


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| augmenter | imgaug, ms | kernel, ms | times | photographs | noise | edges | points, px |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for each in sorted(rows, key=lambda each: each["imgaug_ms"] / each["kernel_ms"], reverse=True):
        levels = [_levels(each[kind]) for kind in KINDS]
        points = "" if each["points"] is None else f"{each['points']:.1g}"
        name = each["name"] + ("" if each["equal"] else " ≈")
        theirs, ours = each["imgaug_ms"], each["kernel_ms"]
        lines.append(
            f"| {name} | {theirs:.2f} | {ours:.2f} | {theirs / ours:.1f} | {' | '.join(levels)} | {points} |"
        )
    return "\n".join(lines) + "\n"


def _levels(pair: list[int]) -> str:
    return "0" if pair == [0, 0] else f"{pair[0]} ({pair[1]})"


# --- the picture -------------------------------------------------------------------------------------------


def draw() -> None:
    """Original, imgaug, ours and the difference, a row for each kernel that is not equal."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [
        ("PiecewiseAffine", iaa.PiecewiseAffine(0.05, nb_rows=6, nb_cols=6)),
        ("ElasticTransformation", iaa.ElasticTransformation(30.0, 5.0)),
        ("pillike.FilterSmoothMore", iaa.pillike.FilterSmoothMore()),
    ]
    figure, axes = plt.subplots(len(shown), 4, figsize=(11, 2.75 * len(shown)), squeeze=False)
    for line, (name, augment) in enumerate(shown):
        found = photographs()
        image = ia.imresize_single_image(found[line % len(found)][1], (SIZE, SIZE), interpolation="area")
        theirs, ours = both(augment, annotated([image], (), None), 7)
        one, other = theirs.images_aug[0], ours.images_aug[0]
        apart = np.abs(one.astype(int) - other.astype(int))
        tiles = (image, one, other, np.clip(LOUDER * apart, 0, 255).astype(np.uint8))
        titles = (
            "original",
            f"imgaug: {name}",
            "fast kernel",
            f"difference × {LOUDER}, at most {apart.max()}",
        )
        for axis, tile, title in zip(axes[line], tiles, titles, strict=True):
            axis.imshow(tile)
            axis.set_title(title, fontsize=8)
            axis.axis("off")
    figure.tight_layout()
    IMAGE.parent.mkdir(exist_ok=True)
    figure.savefig(IMAGE, dpi=72)
    plt.close(figure)


if __name__ == "__main__":
    main()
