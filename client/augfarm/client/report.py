"""`augfarm status`: ask the broker for its report, and show it."""

from __future__ import annotations

import time
from typing import Any

from augfarm.protocol.errors import FarmUnavailable
from augfarm.protocol.link import CommandArrived, ConnectionEnded, Link
from augfarm.protocol.messages import TO_CLIENT, Report, Status

__all__ = ["ask", "show"]


def ask(address: str, timeout: float) -> dict[str, Any]:
    """The broker's report as plain data; its keys are in docs/protocol.md, "REPORT".

    Args:
        address: the broker's address for clients.
        timeout: seconds to wait for it.

    Raises:
        FarmUnavailable: if no report came.
        ValueError: for an address that makes no sense.
    """
    link = Link(address, Status(), TO_CLIENT)
    reason = "no answer"
    deadline = time.monotonic() + timeout
    try:
        while (left := deadline - time.monotonic()) > 0:
            link.poll(left)
            for event in link.receive():
                match event:
                    case CommandArrived(command=Report(status)):
                        return status
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
    from rich.table import Table

    console = Console()
    totals, memory = status["totals"], status["memory"]
    console.print(
        f"[bold]broker[/bold] {address}, augfarm {status['version']}, up {status['uptime']:.0f} s, "
        f"{memory['held'] / 2**20:.1f} of {memory['budget'] / 2**20:.0f} MiB held"
    )
    console.print("batches: " + ", ".join(f"{count} {name}" for name, count in totals.items()))
    for title, rows in (("workers", status["workers"]), ("clients", status["clients"])):
        if not rows:
            console.print(f"no {title}")
            continue
        table = Table(title=title, title_justify="left")
        names = list(rows[0])
        for name in names:
            table.add_column(name)
        for row in rows:
            table.add_row(*(_cell(row.get(name)) for name in names))
        console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return str(value)
