"""What the broker's core hears and what it asks for: its events (past tense) and its actions (verbs).

A connection is named by its side and the routing id that the ROUTER of that side gave it. A body is a
sequence of frames that the core hands on and never reads, except a pipeline's, which it hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from augfarm.protocol.messages import Command

__all__ = [
    "Action",
    "Body",
    "CommandReceived",
    "ConnectionLost",
    "Event",
    "GarbageReceived",
    "KeysRead",
    "Log",
    "MemoryAttached",
    "OpenMemory",
    "Retire",
    "Send",
    "Side",
    "StopRequested",
    "Watch",
]

Side: TypeAlias = Literal["client", "worker"]
#: Frames: bytes-like objects, or whatever the shell can send (zmq.Frame).
Body: TypeAlias = Sequence[Any]


# --- events ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A valid command came in.

    Attributes:
        body: the frames after the command.
        body_bytes: their size together.
        user_id: whose key this connection has proven; "" without keys.
    """

    side: Side
    connection: bytes
    command: Command
    body: Body = ()
    body_bytes: int = 0
    user_id: str = ""


@dataclass(frozen=True, slots=True)
class GarbageReceived:
    """Bytes that are no valid message came in; `reason` says what is wrong with them."""

    side: Side
    connection: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """Nothing more comes from this connection, and nothing sent to it arrives.

    Attributes:
        closed_by_peer: whether the other end closed it: its process died or left. False where it fell
            silent (frozen, or cut off) and where nobody knows.
    """

    side: Side
    connection: bytes
    closed_by_peer: bool


@dataclass(frozen=True, slots=True)
class KeysRead:
    """The keys that may speak on this side are these now; "" stands for this process itself."""

    side: Side
    user_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class MemoryAttached:
    """The broker itself sees the memory that this client offered: they are on one host."""

    connection: bytes


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The broker is told to stop."""


Event: TypeAlias = (
    CommandReceived | GarbageReceived | ConnectionLost | KeysRead | MemoryAttached | StopRequested
)


# --- actions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send this; if the connection turns out to be gone, say ConnectionLost.

    Attributes:
        memory_of: the client's connection in whose memory the body's buffers lie, where the receiver does not
            see it: they are to be sent as frames. None: the body is sent as it is.
    """

    side: Side
    connection: bytes
    command: Command
    body: Body = ()
    memory_of: bytes | None = None


@dataclass(frozen=True, slots=True)
class OpenMemory:
    """Try to see this client's memory; say MemoryAttached if that succeeds. Close it with the connection."""

    connection: bytes
    name: bytes
    secret: bytes


@dataclass(frozen=True, slots=True)
class Watch:
    """This connection belongs to a worker now: its end should be told with its cause."""

    connection: bytes


@dataclass(frozen=True, slots=True)
class Retire:
    """The core is done with this connection: it is sent nothing more, and what it sends is dropped.

    Attributes:
        unread: what was sent on it and may not have been read, in bytes. Nobody is charged for that any more.
    """

    side: Side
    connection: bytes
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Log:
    """Tell whoever reads the log; `level` is a name of the logging module's."""

    level: Literal["INFO", "WARNING"]
    text: str


Action: TypeAlias = Send | OpenMemory | Watch | Retire | Log
