"""What the core keeps about batches, clients and workers: records without behaviour. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from augfarm.protocol.messages import Offer, Submit

from .events import Body

__all__ = ["Call", "Client", "Departed", "Job", "Place", "SessionKey", "Worker"]

#: Whose key opened a session, and the session's token: a stranger who learns the token has another key.
SessionKey: TypeAlias = tuple[str, bytes]

#: Where a job is. "leased": one worker holds it, or two. "delivered": answered, not yet received; the slower
#: of two workers may still hold it. "orphan": held by a worker, and nobody wants the answer any more. "gone":
#: in no place.
Place: TypeAlias = Literal["queued", "leased", "delivered", "orphan", "gone"]


@dataclass(slots=True, eq=False)
class Job:
    """One batch of one client, under the ticket that the broker minted for it.

    Attributes:
        body: the batch's frames, as long as it may have to be dispatched (again).
        octets: the size in which it came, in bytes.
        held: its size at the broker now: `octets`, or that of its result, in bytes.
        in_slot: whether it is in its call's slot rather than in the client's window.
        attempts: how many processes have died of it.
        receipt: once delivered, what the client says when it has read the answer.
        arrived: when it came, in seconds.
        holders: the workers that hold it, two where it is hedged, and when it was dispatched to each.
    """

    ticket: int
    client: Client
    command: Submit
    body: Body
    octets: int
    held: int
    in_slot: bool
    attempts: int
    arrived: float
    holders: dict[Worker, float] = field(default_factory=dict)
    receipt: int = -1
    place: Place = "queued"


@dataclass(slots=True, eq=False)
class Call:
    """One call of a client, open at the broker while it has jobs here.

    Attributes:
        slot: the job in its slot.
        hedged: the job that was hedged last.
    """

    jobs: dict[int, Job] = field(default_factory=dict)
    slot: Job | None = None
    hedged: Job | None = None


@dataclass(slots=True, eq=False)
class Client:
    """A client's session.

    Attributes:
        requests: all its jobs, by the client's own numbers for them.
        answers: those that were delivered, by the receipts of their answers.
        retried, fresh: its queued jobs by ticket, oldest first; the retried ones go first.
        pipelines: the digests that it may name.
        leased: how many of its jobs are leased.
        offering, offer: how to attach to its memory, as it said; and the same once the broker itself has.
    """

    session: int
    key: SessionKey
    connection: bytes
    software: str
    joined_at: float
    calls: dict[int, Call] = field(default_factory=dict)
    requests: dict[int, Job] = field(default_factory=dict)
    answers: dict[int, Job] = field(default_factory=dict)
    retried: OrderedDict[int, Job] = field(default_factory=OrderedDict)
    fresh: OrderedDict[int, Job] = field(default_factory=OrderedDict)
    pipelines: set[bytes] = field(default_factory=set)
    leased: int = 0
    offering: Offer | None = None
    offer: Offer | None = None


@dataclass(slots=True, eq=False)
class Worker:
    """A worker's session.

    Attributes:
        credit: the batches that it takes besides its leases.
        capacity: the batches that it said it takes at once when it joined.
        leases: its jobs by ticket, oldest first: the first is the one at work.
        pipelines: the digests that it holds, in the order in which they were last named.
        uses: how many leases name each digest.
        offered, attached: the clients of whose memory it was told, and those whose memory it sees.
        answered_at: when it last answered, in seconds.
        done: the batches that it has answered on this connection.
    """

    worker_id: int
    key: SessionKey
    connection: bytes
    software: str
    environment: dict[str, str]
    joined_at: float
    credit: int
    capacity: int
    leases: OrderedDict[int, Job] = field(default_factory=OrderedDict)
    pipelines: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    uses: dict[bytes, int] = field(default_factory=dict)
    offered: set[Client] = field(default_factory=set)
    attached: set[Client] = field(default_factory=set)
    answered_at: float = 0.0
    done: int = 0


@dataclass(frozen=True, slots=True)
class Departed:
    """A worker whose connection was lost and that may come back.

    Attributes:
        blamed: the job that counted an attempt for it, or None.
    """

    worker_id: int
    blamed: Job | None
