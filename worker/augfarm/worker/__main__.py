"""``python -m augfarm.worker``: a pool of worker processes, also as ``augfarm worker``."""

# ruff: noqa: E402  numpy, which nearly everything below imports, reads its thread limits when it is loaded.
from __future__ import annotations

from augfarm.worker.environment import check_threads, limit_threads

limit_threads()

import importlib
import logging
import os
import sys
from typing import Annotated, NoReturn

import typer

from augfarm.compat import hush, import_imgaug
from augfarm.protocol.keys import PeerKeys
from augfarm.protocol.link import check_address
from augfarm.protocol.memory import size_from_environment
from augfarm.protocol.processes import resolve_processes
from augfarm.protocol.sizes import parse_bytes
from augfarm.worker.health import VARIABLE, Health
from augfarm.worker.pool import DEFAULT_DRAIN_TIMEOUT_S, PoolSettings, WorkerPool

__all__ = ["app", "main"]

#: What a program exits with that was called in a way that cannot work.
EXIT_USAGE = 2

#: A worker that only imported imgaug has 170 MiB of its own.
LEAST_MEMORY_BYTES = 256 * 2**20
#: A day; the kernel's timers take no more than they can count.
LONGEST_TASK_TIMEOUT_S = 86_400.0

log = logging.getLogger("augfarm.worker")
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def worker(
    broker: Annotated[
        str, typer.Option(envvar="AUGFARM_BROKER", help="The broker's port for workers.")
    ] = "tcp://127.0.0.1:5556",
    processes: Annotated[
        int | None,
        typer.Option(
            envvar="AUGFARM_PROCESSES", help="How many processes; all cores by default, -1 for all but one."
        ),
    ] = None,
    maxtasksperchild: Annotated[
        int | None,
        typer.Option(
            envvar="AUGFARM_MAXTASKSPERCHILD", min=1, help="Replace a process after so many batches."
        ),
    ] = None,
    allow_import: Annotated[
        list[str] | None,
        typer.Option(
            envvar="AUGFARM_ALLOW_IMPORT",
            help="A module of yours whose augmenters and functions pipelines may name; may be repeated.",
        ),
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(envvar="AUGFARM_KEYS", help="A folder with a worker's key, made by `augfarm keys`."),
    ] = None,
    drain_timeout: Annotated[
        float,
        typer.Option(
            envvar="AUGFARM_DRAIN_TIMEOUT",
            min=0.0,
            help="Seconds that a batch at work may take after SIGTERM before its process is killed.",
        ),
    ] = DEFAULT_DRAIN_TIMEOUT_S,
    task_timeout: Annotated[
        float | None,
        typer.Option(
            envvar="AUGFARM_TASK_TIMEOUT",
            help="Seconds that one batch may take; then its process is killed, and an attempt counted.",
        ),
    ] = None,
    max_rss: Annotated[
        str | None,
        typer.Option(
            envvar="AUGFARM_MAX_RSS",
            help="Memory that a process may have of its own, such as 2GiB. A batch that needs more fails.",
        ),
    ] = None,
    health: Annotated[
        str | None,
        typer.Option(
            envvar=VARIABLE,
            help="A folder to say in what has joined; `python -m augfarm.worker.health DIR` asks there.",
        ),
    ] = None,
    parent_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
    scratch: Annotated[str | None, typer.Option(hidden=True)] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", envvar="AUGFARM_QUIET", help="Log warnings only.")
    ] = False,
) -> None:
    """Augment batches for a broker, on all cores or as many as you say.

    SIGTERM and Ctrl-C let every process finish the batch at work and give the rest back.
    """
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s augfarm worker[%(process)d]: %(message)s",
        datefmt="%H:%M:%S",
    )
    try:
        check_address(broker)
        count = resolve_processes(processes)
        peer_keys = None if keys is None else PeerKeys.load(keys, "worker")
        _check_limits(task_timeout, max_rss)
        shared_bytes = size_from_environment()
    except ValueError as error:
        _leave(str(error))
    _prepare(tuple(allow_import or ()))
    settings = PoolSettings(
        broker=broker,
        processes=count,
        max_tasks=maxtasksperchild,
        allow_import=tuple(allow_import or ()),
        drain_timeout=drain_timeout,
        task_timeout=task_timeout,
        memory_bytes=None if max_rss is None else parse_bytes(max_rss),
        parent_fd=parent_fd,
        scratch=scratch,
        keys=peer_keys,
        shared_bytes=shared_bytes,
        health=_open_health(health, count),
    )
    log.info("starting %d worker %s for %s", count, "process" if count == 1 else "processes", broker)
    sys.exit(WorkerPool(settings).run())


def _prepare(allow_import: tuple[str, ...]) -> None:
    """Import once what all processes need, and see that they can be forked."""
    try:
        import_imgaug()
    except ImportError as error:
        _leave(str(error))
    hush()
    for name in allow_import:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            _leave(
                f"--allow-import {name}: {type(error).__name__}: {error}\n"
                f"Expected the name of a module (my_augs, not my_augs.py) that Python finds in the working"
                f" directory, {os.getcwd()}, or on PYTHONPATH."
            )
        except Exception as error:
            _leave(f"--allow-import {name}: {type(error).__name__}: {error}")
    for warning in check_threads():
        log.warning("%s", warning)


def _open_health(directory: str | None, processes: int) -> Health | None:
    if directory is None:
        return None
    try:
        return Health(directory, processes)
    except OSError as error:
        _leave(f"--health {directory}: {error}")


def _check_limits(task_timeout: float | None, max_rss: str | None) -> None:
    if task_timeout is not None and not 0 < task_timeout <= LONGEST_TASK_TIMEOUT_S:
        most = f"{LONGEST_TASK_TIMEOUT_S:.0f}"
        raise ValueError(f"--task-timeout: expected seconds from above 0 to {most}, got {task_timeout:g}")
    if max_rss is None:
        return
    if sys.platform != "linux":
        raise ValueError("--max-rss: only Linux can limit a process's own memory")
    try:
        octets = parse_bytes(max_rss)
    except ValueError as error:
        raise ValueError(f"--max-rss: {error}") from None
    if octets < LEAST_MEMORY_BYTES:
        least = LEAST_MEMORY_BYTES // 2**20
        raise ValueError(
            f"--max-rss {max_rss}: imgaug alone needs most of {least} MiB, expected at least that"
        )


def _leave(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    sys.exit(EXIT_USAGE)


def main() -> None:
    """Run the command line."""
    app(prog_name="augfarm worker")


if __name__ == "__main__":
    main()
