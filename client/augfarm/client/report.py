"""`augfarm status`: ask the broker for its report, and show it."""

from __future__ import annotations

import time
from typing import Any

from augfarm.protocol.errors import FarmRefused, FarmUnavailable
from augfarm.protocol.keys import PeerKeys
from augfarm.protocol.link import CommandArrived, ConnectionEnded, Link
from augfarm.protocol.messages import TO_CLIENT, Refused, Report, Status

__all__ = ["ask", "show"]


def ask(address: str, timeout: float, keys: str | None = None) -> dict[str, Any]:
    """The broker's report as plain data; its keys are in docs/protocol.md, "REPORT".

    Args:
        address: the broker's address for clients.
        timeout: seconds to wait for it.
        keys: a folder with a client's keys, or None.

    Raises:
        FarmUnavailable: if no report came.
        FarmRefused: if the address is the one for workers.
        ValueError: for an address that makes no sense.
    """
    peer_keys = None if keys is None else PeerKeys.load(keys, "client")
    link = Link(address, Status(), TO_CLIENT, keys=peer_keys)
    reason = "no answer"
    deadline = time.monotonic() + timeout
    try:
        while (left := deadline - time.monotonic()) > 0:
            link.poll(left)
            for event in link.receive():
                match event:
                    case CommandArrived(command=Report(status)):
                        return status
                    case CommandArrived(command=Refused(code, text)):
                        raise FarmRefused(text, code=code)
                    case ConnectionEnded(why, final=True):
                        raise FarmRefused(why, code="key")
                    case ConnectionEnded(why):
                        reason = why
                    case _:
                        pass
    finally:
        link.close()
    raise FarmUnavailable(f"no broker at {address} within {timeout:g} s: {reason}", waiting_for="broker")


def show(status: dict[str, Any], address: str) -> None:
    """Print a report for people."""
    from rich.console import Console

    console = Console()
    totals, memory = status["totals"], status["memory"]
    console.print(
        f"[bold]broker[/bold] {address}, augfarm {status['version']}, up {status['uptime']:.0f} s, "
        f"{memory['held'] / 2**20:.1f} of {memory['budget'] / 2**20:.0f} MiB held"
    )
    console.print("batches: " + ", ".join(f"{count} {name}" for name, count in totals.items()))
    _show_table(console, "workers", [_worker(row) for row in status["workers"]])
    _show_table(console, "clients", [_client(row) for row in status["clients"]])
    for kind in sorted({_versions(row["environment"]) for row in status["workers"]}):
        console.print(f"workers have {kind}")


def _worker(row: dict[str, Any]) -> dict[str, str]:
    return {
        "id": str(row["id"]),
        "host": row["environment"].get("host", "?"),
        "pid": row["environment"].get("pid", "?"),
        "at work or waiting": str(row["leases"]),
        "takes more": str(row["credit"]),
        "done": str(row["done"]),
        "route": row["route"],
        "up": f"{row['seconds']:.0f} s",
    }


def _client(row: dict[str, Any]) -> dict[str, str]:
    window = row["window"]
    return {
        "session": str(row["session"]),
        "calls": str(row["calls"]),
        "queued": str(row["queued"]),
        "at work": str(row["leased"]),
        "unread": str(row["delivered"]),
        "window": f"{window['batches']} batches, {window['octets'] / 2**20:.0f} MiB",
        "up": f"{row['seconds']:.0f} s",
    }


def _versions(environment: dict[str, str]) -> str:
    names = ("imgaug", "numpy", "opencv", "python")
    # The first already says which distribution of imgaug it is.
    return ", ".join(
        environment[name] if name == "imgaug" else f"{name} {environment[name]}"
        for name in names
        if name in environment
    )


def _show_table(console: Any, title: str, rows: list[dict[str, str]]) -> None:
    from rich.table import Table

    if not rows:
        console.print(f"no {title}")
        return
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
