"""`augfarm run`: the command line."""

from __future__ import annotations

import sys
from typing import Annotated, Any, cast

import typer

from augfarm.protocol.errors import AugfarmError
from augfarm.protocol.pipelines import check_kernels
from augfarm.protocol.seeds import IMGAUG_SEED_MAX

from ..loading import load_pipeline
from .annotations.choosing import Wishes, choose
from .job import Order
from .places import check_places
from .run import EXIT_STOPPED, Farm
from .run import run as run_job

__all__ = ["main"]

#: Images of one batch: enough that batches cost little beside their pixels, and few enough that a batch of
#: large photographs fits a worker.
DEFAULT_BATCH_SIZE = 8

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Format = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT", help="Write all as jpeg, png, webp, tiff or bmp; by default each as its name says."
    ),
]


@app.command()
def run(
    pipeline: Annotated[
        str, typer.Argument(metavar="PIPELINE", help="file.py:name, module:name, or a spec file.")
    ],
    src: Annotated[str, typer.Argument(metavar="SRC", help="A folder of images, with subfolders.")],
    dst: Annotated[str, typer.Argument(metavar="DST", help="Where to write; made where it is not there.")],
    copies: Annotated[int, typer.Option(min=1, max=10_000, help="Augmented copies of each image.")] = 1,
    seed: Annotated[
        int | None, typer.Option(min=0, max=IMGAUG_SEED_MAX, help="By default one is drawn, and shown.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=1024, help="Images that a worker takes at once.")] = (
        DEFAULT_BATCH_SIZE
    ),
    format: Format = None,
    quality: Annotated[
        int | None, typer.Option(min=1, max=100, help="Of JPEG and WebP; 95 by default.")
    ] = None,
    rgb: Annotated[
        bool, typer.Option("--rgb", help="Make every image 8-bit RGB before it is augmented.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what DST holds of this run.")] = False,
    coco: Annotated[
        str | None, typer.Option(metavar="FILE", help="Annotations of the images: COCO JSON.")
    ] = None,
    yolo: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="YOLO text files, in folders as the images; SRC if beside them."),
    ] = None,
    yolo_keypoints: Annotated[
        str | None, typer.Option(metavar="K,D", help="They are poses of K points in D numbers, as 17,3.")
    ] = None,
    voc: Annotated[
        str | None, typer.Option(metavar="DIR", help="Pascal VOC XML files; where, as for --yolo.")
    ] = None,
    masks: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR", help="Mask images; where, as for --yolo. May be repeated."),
    ] = None,
    min_visible: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Drop objects of which less than this part is left inside the image; 0: of which nothing.",
        ),
    ] = 0.0,
    broker: Annotated[
        str | None,
        typer.Option(envvar="AUGFARM_BROKER", help="A farm that runs; by default one is started here."),
    ] = None,
    keys: Annotated[
        str | None, typer.Option(envvar="AUGFARM_KEYS", help="A folder with a client's keys for it.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Workers of the farm that is started; all cores by default.")
    ] = None,
    kernels: Annotated[
        str | None,
        typer.Option(metavar="KERNELS", help="exact: imgaug's own code (default); fast: augfarm's kernels."),
    ] = None,
) -> None:
    """Augment a folder of images into another one, with their annotations.

    cat.jpg becomes cat_aug0000.jpg, cat_aug0001.jpg and so on; nothing that is there is overwritten. The same
    SRC, pipeline, --seed, --copies and --batch-size give the same files, on any number of workers.

    Exits with 0, with 1 where some images failed (they are listed), 2 where it cannot be done, 130 where it
    was stopped.
    """
    check_kernels(kernels)
    loaded = load_pipeline(pipeline)
    places = check_places(src, dst)
    chosen = choose(Wishes(coco, yolo, yolo_keypoints, voc, tuple(masks or ()), min_visible), places, copies)
    order = Order(
        str(places.src), copies, batch_size, _format(format), quality, rgb, left_out=chosen.left_out
    )
    if processes is not None:
        broker = None
    farm = Farm(broker, processes, keys if broker is not None else None, cast(Any, kernels))
    code = run_job(
        loaded,
        places,
        order,
        farm,
        seed=seed,
        resume=resume,
        forms=chosen.forms,
        forms_settings=chosen.settings,
    )
    sys.exit(code)


def _format(given: str | None) -> Any:
    formats = {"jpg": "jpeg", "tif": "tiff"}
    known = ("jpeg", "png", "webp", "tiff", "bmp")
    name = None if given is None else formats.get(given.lower().lstrip("."), given.lower().lstrip("."))
    if name is not None and name not in known:
        raise ValueError(f"expected --format to be one of {', '.join(known)}, got {given}")
    return name


def main() -> None:
    """Run the command line; errors of augfarm's own are one line, not a traceback."""
    try:
        app(prog_name="augfarm run")
    except KeyboardInterrupt:
        print("augfarm run: stopped", file=sys.stderr)
        sys.exit(EXIT_STOPPED)
    except (AugfarmError, ImportError, OSError, ValueError) as error:
        print(f"augfarm run: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
