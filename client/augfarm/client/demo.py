"""`augfarm demo`: the job of imgaug's multicore tutorial, on one core and on a local farm.

16 quokkas of 225x225 a batch with keypoints and bounding boxes, through PiecewiseAffine, Fliplr and
CropAndPad. It prints both times, checks that both gave the same bytes, and writes a contact sheet.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from augfarm.protocol.errors import AugfarmError
from augfarm.protocol.pipelines import Kernels, check_kernels
from augfarm.protocol.processes import resolve_processes

#: BLAS on one thread, as in the workers: without it the one core of the comparison uses all of them.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

__all__ = ["main"]

IMAGES_PER_BATCH = 16
IMAGE_SIZE = 225
MOST_BATCHES = 100
#: What both runs together may take, in seconds; fewer batches where 100 would take longer.
TIME_BUDGET_S = 55.0
#: Batches that are timed first, to know how many fit.
TRIAL_BATCHES = 2
SEED = 1

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def tutorial_pipeline() -> Any:
    """The augmenters of imgaug's multicore tutorial."""
    from imgaug import augmenters as iaa

    return iaa.Sequential(
        [
            iaa.PiecewiseAffine(scale=0.05, nb_cols=6, nb_rows=6),
            iaa.Fliplr(0.5),
            iaa.CropAndPad(px=(-10, 10)),
        ]
    )


def quokka_batches(count: int) -> Iterator[Any]:
    """`count` batches of the picture that imgaug ships, as UnnormalizedBatch with its annotations."""
    import imgaug as ia
    from imgaug.augmentables.batches import UnnormalizedBatch

    size = (IMAGE_SIZE, IMAGE_SIZE)
    image = ia.quokka(size=size, extract="square")
    keypoints = ia.quokka_keypoints(size=size, extract="square")
    boxes = ia.quokka_bounding_boxes(size=size, extract="square")
    for _ in range(count):
        yield UnnormalizedBatch(
            images=[image] * IMAGES_PER_BATCH,
            keypoints=[keypoints] * IMAGES_PER_BATCH,
            bounding_boxes=[boxes] * IMAGES_PER_BATCH,
        )


def run(processes: int, batches: int | None, output: Path, kernels: Kernels = "exact") -> None:
    """Run the demo and print its table.

    Args:
        processes: worker processes of the farm.
        batches: how many; None: 100, or as many as fit a minute.
        output: where to write the contact sheet, a PNG.
        kernels: what the farm augments by; with "fast" its bytes are others than imgaug's.
    """
    from augfarm.compat import hush, import_imgaug

    import_imgaug()
    hush()
    from rich.console import Console
    from rich.table import Table

    console = Console()
    pipeline = tutorial_pipeline()
    if batches is None:
        batches = _fitting_count(pipeline, processes)
    console.print(
        f"{batches} batches of {IMAGES_PER_BATCH} images {IMAGE_SIZE}x{IMAGE_SIZE} with keypoints and boxes: "
        "PiecewiseAffine, Fliplr, CropAndPad"
    )
    single_seconds, single_digest, last_single = _single_core(pipeline, batches)
    farm_seconds, farm_digest, last = _farm(pipeline, batches, processes, kernels)

    table = Table()
    for name in ("", "seconds", "batches/s", "speed-up"):
        table.add_column(name, justify="left" if not name else "right")
    table.add_row(
        "one core, plain imgaug", f"{single_seconds:.1f}", f"{batches / single_seconds:.2f}", "1.00"
    )
    table.add_row(
        f"augfarm, {processes} worker processes" + (", fast kernels" if kernels == "fast" else ""),
        f"{farm_seconds:.1f}",
        f"{batches / farm_seconds:.2f}",
        f"{single_seconds / farm_seconds:.2f}",
    )
    console.print(table)
    same = single_digest == farm_digest or kernels == "fast"
    if kernels == "fast":
        console.print(_difference(last_single, last))
    else:
        console.print(
            "Both gave the same bytes, image by image."
            if same
            else "[bold red]The two runs differ.[/bold red]"
        )
    _write_sheet(last, output)
    console.print(f"Before and after: {output}")
    if not same:
        sys.exit(1)


def _fitting_count(pipeline: Any, processes: int) -> int:
    began = time.perf_counter()
    for batch in quokka_batches(TRIAL_BATCHES):
        pipeline.augment_batch_(batch)
    each = (time.perf_counter() - began) / TRIAL_BATCHES
    cores = max(1, min(processes, os.cpu_count() or 1))
    return max(2, min(MOST_BATCHES, int(TIME_BUDGET_S / (each * (1 + 1 / cores)))))


def _single_core(pipeline: Any, batches: int) -> tuple[float, str, Any]:
    """Plain imgaug, seeded batch by batch as its own Pool would."""
    import imgaug

    from augfarm.protocol.seeds import Seed

    from .outcomes import Outcome
    from .progress import Progress

    bar = Progress(batches, "one core")
    digest = hashlib.sha256()
    began = time.perf_counter()
    for index, batch in enumerate(quokka_batches(batches)):
        seed = Seed("batch", SEED, index)
        imgaug.random.seed(seed.global_generator())
        pipeline.seed_(seed.augmenter())
        result = pipeline.augment_batch_(batch)
        _digest(result, digest)
        bar.advance(Outcome(index, None))
    seconds = time.perf_counter() - began
    bar.close()
    return seconds, digest.hexdigest(), result


def _difference(one: Any, other: Any) -> str:
    import numpy as np

    levels = np.abs(np.array(one.images_aug, np.int16) - np.array(other.images_aug, np.int16))
    return (
        f"In the last batch the images differ by at most {levels.max()} grey levels, and by more than 1 in "
        f"{(levels > 1).mean():.2%} of the values: fast kernels round otherwise."
    )


def _farm(pipeline: Any, batches: int, processes: int, kernels: Kernels = "exact") -> tuple[float, str, Any]:
    from .client import Client

    digest = hashlib.sha256()
    with Client(pipeline, processes=processes, seed=SEED, seeding="batch", kernels=kernels) as client:
        # Starting a farm takes a second or two, once; a training run does not feel it, so it is not counted.
        next(client.imap_batches(quokka_batches(1), start=0))
        began = time.perf_counter()
        results = client.imap_batches(_with_length(batches), start=0, progress=True)
        for result in results:
            _digest(result, digest)
        seconds = time.perf_counter() - began
    return seconds, digest.hexdigest(), result


class _with_length:
    """The batches as an iterable that knows its length, so that the progress bar knows the end."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return quokka_batches(self._count)


def _digest(batch: Any, digest: Any) -> None:
    for image, keypoints, boxes in zip(
        batch.images_aug, batch.keypoints_aug, batch.bounding_boxes_aug, strict=True
    ):
        digest.update(image.tobytes())
        digest.update(keypoints.to_xy_array().tobytes())
        digest.update(boxes.to_xyxy_array().tobytes())


def _write_sheet(batch: Any, output: Path) -> None:
    import imageio.v3 as iio

    from .sheet import Tile, annotated, contact_sheet

    before = annotated(batch.images_unaug[0], batch.keypoints_unaug[0], batch.bounding_boxes_unaug[0])
    tiles = [Tile(before, "before")]
    for number in range(min(IMAGES_PER_BATCH, 9)):
        after = annotated(
            batch.images_aug[number], batch.keypoints_aug[number], batch.bounding_boxes_aug[number]
        )
        tiles.append(Tile(after, f"after: image {number} of the last batch"))
    iio.imwrite(output, contact_sheet(tiles, columns=5))


@app.command()
def demo(
    processes: Annotated[
        int | None,
        typer.Option(envvar="AUGFARM_PROCESSES", help="Worker processes; all cores by default."),
    ] = None,
    batches: Annotated[
        int | None, typer.Option(min=1, help="Batches; by default 100, or as many as fit a minute.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write.")] = Path("demo.png"),
    kernels: Annotated[
        str | None,
        typer.Option(metavar="KERNELS", help="exact: imgaug's own code (default); fast: augfarm's kernels."),
    ] = None,
) -> None:
    """Run imgaug's multicore tutorial on one core and on a local farm: times, and a picture."""
    check_kernels(kernels)
    run(resolve_processes(processes), batches, output, cast(Kernels, kernels or "exact"))


def main() -> None:
    """Run the demo's command line; errors of augfarm's own are one line, not a traceback."""
    try:
        app(prog_name="augfarm demo")
    except (AugfarmError, ImportError, OSError, ValueError) as error:
        print(f"augfarm demo: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    if any(name not in os.environ for name in _ONE_THREAD):
        # numpy is loaded already, so its thread pools are: begin again with the limits in place.
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
        os.execv(sys.executable, [sys.executable, "-m", "augfarm.client.demo", *sys.argv[1:]])
    main()
