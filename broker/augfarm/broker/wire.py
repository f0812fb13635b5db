"""What a valid command may still not have behind it: the body's shape. Pure."""

from __future__ import annotations

from augfarm.protocol import limits
from augfarm.protocol import messages as m

__all__ = ["body_fault"]

_WITH_BODY = (m.Submit, m.Result, m.Pipeline)
#: A frame costs some 200 bytes of memory besides its own, which no window counts. Bodies by the book have
#: no more than one frame for each 2 KiB, and two: arrays below INLINE_BYTES (4 KiB) have no frame.
FRAME_ALLOWANCE = 16
BYTES_PER_FRAME = limits.INLINE_BYTES // 2
#: The table of lengths that a body begins with comes on top of the batch itself.
MAX_BODY_BYTES = limits.MAX_BATCH_BYTES + limits.MAX_COMMAND_BYTES


def body_fault(command: m.Command, frames: int, octets: int) -> str:
    """What is wrong with a body of so many frames and bytes behind this command, or ""."""
    name = type(command).__name__.upper()
    if not isinstance(command, _WITH_BODY):
        return f"{name} has no body, got {frames} frames" if frames else ""
    if not frames:
        return f"{name} has a body, got none"
    if frames > min(limits.MAX_FRAMES, FRAME_ALLOWANCE + octets // BYTES_PER_FRAME):
        return f"{name}: {frames} frames are too many for {octets} bytes"
    # A result beyond the limit is the core's to answer: somebody waits for it.
    if octets > MAX_BODY_BYTES and not isinstance(command, m.Result):
        return f"{name}: {octets} bytes, more than {limits.MAX_BATCH_BYTES}"
    return ""
