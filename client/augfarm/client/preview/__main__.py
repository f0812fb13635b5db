"""`augfarm preview`: the command line."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from augfarm.protocol.errors import AugfarmError
from augfarm.protocol.pipelines import check_kernels
from augfarm.protocol.seeds import SEED_MAX

from ..client import Client
from ..loading import load_pipeline
from ..outcomes import Outcome
from ..progress import Progress
from .annotations import Annotations
from .drawing import pillow
from .making import Host, Sheet, Told, Wish, form_of, rows_of, show
from .pictures import Opened, read_batch

__all__ = ["main"]

#: What it exits with, besides 2 for what cannot be done.
EXIT_SHOWN, EXIT_FAILED, EXIT_STOPPED = 0, 1, 130
#: Variants where the user does not say: of the whole pipeline, and of each augmenter.
VARIANTS, VARIANTS_OF_EACH = 8, 4

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def preview(
    pipeline: Annotated[
        str, typer.Argument(metavar="PIPELINE", help="file.py:name, module:name, or a spec file.")
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...", help="Image files; or an .npz file with a batch by imgaug's names."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The sheet to write: .png, .jpg, .webp, .bmp or .tiff.")
    ] = Path("sheet.png"),
    variants: Annotated[
        int | None,
        typer.Option("-n", "--variants", min=1, help="Of each image; 8 by default, 4 with --each."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=SEED_MAX, help="Show the variant of this seed alone, large.")
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Show every augmenter of the pipeline by itself, too.")
    ] = False,
    batch_images: Annotated[
        int, typer.Option("--images", min=1, help="How many images of an .npz file to show.")
    ] = 4,
    width: Annotated[int, typer.Option(min=200, help="Of the sheet, in pixels, about.")] = 1600,
    coco: Annotated[
        str | None, typer.Option(metavar="FILE", help="Annotations of the images: a COCO JSON file.")
    ] = None,
    yolo: Annotated[
        str | None, typer.Option(metavar="DIR", help="A folder of YOLO txt files: boxes and polygons.")
    ] = None,
    yolo_keypoints: Annotated[
        str | None, typer.Option(metavar="K,D", help="Its lines are poses of K points of D numbers.")
    ] = None,
    voc: Annotated[str | None, typer.Option(metavar="DIR", help="A folder of Pascal VOC XML files.")] = None,
    masks: Annotated[
        list[str] | None, typer.Option(metavar="DIR", help="A folder of mask images; may be repeated.")
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(help="A farm that runs; by default $AUGFARM_BROKER, or one that is started here."),
    ] = None,
    keys: Annotated[
        str | None, typer.Option(help="A folder with a client's keys for it; by default $AUGFARM_KEYS.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Workers of a farm that is started here; all cores by default.")
    ] = None,
    kernels: Annotated[
        str | None,
        typer.Option(metavar="KERNELS", help="exact: imgaug's own code (default); fast: augfarm's kernels."),
    ] = None,
) -> None:
    """Draw a contact sheet: each image, and beside it variants that the pipeline makes of it.

    Below each variant is its seed: --seed K shows that one large. Seed K is what Client(pipeline, seed=K,
    seeding="batch") makes of the image as its first batch.

    Exits with 0, with 1 where variants failed (the sheet says by which error), 2 where it cannot be done.
    """
    if broker is not None and processes is not None:
        raise ValueError("give --broker (a farm that runs) or --processes (one started here), not both")
    check_kernels(kernels)
    _check_output(output, images)
    pillow()
    wish = Wish.of(variants or (VARIANTS_OF_EACH if each else VARIANTS), seed, batch_images, each, width)
    loaded = load_pipeline(pipeline)
    named = Annotations(coco, yolo, yolo_keypoints, voc, tuple(masks or ()))
    batches = [read_batch(name, named) for name in images]
    told = Told()
    with Client(loaded, broker, processes=processes, keys=keys, kernels=cast(Any, kernels)) as client:
        sheet = _sheet(Host.of(client), batches, wish, told)
    sheet.save(output)
    print(f"{output}: {sheet.shape[1]}×{sheet.shape[0]} pixels")
    for text, count in Counter(told.errors).items():
        print(f"augfarm preview: {count} variant{'s' * (count > 1)} failed: {text}", file=sys.stderr)
    sys.exit(EXIT_FAILED if told.errors else EXIT_SHOWN)


def _sheet(host: Host, batches: list[Opened], wish: Wish, told: Told) -> Sheet:
    bar = Progress(None, "preview") if sys.stderr.isatty() else None
    if bar is not None:
        told.advance = lambda: bar.advance(Outcome(0, None))
    try:
        rows = [row for opened in batches for row in rows_of(host, opened, wish, told)]
    finally:
        if bar is not None:
            bar.close()
    return show(rows, wish.width)


def _check_output(output: Path, images: list[str]) -> None:
    """Complain of what cannot be written before anything is made."""
    form_of(output)
    if not output.parent.is_dir():
        raise ValueError(f"cannot write {output}: there is no folder {output.parent}")
    if output.exists() and any(os.path.exists(name) and output.samefile(name) for name in images):
        raise ValueError(f"cannot write {output}: it is one of the images")


def main() -> None:
    """Run the command line; errors of augfarm's own are one line, not a traceback."""
    try:
        app(prog_name="augfarm preview")
    except KeyboardInterrupt:
        print("augfarm preview: stopped", file=sys.stderr)
        sys.exit(EXIT_STOPPED)
    except (AugfarmError, ImportError, OSError, ValueError) as error:
        print(f"augfarm preview: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
