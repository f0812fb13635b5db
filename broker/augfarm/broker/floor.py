"""What both sides of the core work on, and how they speak. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from augfarm.protocol import messages as m

from .events import Action, Body, Log, Send, Side
from .jobs import Client, Job, Worker
from .ledger import Ledger
from .manners import Level, Manners
from .pipelines import Library
from .status import Totals
from .windows import Windows

__all__ = ["Floor", "Key", "LastWord", "key_of", "unfit"]

Key: TypeAlias = tuple[Side, bytes]
#: What a connection hears before it is silent for good.
LastWord: TypeAlias = m.Refused | m.Goodbye


def key_of(peer: Client | Worker) -> Key:
    """The peer's connection."""
    return ("client" if isinstance(peer, Client) else "worker", peer.connection)


@dataclass(slots=True)
class Floor:
    """The broker's floor: the batches, the windows, the pipelines, and what was decided so far.

    Attributes:
        software: what the broker calls itself.
        frame_bytes: the longest frame that peers may send, in bytes.
        max_attempts: processes that may die of a batch before it is given up.
        actions, said: what to do, and what to log, since :meth:`take_actions`.
    """

    software: str
    frame_bytes: int
    max_attempts: int
    windows: Windows[Client]
    ledger: Ledger
    library: Library = field(default_factory=Library)
    manners: Manners = field(default_factory=Manners)
    totals: Totals = field(default_factory=Totals)
    actions: list[Action] = field(default_factory=list)
    said: list[tuple[Level, str]] = field(default_factory=list)

    def tell(
        self, peer: Client | Worker, command: m.Command, body: Body = (), memory_of: bytes | None = None
    ) -> None:
        """Send this to the peer; `memory_of` as in :class:`.events.Send`."""
        side, connection = key_of(peer)
        self.actions.append(Send(side, connection, command, body, memory_of))

    def log(self, level: Level, text: str) -> None:
        """Tell whoever reads the log, unless too much is said."""
        self.said.append((level, text))

    def take_actions(self, now: float) -> list[Action]:
        """All that was decided, and what of that is logged."""
        for level, text in self.said:
            if line := self.manners.line(level, text, now):
                self.actions.append(Log(level, line))
        self.actions += [Log(level, line) for level, line in self.manners.left_out(now)]
        self.said.clear()
        actions, self.actions = self.actions, []
        return actions

    def stray(self, peer: Client | Worker, reason: str) -> LastWord | None:
        """A command names what is not there. It may only come too late, so a few are forgiven."""
        self.totals.strays += 1
        return m.Refused("unexpected", reason) if self.manners.misbehaved(key_of(peer)) else None

    def give_up(self, job: Job, worker_id: int, now: float) -> None:
        """Too many processes have died of this job, the last of them this worker."""
        self.totals.poisoned += 1
        text = f"{job.attempts} processes died while this batch was at work in them"
        self.ledger.deliver(job, 0, now)
        self.tell(
            job.client,
            m.Fail(job.command.request, job.receipt, worker_id, job.attempts, "poisoned", "", text, ""),
        )
        self.log("WARNING", f"batch {job.command.index} of client {job.client.session} is given up: {text}")


def unfit(command: m.Command) -> m.Refused:
    """The last word for a command that an open session does not allow."""
    return m.Refused("unexpected", f"{type(command).__name__.upper()} does not fit an open session")
