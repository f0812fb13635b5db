"""Failed batches as files: all that runs one again, as data. Pure.

A *dump* is one msgpack map: the format's number (`augdump`), the SHA-256 of the spec (`digest`), and the
fields of :class:`Dump` by their names. It holds no code. It is read as if a peer had sent it, spec and body
by the decoders of the wire.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import msgpack

from . import admits, limits, pipelines
from .codec import Buffer, decode_body
from .errors import InvalidPipeline, ProtocolError
from .messages import FAILURE_KINDS
from .seeds import SEEDINGS, Seed

__all__ = ["DUMP_FORMAT", "MAX_DUMP_BYTES", "Dump", "decode_dump", "encode_dump"]

#: Files of another number are refused by name, never guessed around.
DUMP_FORMAT = 1
#: The largest dump: a batch, a spec, and texts that are far below a megabyte together.
MAX_DUMP_BYTES = limits.MAX_BATCH_BYTES + limits.MAX_SPEC_BYTES + limits.MIB
#: Entries of one map in it.
MAX_MAP_ITEMS = 64
#: How msgpack begins the format's number, after one to three bytes that say how many fields there are.
_MARK = b"\xa7augdump"

_SEED = admits.Rule(
    "[seeding, base seed, index, worker's id]",
    lambda v: (
        isinstance(v, list)
        and len(v) == 4
        and v[0] in SEEDINGS
        and all(admits.is_int(n) and 0 <= n < 2**63 for n in v[1:])
    ),
    convert=lambda v: Seed(*v),
)
_SPEC = admits.Rule("bytes", lambda v: isinstance(v, bytes))
_BODY = admits.Rule("a list of bytes", lambda v: isinstance(v, list) and all(isinstance(b, bytes) for b in v))
_IMAGE = admits.Rule("None or the position of an image", lambda v: v is None or (admits.is_int(v) and v >= 0))


def _field(rule: admits.Rule) -> Any:
    return field(metadata={"rule": rule})


@dataclass(frozen=True)
class Dump:
    """A batch, or one image of it, that failed.

    Attributes:
        software: what wrote it, for example ``"augfarm 0.1.0"``.
        spec: the pipeline.
        seed: what seeded it.
        image: the position of the one image that it is, or None for a whole batch.
        body: the request as it was sent, in whole buffers: for :func:`.codec.decode_body`.
        kind: why it failed: one of FAILURE_KINDS.
        exception_type, exception_text, traceback: what the worker said.
        attempts: how many processes died of it.
        client: versions where it was written.
        workers: versions of the farm's workers: the distinct ones, since nobody knows which had it.
    """

    software: str = admits.text(256)
    spec: bytes = _field(_SPEC)
    seed: Seed = _field(_SEED)
    image: int | None = _field(_IMAGE)
    body: list[Buffer] = _field(_BODY)
    kind: str = admits.one_of(FAILURE_KINDS)
    exception_type: str = admits.text(256)
    exception_text: str = admits.text()
    traceback: str = admits.text(limits.MAX_TRACEBACK_LENGTH)
    attempts: int = admits.whole(2**16)
    client: dict[str, str] = admits.environment()
    workers: tuple[dict[str, str], ...] = admits.environments()


def encode_dump(dump: Dump) -> Iterator[Buffer]:
    """The dump's bytes in pieces, the batch's buffers among them as they are: to be written one by one."""
    packer = msgpack.Packer()
    yield packer.pack_map_header(len(fields(Dump)) + 2)
    yield packer.pack("augdump") + packer.pack(DUMP_FORMAT)
    yield packer.pack("digest") + packer.pack(pipelines.digest(dump.spec))
    for each in fields(Dump):
        yield packer.pack(each.name)
        value = getattr(dump, each.name)
        if each.name == "body":
            yield packer.pack_array_header(len(value))
            for buffer in value:
                yield b"\xc6" + len(buffer).to_bytes(4, "big")  # bin 32
                yield buffer
        elif each.name == "seed":
            yield packer.pack([value.seeding, value.base_seed, value.index, value.worker_id])
        else:
            yield packer.pack(value)


def decode_dump(octets: bytes) -> Dump:
    """The dump in the bytes of a file; its spec and its body can be decoded.

    Raises:
        ProtocolError: for whatever else they are; its text goes on where a file's name ends.
    """
    if len(octets) > MAX_DUMP_BYTES:
        raise ProtocolError(f"is larger than any dump ({MAX_DUMP_BYTES} bytes)")
    if _MARK not in octets[:16]:
        raise ProtocolError("is no dump of augfarm's")
    try:
        values = msgpack.unpackb(
            octets,
            raw=False,
            strict_map_key=True,
            max_array_len=limits.MAX_BUFFERS + 2,
            max_map_len=MAX_MAP_ITEMS,
            ext_hook=_refuse_extension,
            timestamp=1,
        )
    except (ValueError, msgpack.UnpackException, RecursionError, MemoryError) as error:
        raise ProtocolError(f"is truncated or damaged: {error}") from None
    version = values.get("augdump") if isinstance(values, dict) else None
    if type(version) is not int or version != DUMP_FORMAT:
        number = version if admits.is_int(version) else "unknown"
        raise ProtocolError(f"is a dump of format {number}, and this augfarm reads format {DUMP_FORMAT}")
    return _checked(values)


def _checked(values: dict[str, Any]) -> Dump:
    found: dict[str, Any] = {}
    for each in fields(Dump):
        rule: admits.Rule = each.metadata["rule"]
        if each.name not in values or not rule.check(values[each.name]):
            raise ProtocolError(f"is damaged: {each.name}: expected {rule.expected}")
        value = values[each.name]
        found[each.name] = value if rule.convert is None else rule.convert(value)
    dump = Dump(**found)
    if values.get("digest") != hashlib.sha256(dump.spec).digest():
        raise ProtocolError("is damaged: the pipeline is not the one that its digest names")
    try:
        pipelines.load(dump.spec)
        decode_body(dump.body)
    except (InvalidPipeline, ProtocolError) as error:
        raise ProtocolError(f"is damaged: {error}") from None
    return dump


def _refuse_extension(code: int, data: bytes) -> None:
    raise ValueError("an extension type")
