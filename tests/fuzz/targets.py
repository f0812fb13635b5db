"""Everything that reads bytes of a peer, one function each: whatever the bytes are, nothing else may come of
them than a value of ours or the error that is meant for it. Anything else is a bug, and is raised.
"""

from __future__ import annotations

import contextlib
import struct

import numpy as np

from augfarm.protocol import messages, pipelines
from augfarm.protocol.batches import Keep, unpack_request
from augfarm.protocol.codec import Record, decode_body
from augfarm.protocol.errors import InvalidPipeline, ProtocolError
from augfarm.protocol.images import images_from_tree, wanted_files
from augfarm.protocol.records import Misfit

__all__ = ["TARGETS", "join", "split"]

DIRECTIONS = (messages.FROM_CLIENT, messages.TO_CLIENT, messages.FROM_WORKER, messages.TO_WORKER)


def join(frames: list[bytes]) -> bytes:
    """A message's frames as one input."""
    return b"".join(struct.pack("!I", len(frame)) + bytes(frame) for frame in frames)


def split(octets: bytes) -> list[bytes]:
    """The frames again; of any input, which a fuzzer may have changed."""
    frames = []
    while len(octets) >= 4:
        length = struct.unpack("!I", octets[:4])[0] % (1 << 24)
        frames.append(octets[4 : 4 + length])
        octets = octets[4 + length :]
    return frames


def command(octets: bytes) -> None:
    for allowed in DIRECTIONS:
        try:
            decoded = messages.decode(octets, allowed)
        except ProtocolError:
            continue
        assert type(decoded) in allowed
        assert messages.decode(messages.encode(decoded), allowed) == decoded


def body(octets: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        decode_body(split(octets))


def request(octets: bytes) -> None:
    try:
        batch = unpack_request(decode_body(split(octets)))
    except ProtocolError:
        return
    assert type(batch).__module__ == "imgaug.augmentables.batches"


def result(octets: bytes) -> None:
    for columns in (("images",), ("images", "keypoints", "bounding_boxes")):
        with contextlib.suppress(ProtocolError):
            Keep(columns, dict.fromkeys(columns)).restore(decode_body(split(octets)))


def image(octets: bytes) -> None:
    array = np.frombuffer(octets, np.uint8)
    with contextlib.suppress(Misfit):
        (decoded,) = images_from_tree([Record("file", (array,))])
        assert isinstance(decoded, np.ndarray)
    for rgb in (False, True):
        with contextlib.suppress(Misfit):
            (pixels,), (wanted,) = wanted_files([Record("file", (array, "png", None, rgb))])
            assert isinstance(pixels, np.ndarray)
            assert wanted is not None
            wanted.encode(pixels, wanted.picture.alpha)


def spec(octets: bytes) -> None:
    with contextlib.suppress(InvalidPipeline):
        pipelines.decode(octets)


TARGETS = {each.__name__: each for each in (command, body, request, result, image, spec)}
