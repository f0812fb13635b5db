"""What becomes of a batch that the loader took: it is numbered, packed, copied and posted to the link."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from typing import Any

from augfarm.protocol import batches as batch_forms
from augfarm.protocol import limits
from augfarm.protocol.codec import Parts, body_bytes, frames_of
from augfarm.protocol.errors import InvalidBatch

from .answers import Pending
from .calls import Call
from .events import BatchTaken
from .outcomes import Outcome
from .service import Service

__all__ = ["Poster"]

_logger = logging.getLogger("augfarm.client")


class Poster:
    """Gives each batch its number, copies it, and posts it to the link. Called by the loader.

    Args:
        number: gives the number of a batch; called once for each.
    """

    def __init__(
        self,
        call: Call,
        service: Service,
        number: Callable[[Any], int],
        requests: itertools.count[int],
        digest: bytes,
    ) -> None:
        self._call = call
        self._service = service
        self._number = number
        self._requests = requests
        self._digest = digest

    def __call__(self, batch: Any, position: int) -> None:
        taken_at = time.monotonic()
        index = self._number(batch)
        if position == 0:
            _warn_of_one_image(batch)
        try:
            packed = batch_forms.pack(batch, index)
            parts = batch_forms.encode_parts(packed.tree, index)
        except InvalidBatch as error:
            self._call.add(position, Outcome(index, batch, error))
            return
        # The one copy: the caller may reuse its arrays, and a lost batch is sent again from here.
        region = self._service.memory.place(parts)
        if region is None:
            copied = Parts(parts.header, [memoryview(bytes(buffer)) for buffer in parts.buffers])
            body = frames_of(copied, limits.MAX_BATCH_BYTES)
        else:
            body = region.frames()
        placed = None if region is None else body_bytes(region.body)
        request = next(self._requests)
        self._service.post(
            BatchTaken(request, self._call.number, index, self._digest, body_bytes(body), placed=placed),
            Pending(
                self._call, position, index, batch, packed.keep, body, taken_at, self._digest, region=region
            ),
        )


def _warn_of_one_image(batch: Any) -> None:
    """imgaug reads (H,W,3) as H grey images, as it must; who meant one colour image would never know."""
    images = batch.get("images") if isinstance(batch, dict) else batch
    shape: tuple[int, ...] = getattr(images, "shape", ())
    if len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) > 4:
        height, width, channels = shape
        _logger.warning(
            "augfarm: an array of shape (%d,%d,%d) is a batch of %d grey images of %dx%d; "
            "for one colour image put it into a list",
            *(height, width, channels, height, width, channels),
        )
