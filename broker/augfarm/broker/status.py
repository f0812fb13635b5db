"""The broker's state as plain data, for REPORT and /status.json. Pure.

Lists are cut to MOST_LISTED entries and say how many more there are, so that a report fits its command frame
whatever the farm's size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from itertools import islice

from augfarm.protocol import limits

from .jobs import Client, Worker
from .windows import Amount

__all__ = ["MOST_LISTED", "Totals", "report"]

#: Clients and workers that one report lists: about 100 bytes each besides environments.
MOST_LISTED = 200
#: Characters of all environments together, at up to four bytes each; the workers after that show none.
MOST_CHARACTERS = limits.MAX_COMMAND_BYTES // 8
#: Characters of a peer's name for its software.
MOST_NAME = 40


@dataclass(slots=True)
class Totals:
    """What has been counted since the broker started.

    Attributes:
        done, failed, poisoned: batches that were answered by Deliver, by a worker's failure, by giving up.
        retried: leases that went back to a queue.
        hedged: leased batches that were given to a second worker.
        late: answers to tickets that the worker did not hold.
        strays: commands that named what was not there.
        garbage: messages that were none.
    """

    done: int = 0
    failed: int = 0
    poisoned: int = 0
    retried: int = 0
    hedged: int = 0
    late: int = 0
    strays: int = 0
    garbage: int = 0


def report(
    *,
    clients: Collection[Client],
    workers: Collection[Worker],
    totals: Totals,
    window: Callable[[Client], Amount],
    software: str,
    uptime: float,
    now: float,
    queued: int,
    memory: dict[str, int],
) -> dict[str, object]:
    """The report; everything in it is what msgpack and JSON can write.

    Args:
        window: gives a client's window.
        uptime, now: in seconds.
        queued: batches that wait for a worker.
        memory: the bytes "held" at the broker, and their "budget".
    """
    return {
        "version": software.removeprefix("augfarm "),
        "protocol": limits.PROTOCOL_VERSION,
        "uptime": uptime,
        "queued": queued,
        "clients": [_client(c, window(c), now) for c in islice(clients, MOST_LISTED)],
        "clients_total": len(clients),
        "clients_unlisted": max(0, len(clients) - MOST_LISTED),
        "workers": _workers(islice(workers, MOST_LISTED), now),
        "workers_total": len(workers),
        "workers_unlisted": max(0, len(workers) - MOST_LISTED),
        "totals": asdict(totals),
        "memory": memory,
    }


def _client(client: Client, window: Amount, now: float) -> dict[str, object]:
    queued = len(client.retried) + len(client.fresh)
    return {
        "session": client.session,
        "software": client.software[:MOST_NAME],
        "seconds": now - client.joined_at,
        "calls": len(client.calls),
        "queued": queued,
        "leased": client.leased,
        "delivered": len(client.requests) - queued - client.leased,
        "window": {"batches": window.batches, "octets": window.octets},
    }


def _workers(workers: Iterable[Worker], now: float) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = []
    characters = 0
    for worker in workers:
        characters += sum(len(name) + len(value) for name, value in worker.environment.items())
        listed.append(
            {
                "id": worker.worker_id,
                "software": worker.software[:MOST_NAME],
                "seconds": now - worker.joined_at,
                "leases": len(worker.leases),
                "credit": worker.credit,
                "done": worker.done,
                "route": "shm" if worker.attached else "relay",
                "environment": worker.environment if characters <= MOST_CHARACTERS else {},
            }
        )
    return listed
