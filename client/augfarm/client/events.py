"""What the client's core hears and what it asks for: its events (past tense) and its actions (verbs)."""

from __future__ import annotations

from dataclasses import dataclass

from augfarm.protocol.messages import Command, Deliver, Fail, Submit

__all__ = [
    "Action",
    "BatchTaken",
    "CallEnded",
    "CallOpened",
    "ConnectionLost",
    "Event",
    "GiveUp",
    "HandOver",
    "Heard",
    "Notice",
    "Reconnect",
    "Refuse",
    "Resume",
    "Send",
    "SendBatch",
    "SendPipeline",
    "SetAdvice",
]


# --- events ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CallOpened:
    """The caller began to iterate; the call's first batch may come.

    With `hedge` a batch that its order waits for may be tried by a second worker.
    """

    call: int
    hedge: bool = False


@dataclass(frozen=True)
class BatchTaken:
    """A batch was taken from the caller's generator and is ready to travel. `octets`: its size in bytes.

    `placed`: its size apart from what lies in shared memory, or None where nothing does.
    With `instead_of` it is a part of that request, which failed: it is as old, and goes before younger ones.
    """

    request: int
    call: int
    index: int
    digest: bytes
    octets: int
    instead_of: int | None = None
    placed: int | None = None


@dataclass(frozen=True)
class CallEnded:
    """Nothing more is wanted of this call: it is complete, or the caller left it."""

    call: int


@dataclass(frozen=True)
class Heard:
    """The broker said this."""

    command: Command


@dataclass(frozen=True)
class ConnectionLost:
    """The connection is gone, or could not be made; the link goes on trying.

    With `final` the broker refused the key, and would again.
    """

    reason: str
    final: bool = False


Event = CallOpened | BatchTaken | CallEnded | Heard | ConnectionLost


# --- actions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Send:
    """Send a command that has no body."""

    command: Command


@dataclass(frozen=True)
class SendPipeline:
    """Send the spec of this digest."""

    digest: bytes


@dataclass(frozen=True)
class SendBatch:
    """Send this command with the batch of its request."""

    command: Submit


@dataclass(frozen=True)
class HandOver:
    """The one answer to a request: give it to its call, and forget the batch."""

    request: int
    call: int
    answer: Deliver | Fail


@dataclass(frozen=True)
class SetAdvice:
    """The broker's advice for calls that set no output_buffer_size, in batches."""

    batches: int


@dataclass(frozen=True)
class Notice:
    """Tell the user, who may be wondering why nothing comes."""

    text: str


@dataclass(frozen=True)
class GiveUp:
    """No progress for `timeout` seconds: tell every open call. The batches stay, and may still come."""

    waiting_for: str
    text: str


@dataclass(frozen=True)
class Resume:
    """The farm can work again: a GiveUp that no caller has seen yet is void."""


@dataclass(frozen=True)
class Refuse:
    """The broker said no and would say no again: end every call."""

    code: str
    text: str


@dataclass(frozen=True)
class Reconnect:
    """Throw the connection away and make another."""

    reason: str


Action = (
    Send | SendPipeline | SendBatch | HandOver | SetAdvice | Notice | GiveUp | Resume | Refuse | Reconnect
)
