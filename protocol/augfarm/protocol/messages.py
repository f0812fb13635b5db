"""The commands of the wire, one frozen dataclass each; docs/protocol.md says what they mean.

A command is the first frame of a message: a msgpack array of the command's code and its fields in the
order given here. What follows it, the body, is opaque here: a batch (see :mod:`.codec`) or a pipeline spec.

Every field says what it admits, so that :func:`decode` gives a valid command or a
:class:`~augfarm.protocol.errors.ProtocolError`, never anything else.

=========  ==========================================================  =========================
direction  commands                                                    with a body
=========  ==========================================================  =========================
client →   Hello Pipeline Submit Received Cancel Adjusted Status       Pipeline, Submit
           Hedge Offer Goodbye
→ client   Welcome Window Farm Deliver Fail Attempt Cancelled Report   Deliver
           Attached Refused Goodbye
worker →   Join Credit Result Failed Attached Goodbye                  Result
→ worker   Joined Pipeline Forget Dispatch Offer Release Refused       Pipeline, Dispatch
           Goodbye
=========  ==========================================================  =========================
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import msgpack

from . import admits, limits
from .errors import ProtocolError
from .seeds import SEEDINGS, Seeding

__all__ = [
    "BY_CODE",
    "FAILURE_KINDS",
    "FROM_CLIENT",
    "FROM_WORKER",
    "REFUSAL_CODES",
    "TO_CLIENT",
    "TO_WORKER",
    "Adjusted",
    "Attached",
    "Attempt",
    "Cancel",
    "Cancelled",
    "Command",
    "Credit",
    "Deliver",
    "Dispatch",
    "Fail",
    "Failed",
    "Farm",
    "Forget",
    "Goodbye",
    "Hedge",
    "Hello",
    "Join",
    "Joined",
    "Offer",
    "Pipeline",
    "Received",
    "Refused",
    "Release",
    "Report",
    "Result",
    "Status",
    "Submit",
    "Welcome",
    "Window",
    "decode",
    "encode",
]

#: Why a batch has no result (Failed, Fail). "raised": the augmenter raised. "pipeline": the worker cannot
#: build the pipeline. "batch": the worker cannot read the batch. "too-large": the result exceeds
#: MAX_BATCH_BYTES. "poisoned": its processes died.
FAILURE_KINDS = ("raised", "pipeline", "batch", "too-large", "poisoned")

#: Why a peer is refused (Refused).
REFUSAL_CODES = (
    "version",  # another protocol version
    "wrong-port",  # a client at the port for workers, or a worker at the port for clients
    "expected-hello",  # a command before Hello or Join
    "unexpected",  # a command that this state or this port does not allow
    "malformed",  # bytes that are no command, too often
    "window",  # a batch beyond the client's window
    "late",  # no Adjusted for too long
    "credit",  # more credit, calls or pipelines than the limits allow
    "full",  # as many peers as the broker takes
    "replaced",  # the same session said Hello or Join on another connection
    "revoked",  # the key of this session was revoked
)


@dataclass(frozen=True)
class Command:
    """The base of all commands; docs/protocol.md describes each in a section of its own."""


# --- client to broker --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hello(Command):
    """A client opens its session, or takes it up again on a new connection."""

    version: int = admits.whole(2**16)
    token: bytes = admits.octets(limits.TOKEN_BYTES)
    software: str = admits.text(256)


@dataclass(frozen=True)
class Pipeline(Command):
    """A pipeline spec (the body), to be named by its SHA-256 from now on. Client to broker to worker."""

    digest: bytes = admits.octets(32)


@dataclass(frozen=True)
class Submit(Command):
    """A batch (the body) to augment. `request` is the client's own number for it and is never used again.

    With `placed` the batch's buffers lie in the client's memory.
    """

    request: int = admits.whole()
    call: int = admits.whole()
    index: int = admits.whole()
    base_seed: int = admits.whole()
    seeding: Seeding = admits.one_of(SEEDINGS)
    digest: bytes = admits.octets(32)
    attempts: int = admits.whole(2**16)
    placed: bool = admits.either()


@dataclass(frozen=True)
class Received(Command):
    """The client has the answers with these receipts: their place in the window is free."""

    receipts: tuple[int, ...] = admits.receipts()


@dataclass(frozen=True)
class Cancel(Command):
    """The client wants nothing more of this call: its requests without an answer are forgotten."""

    call: int = admits.whole()


@dataclass(frozen=True)
class Adjusted(Command):
    """The client obeys the window of this serial number from now on."""

    serial: int = admits.whole()


@dataclass(frozen=True)
class Status(Command):
    """Asks for a Report. The one command that needs no Hello."""


@dataclass(frozen=True)
class Hedge(Command):
    """The client's caller waits for this request, and it is late: a second worker may try it as well."""

    request: int = admits.whole()


@dataclass(frozen=True)
class Offer(Command):
    """Who is on the client's host may attach its memory to its own. Client to broker to worker.

    Towards workers `session` is a number of this offer alone.
    """

    session: int = admits.whole()
    name: bytes = admits.octets(limits.MEMORY_NUMBER_BYTES)
    secret: bytes = admits.octets(limits.TOKEN_BYTES)


# --- broker to client --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Welcome(Command):
    """The session is open. Frames may be up to `frame_bytes` long, batches up to `batch_bytes`."""

    software: str = admits.text(256)
    session: int = admits.whole()
    frame_bytes: int = admits.whole(limits.MAX_IPC_FRAME_BYTES)
    batch_bytes: int = admits.whole(limits.MAX_BATCH_BYTES)


@dataclass(frozen=True)
class Window(Command):
    """How much the client may have at the broker, besides one batch for each open call."""

    serial: int = admits.whole()
    batches: int = admits.whole()
    octets: int = admits.whole()


@dataclass(frozen=True)
class Farm(Command):
    """What the farm is now: its workers, the batches they take at once, advice for output_buffer_size."""

    workers: int = admits.whole()
    slots: int = admits.whole()
    advice: int = admits.whole(limits.ADVICE_MAX_BATCHES)
    environments: tuple[dict[str, str], ...] = admits.environments()


@dataclass(frozen=True)
class Deliver(Command):
    """A result (the body). The client answers RECEIVED with this receipt, which only a reader can know."""

    request: int = admits.whole()
    receipt: int = admits.whole()
    worker_id: int = admits.whole()
    attempts: int = admits.whole(2**16)
    seconds_queued: float = admits.seconds()
    seconds_augmenting: float = admits.seconds()


@dataclass(frozen=True)
class Fail(Command):
    """A batch that has no result, and why. For kind "poisoned" the worker is the last that died."""

    request: int = admits.whole()
    receipt: int = admits.whole()
    worker_id: int = admits.whole()
    attempts: int = admits.whole(2**16)
    kind: str = admits.one_of(FAILURE_KINDS)
    exception_type: str = admits.text(256)
    exception_text: str = admits.text()
    traceback: str = admits.text(limits.MAX_TRACEBACK_LENGTH)


@dataclass(frozen=True)
class Attempt(Command):
    """`attempts` processes have died of this batch so far; the client says so when it submits it again."""

    request: int = admits.whole()
    attempts: int = admits.whole(2**16)


@dataclass(frozen=True)
class Cancelled(Command):
    """The broker has forgotten this call's requests; no answer to one comes after this."""

    call: int = admits.whole()


@dataclass(frozen=True)
class Report(Command):
    """The broker's state as plain data, for people and monitors; its keys are in docs/protocol.md."""

    status: dict[str, Any] = admits.plain_map()


# --- worker to broker --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Join(Command):
    """A worker opens its session, or takes it up again on a new connection. It takes `credit` batches."""

    version: int = admits.whole(2**16)
    token: bytes = admits.octets(limits.TOKEN_BYTES)
    software: str = admits.text(256)
    credit: int = admits.whole(limits.MAX_WORKER_CREDIT)
    environment: dict[str, str] = admits.environment()


@dataclass(frozen=True)
class Credit(Command):
    """The worker takes `batches` more."""

    batches: int = admits.whole(limits.MAX_WORKER_CREDIT)


@dataclass(frozen=True)
class Result(Command):
    """The result (the body) of a dispatched batch. The worker takes `credit` more batches."""

    ticket: int = admits.whole()
    credit: int = admits.whole(limits.MAX_WORKER_CREDIT)
    seconds_augmenting: float = admits.seconds()


@dataclass(frozen=True)
class Failed(Command):
    """A dispatched batch has no result. The worker takes `credit` more batches."""

    ticket: int = admits.whole()
    credit: int = admits.whole(limits.MAX_WORKER_CREDIT)
    kind: str = admits.one_of(FAILURE_KINDS)
    exception_type: str = admits.text(256)
    exception_text: str = admits.text()
    traceback: str = admits.text(limits.MAX_TRACEBACK_LENGTH)


@dataclass(frozen=True)
class Attached(Command):
    """The sender sees the memory of this client's session. Worker to broker, and broker to client."""

    session: int = admits.whole()


# --- broker to worker --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Joined(Command):
    """The worker's session is open under this id. Frames may be up to `frame_bytes` long."""

    software: str = admits.text(256)
    worker_id: int = admits.whole()
    frame_bytes: int = admits.whole(limits.MAX_IPC_FRAME_BYTES)


@dataclass(frozen=True)
class Forget(Command):
    """The worker drops this pipeline; it is sent again before it is named again."""

    digest: bytes = admits.octets(32)


@dataclass(frozen=True)
class Dispatch(Command):
    """A batch (the body) to augment. The worker owns it until it answers with this ticket, or is gone."""

    ticket: int = admits.whole()
    index: int = admits.whole()
    base_seed: int = admits.whole()
    seeding: Seeding = admits.one_of(SEEDINGS)
    digest: bytes = admits.octets(32)


@dataclass(frozen=True)
class Release(Command):
    """Nobody reads the result of this ticket: where it lies in the worker's memory, that is free."""

    ticket: int = admits.whole()


# --- both sides --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refused(Command):
    """The broker's last word on this connection: why the peer is refused, as a code and for people."""

    code: str = admits.one_of(REFUSAL_CODES)
    text: str = admits.text(1024)


@dataclass(frozen=True)
class Goodbye(Command):
    """A peer leaves; what it held goes back to the queue, and the broker answers with the same word."""


# --- codes -------------------------------------------------------------------------------------------------

#: The numbers on the wire. Never renumbered; a new command takes the next free number of its row.
BY_CODE: dict[int, type[Command]] = {
    1: Hello,
    2: Pipeline,
    3: Submit,
    4: Received,
    5: Cancel,
    6: Adjusted,
    7: Status,
    8: Hedge,
    9: Offer,
    20: Welcome,
    21: Window,
    22: Farm,
    23: Deliver,
    24: Fail,
    25: Attempt,
    26: Report,
    27: Cancelled,
    40: Join,
    41: Credit,
    42: Result,
    43: Failed,
    44: Attached,
    60: Joined,
    61: Forget,
    62: Dispatch,
    63: Release,
    80: Refused,
    81: Goodbye,
}
_CODE = {kind: code for code, kind in BY_CODE.items()}

FROM_CLIENT: frozenset[type[Command]] = frozenset(
    {Hello, Pipeline, Submit, Received, Cancel, Adjusted, Status, Hedge, Offer, Goodbye}
)
TO_CLIENT: frozenset[type[Command]] = frozenset(
    {Welcome, Window, Farm, Deliver, Fail, Attempt, Cancelled, Report, Attached, Refused, Goodbye}
)
FROM_WORKER: frozenset[type[Command]] = frozenset({Join, Credit, Result, Failed, Attached, Goodbye})
TO_WORKER: frozenset[type[Command]] = frozenset(
    {Joined, Pipeline, Forget, Dispatch, Offer, Release, Refused, Goodbye}
)

_RULES: dict[type[Command], tuple[tuple[str, admits.Rule], ...]] = {
    kind: tuple((f.name, f.metadata["rule"]) for f in fields(kind)) for kind in BY_CODE.values()
}


def encode(command: Command) -> bytes:
    """The command frame. The fields are ours, so they are not checked again."""
    kind = type(command)
    packed: bytes = msgpack.packb([_CODE[kind], *(getattr(command, name) for name, _ in _RULES[kind])])
    return packed


def decode(frame: bytes | bytearray | memoryview, allowed: frozenset[type[Command]]) -> Command:
    """The command in a command frame from a peer.

    Args:
        frame: the message's first frame.
        allowed: the commands that may come from this side, for example ``FROM_CLIENT``.

    Raises:
        ProtocolError: for whatever else the bytes are.
    """
    if len(frame) > limits.MAX_COMMAND_BYTES:
        raise ProtocolError(f"command frame of {len(frame)} bytes, more than {limits.MAX_COMMAND_BYTES}")
    try:
        values = msgpack.unpackb(
            frame,
            raw=False,
            use_list=False,
            strict_map_key=True,
            # msgpack 1.0 fills a tuple when it reads its length: nested, 256 KiB would become 2 GiB.
            max_array_len=limits.MAX_RECEIPTS_PER_MESSAGE,
            ext_hook=_refuse_extension,
            timestamp=1,  # msgpack's own extension type never reaches the hook: a float, not an object
        )
    except (ValueError, msgpack.UnpackException, RecursionError, MemoryError) as error:
        raise ProtocolError(f"command frame is not msgpack: {error}") from None
    if not isinstance(values, tuple) or not values or not admits.is_int(values[0]):
        raise ProtocolError("command frame is not an array that begins with a command code")
    kind = BY_CODE.get(values[0])
    if kind is None:
        raise ProtocolError(f"unknown command code {values[0]}")
    if kind not in allowed:
        raise ProtocolError(f"{kind.__name__.upper()} does not come from this side")
    rules = _RULES[kind]
    if len(values) - 1 != len(rules):
        raise ProtocolError(f"{kind.__name__.upper()} has {len(rules)} fields, got {len(values) - 1}")
    arguments: list[Any] = []
    for (name, rule), value in zip(rules, values[1:], strict=True):
        if not rule.check(value):
            raise ProtocolError(f"{kind.__name__.upper()}.{name}: expected {rule.expected}")
        arguments.append(value if rule.convert is None else rule.convert(value))
    # Without the constructor, which sets each field of a frozen dataclass by a call of its own.
    command = kind.__new__(kind)
    command.__dict__.update(zip((name for name, _ in rules), arguments, strict=True))
    return command


def _refuse_extension(code: int, data: bytes) -> None:
    raise ProtocolError(f"extension {code} in a command")
