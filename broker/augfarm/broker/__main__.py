"""``python -m augfarm.broker``: the broker's process. ``augfarm broker`` runs this."""

from __future__ import annotations

import contextlib
import logging
import select
import signal
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from augfarm.protocol import limits
from augfarm.protocol.keys import BrokerKeys
from augfarm.protocol.sizes import parse_bytes

from .addresses import check_bind, is_local

if TYPE_CHECKING:
    from .http import Page
    from .service import Service

__all__ = ["app", "main"]

#: The exit code for settings that cannot work; whoever starts the broker again need not try.
EXIT_USAGE = 2
#: Descriptors for peers: one each, and one more for each worker.
WANTED_DESCRIPTORS = limits.MAX_CLIENTS + 2 * limits.MAX_WORKERS + 1024
#: What it means to listen beyond this machine without keys.
_ANYBODY = "whoever reaches it may use the farm, and whoever sees the network sees the images"

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Clients = Annotated[str, typer.Option(envvar="AUGFARM_CLIENTS", help="Where to listen for clients.")]
Workers = Annotated[str, typer.Option(envvar="AUGFARM_WORKERS", help="Where to listen for workers.")]
Http = Annotated[
    str,
    typer.Option(envvar="AUGFARM_HTTP", help='Where /healthz and /status.json are served; "": nowhere.'),
]
Memory = Annotated[
    str,
    typer.Option(
        envvar="AUGFARM_MEMORY", help="What clients may have here together, such as 2GiB or 512MiB."
    ),
]
MaxAttempts = Annotated[
    int,
    typer.Option(
        min=1,
        max=2**16 - 1,
        envvar="AUGFARM_MAX_ATTEMPTS",
        help="Worker processes that may die of a batch before it is given up.",
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        envvar="AUGFARM_INSECURE",
        help="Listen beyond this machine without keys: whoever reaches the ports may use the farm, and "
        "whoever sees the network sees the images.",
    ),
]
Keys = Annotated[
    str | None,
    typer.Option(
        envvar="AUGFARM_KEYS",
        help="A folder that `augfarm keys` made: encrypt, and let in only whose keys are there.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", envvar="AUGFARM_QUIET", help="Log warnings only.")]
#: For the local farm: see client/local.py.
ParentFd = Annotated[int | None, typer.Option(hidden=True)]
Scratch = Annotated[str | None, typer.Option(hidden=True)]


@app.command()
def broker(
    clients: Clients = "tcp://127.0.0.1:5555",
    workers: Workers = "tcp://127.0.0.1:5556",
    http: Http = "127.0.0.1:8780",
    memory: Memory = "2GiB",
    max_attempts: MaxAttempts = limits.DEFAULT_MAX_ATTEMPTS,
    keys: Keys = None,
    insecure: Insecure = False,
    quiet: Quiet = False,
    parent_fd: ParentFd = None,
    scratch: Scratch = None,
) -> None:
    """Run the broker of a farm: clients send it batches, workers augment them."""
    level = logging.WARNING if quiet else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s augfarm broker: %(message)s", datefmt="%H:%M:%S")
    try:
        open_places = _check_places(
            {"--clients": clients, "--workers": workers, "--http": http}, insecure=insecure, keys=keys
        )
        broker_keys = None if keys is None else BrokerKeys(keys)
        token = None if broker_keys is None else broker_keys.http_token()
        memory_bytes = parse_bytes(memory)
    except ValueError as error:
        _give_up(str(error))
    _raise_descriptor_limit()
    from .service import CannotBind, Service

    try:
        service = Service(
            clients=clients,
            workers=workers,
            max_attempts=max_attempts,
            memory_bytes=memory_bytes,
            software=_software(),
            parent_fd=parent_fd,
            keys=broker_keys,
        )
    except CannotBind as error:
        _give_up(str(error))
    try:
        page = _open_page(service, http, token)
    except CannotBind as error:
        service.close()
        _give_up(str(error))
    try:
        _serve(service, page, open_places)
    finally:
        if scratch is not None and parent_fd is not None and _has_ended(parent_fd):
            import shutil

            shutil.rmtree(scratch, ignore_errors=True)


def main() -> None:
    """The entry point."""
    app(prog_name="augfarm broker")


def _serve(service: Service, page: Page | None, open_places: list[str]) -> None:
    # The descriptor is written to when the signal comes; a handler in Python runs only when the loop wakes,
    # and a signal that comes just before the loop waits would not wake it.
    signal.set_wakeup_fd(service.wake_writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    places = ", ".join(f"{side}s at {endpoint}" for side, endpoint in service.endpoints.items())
    if page is not None:
        page.start()
        places += f", http at {page.address}"
    log = logging.getLogger("augfarm.broker")
    log.info("ready: %s", places)
    if open_places:
        log.warning("--insecure: %s is open: %s", ", ".join(open_places), _ANYBODY)
    try:
        service.run()
    except Exception:
        log.exception("the broker broke down; this is a fault of augfarm's")
        raise typer.Exit(1) from None
    finally:
        if page is not None:
            page.stop()
        signal.set_wakeup_fd(-1)
        service.close()


def _has_ended(descriptor: int) -> bool:
    """Whether the pipe is at its end: the parent is gone, and will not start another broker in this place."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _open_page(service: Service, address: str, token: str | None) -> Page | None:
    if not address:
        return None
    # Only here: http.server takes longer to import than the whole broker.
    from .http import Page

    return Page(service.context, address, token)


def _check_places(places: dict[str, str], *, insecure: bool, keys: str | None) -> list[str]:
    """The options and addresses that are open to everybody who reaches them, as --insecure allows."""
    found = []
    for option, address in places.items():
        if option != "--http":
            try:
                check_bind(address)
            except ValueError as error:
                raise ValueError(f"{option}: {error}") from None
        if address and keys is None and not is_local(address):
            found.append(f"{option} {address}")
            if not insecure:
                raise ValueError(
                    f"{option} {address} can be reached from other machines, and without keys {_ANYBODY}: "
                    "give --keys DIR (`augfarm keys DIR` makes them), or --insecure if the network is yours "
                    "alone"
                )
    return found


def _raise_descriptor_limit() -> None:
    """As many descriptors as the system gives freely: the usual 1024 are fewer than peers may come."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        unlimited = hard == resource.RLIM_INFINITY
        wanted = WANTED_DESCRIPTORS if unlimited else min(hard, WANTED_DESCRIPTORS)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _software() -> str:
    from importlib import metadata

    return f"augfarm {metadata.version('augfarm')}"


def _give_up(text: str) -> NoReturn:
    print(f"augfarm broker: {text}", file=sys.stderr)
    raise typer.Exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
