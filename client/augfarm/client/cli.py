"""The command line: one program, `augfarm`.

`augfarm broker` and `augfarm worker` replace this process by theirs, so that a trainer's environment needs
neither, and theirs nothing of this.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated

import typer

from augfarm.protocol.errors import AugfarmError

__all__ = ["main"]

#: The broker's default address for clients.
DEFAULT_BROKER = "tcp://127.0.0.1:5555"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Image augmentation for training loops, spread over any number of cores and machines.",
)
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

Broker = Annotated[
    str, typer.Option("--broker", envvar="AUGFARM_BROKER", help="The broker's address for clients.")
]


@app.command(context_settings=_PASS_ON, add_help_option=False)
def broker(context: typer.Context) -> None:
    """Run the broker of a farm. See `augfarm broker --help`."""
    _become("augfarm.broker", context.args)


@app.command(context_settings=_PASS_ON, add_help_option=False)
def worker(context: typer.Context) -> None:
    """Run worker processes for a farm. See `augfarm worker --help`."""
    _become("augfarm.worker", context.args)


@app.command(context_settings=_PASS_ON, add_help_option=False)
def demo(context: typer.Context) -> None:
    """Run imgaug's multicore tutorial on a local farm: times, and a picture. See `augfarm demo --help`."""
    _become("augfarm.client.demo", context.args)


@app.command(context_settings=_PASS_ON, add_help_option=False)
def preview(context: typer.Context) -> None:
    """Draw a contact sheet of what a pipeline does to images. See `augfarm preview --help`."""
    _become("augfarm.client.preview", context.args)


@app.command(context_settings=_PASS_ON, add_help_option=False)
def run(context: typer.Context) -> None:
    """Augment a folder of images, with their annotations. See `augfarm run --help`."""
    _become("augfarm.client.folders", context.args)


@app.command()
def spec(
    pipeline: Annotated[str, typer.Argument(help="file.py:name, module:name, or a spec file.")],
    kernels: Annotated[
        str | None,
        typer.Option(metavar="KERNELS", help="exact: imgaug's own code (default); fast: augfarm's kernels."),
    ] = None,
) -> None:
    """Print a pipeline as data, for a client that has no imgaug."""
    from .loading import load_spec

    print(load_spec(pipeline, kernels).decode())


@app.command()
def replay(
    dump: Annotated[str, typer.Argument(metavar="DUMP", help="A file that Client(dump_dir=...) wrote.")],
    allow_import: Annotated[
        list[str] | None,
        typer.Option(
            envvar="AUGFARM_ALLOW_IMPORT",
            help="A module of yours whose augmenters and functions its pipeline may name; may be repeated.",
        ),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.0, help="Seconds after which a batch that never ends is stopped.")
    ] = None,
) -> None:
    """Run a batch that failed once more, in a process of its own: the same pipeline, batch and seed.

    Exits with 0 where it passes now, 1 where it fails again, 2 where it cannot be run here.
    """
    from .replay import replay as run

    sys.exit(run(dump, allow_import or (), timeout))


@app.command()
def keys(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Where to make them.")],
    client: Annotated[str | None, typer.Option(metavar="NAME", help="Add a key for one more client.")] = None,
    worker: Annotated[str | None, typer.Option(metavar="NAME", help="Add a key for one more worker.")] = None,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Make only what is not there yet; for every start of a farm.")
    ] = False,
) -> None:
    """Make the CURVE keys of a farm, or add one.

    To revoke a key take its file out of DIR/broker/clients or DIR/broker/workers.
    """
    from augfarm.protocol.keys import add_key, make_keys

    if client is None and worker is None:
        made = make_keys(directory, if_missing=if_missing)
    else:
        wanted = (("client", client), ("worker", worker))
        made = [add_key(directory, role, name) for role, name in wanted if name is not None]  # type: ignore[arg-type]
    for folder in made:
        print(folder)


@app.command()
def status(
    broker: Broker = DEFAULT_BROKER,
    keys: Annotated[
        str | None, typer.Option("--keys", envvar="AUGFARM_KEYS", help="A folder with a client's keys.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the broker's report as JSON.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the broker.")] = 3.0,
) -> None:
    """Print what a farm is doing: workers, clients, batches, memory."""
    from . import report

    found = report.ask(broker, timeout, keys)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        report.show(found, broker)


def main() -> None:
    """Run the command line; errors of augfarm's own are one line, not a traceback."""
    try:
        app()
    except (AugfarmError, ValueError) as error:
        print(f"augfarm: {error}", file=sys.stderr)
        sys.exit(2)


def _become(module: str, arguments: list[str]) -> None:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


if __name__ == "__main__":
    main()
