"""What a worker's session hears (events, in the past tense) and asks for (actions, verbs). No behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from augfarm.protocol.codec import Body
from augfarm.protocol.messages import Command
from augfarm.protocol.seeds import Seed

__all__ = [
    "Action",
    "AttachMemory",
    "Augment",
    "BatchAugmented",
    "BatchFailed",
    "CommandArrived",
    "ConnectionEnded",
    "Event",
    "Exit",
    "ForgetAllPipelines",
    "ForgetMemory",
    "ForgetPipeline",
    "GarbageArrived",
    "InboxEmptied",
    "LoadPipeline",
    "MemoryAttached",
    "Reconnect",
    "ReleaseResult",
    "RenewToken",
    "Say",
    "SayWaiting",
    "Send",
    "StopRequested",
]

# --- events ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CommandArrived:
    """The broker sent this."""

    command: Command
    body: Body = ()


@dataclass(frozen=True)
class GarbageArrived:
    """The broker sent bytes that are no command."""

    reason: str


@dataclass(frozen=True)
class ConnectionEnded:
    """The connection to the broker is gone, or could not be made; another is being tried."""

    reason: str


@dataclass(frozen=True)
class InboxEmptied:
    """Whatever had arrived was handed in; a waiting batch may begin."""


@dataclass(frozen=True)
class BatchAugmented:
    """The batch at work has a result, after so many seconds."""

    ticket: int
    body: Body
    seconds: float


@dataclass(frozen=True)
class BatchFailed:
    """The batch at work has no result; see :data:`augfarm.protocol.messages.FAILURE_KINDS`."""

    ticket: int
    kind: str
    exception_type: str
    exception_text: str
    traceback: str


@dataclass(frozen=True)
class MemoryAttached:
    """This process sees the memory of this client's session."""

    session: int


@dataclass(frozen=True)
class StopRequested:
    """The process was told to stop: once the batch at work is done, or at once if told again."""


Event: TypeAlias = (
    CommandArrived
    | GarbageArrived
    | ConnectionEnded
    | InboxEmptied
    | BatchAugmented
    | BatchFailed
    | MemoryAttached
    | StopRequested
)


# --- actions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Send:
    """Send this to the broker."""

    command: Command
    body: Body = ()


@dataclass(frozen=True)
class LoadPipeline:
    """Keep the pipeline whose spec is the body under this digest."""

    digest: bytes
    body: Body


@dataclass(frozen=True)
class ForgetPipeline:
    """Drop this pipeline."""

    digest: bytes


@dataclass(frozen=True)
class ForgetAllPipelines:
    """Drop all pipelines."""


@dataclass(frozen=True)
class AttachMemory:
    """Try to see this client's memory; say :class:`MemoryAttached` if that succeeds."""

    session: int
    name: bytes
    secret: bytes


@dataclass(frozen=True)
class ReleaseResult:
    """Nobody reads the result of this ticket."""

    ticket: int


@dataclass(frozen=True)
class ForgetMemory:
    """End all sharing of memory."""


@dataclass(frozen=True)
class Augment:
    """Augment this batch; answer with :class:`BatchAugmented` or :class:`BatchFailed`."""

    ticket: int
    digest: bytes
    seed: Seed
    body: Body
    frame_bytes: int


@dataclass(frozen=True)
class RenewToken:
    """Take a new session token for the next JOIN."""


@dataclass(frozen=True)
class Reconnect:
    """Throw the connection away and make another."""

    reason: str


@dataclass(frozen=True)
class Say:
    """Tell the operator."""

    level: Literal["info", "warning", "error"]
    text: str


@dataclass(frozen=True)
class SayWaiting:
    """Tell the operator that no broker has taken the worker for so many seconds, and why if it is known."""

    seconds: float
    reason: str


@dataclass(frozen=True)
class Exit:
    """End the process with this code."""

    code: int


Action: TypeAlias = (
    Send
    | LoadPipeline
    | ForgetPipeline
    | ForgetAllPipelines
    | AttachMemory
    | ReleaseResult
    | ForgetMemory
    | Augment
    | RenewToken
    | Reconnect
    | Say
    | SayWaiting
    | Exit
)
