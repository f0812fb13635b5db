"""Batches in, batches out: decodes, augments and encodes; whatever goes wrong becomes an answer.

The one place where a worker runs imgaug and what pipelines name. Nothing that an augmenter raises leaves it,
SystemExit and KeyboardInterrupt included; ``os._exit`` and signals cannot be caught and end the process.
"""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Sequence
from types import TracebackType

from augfarm.protocol import limits
from augfarm.protocol.augment import Recipe
from augfarm.protocol.bodies import Body, frames_of, placement_of
from augfarm.protocol.codec import Tree, decode_body, encode_parts
from augfarm.protocol.errors import InvalidBatch, InvalidPipeline, ProtocolError

from .events import Augment, BatchAugmented, BatchFailed
from .memory import SharedMemory

__all__ = ["Engine"]

#: An exception's text is cut to so many characters: with a traceback it fits one command frame even where
#: every character takes four bytes.
MAX_EXCEPTION_TEXT = 8 * 1024
#: The length that the wire admits for a type's name, in characters.
MAX_TYPE_NAME = 256

#: Modules whose frames a traceback does not begin with: users look for their own.
OWN_MODULES = "augfarm."


class Engine:
    """The pipelines of one worker process, ready to augment.

    Args:
        allow_import: modules besides imgaug's whose augmenters and functions a pipeline may name.
        memory: what is shared with clients on this host.
    """

    def __init__(self, *, allow_import: Sequence[str] = (), memory: SharedMemory | None = None) -> None:
        self._memory = SharedMemory(0) if memory is None else memory
        self._allow_import = tuple(allow_import)
        self._recipes: dict[bytes, Recipe | InvalidPipeline] = {}

    def load(self, digest: bytes, body: Body) -> None:
        """Keep the pipeline whose spec is `body`; what is wrong with it is told when a batch names it."""
        spec = b"".join(body)
        try:
            if hashlib.sha256(spec).digest() != digest:
                raise InvalidPipeline("the spec is not the one that its digest names")
            self._recipes[digest] = Recipe(spec, allow_imports=self._allow_import)
        except InvalidPipeline as error:
            self._recipes[digest] = InvalidPipeline(error.message, where=error.where)  # without its frames
        except BaseException as error:  # a module of --allow-import may raise anything when it is imported
            self._recipes[digest] = InvalidPipeline(f"{type(error).__name__}: {_text_of(error)}")

    def forget(self, digest: bytes) -> None:
        """Drop this pipeline, if it is there."""
        self._recipes.pop(digest, None)

    def forget_all(self) -> None:
        """Drop all pipelines."""
        self._recipes.clear()

    def augment(self, work: Augment) -> BatchAugmented | BatchFailed:
        """The batch's result as frames, or why there is none. Raises nothing."""
        started = time.perf_counter()
        try:
            recipe = self._recipe(work.digest)
            result = recipe.augment(decode_body(work.body, self._memory.find), work.seed)
        except InvalidPipeline as error:
            return _failed(work, "pipeline", error)
        except ProtocolError as error:
            return _failed(work, "batch", error)
        except InvalidBatch as error:  # what the augmenter made of the batch; no frame but ours is in it
            return _failed(work, "raised", error, text=f"the result cannot travel: {error}")
        except BaseException as error:
            return _failed(work, "raised", error, traceback_text=readable_traceback(error))
        try:
            frames = self._encode(result, work)
        except ValueError as error:
            return _failed(work, "too-large", error, text=f"the result is too large to travel: {error}")
        except BaseException as error:
            return _failed(work, "raised", error, text=f"the result cannot travel: {error!r}")
        return BatchAugmented(work.ticket, frames, time.perf_counter() - started)

    def _encode(self, result: Tree, work: Augment) -> Body:
        """The result's body: in shared memory where the batch came that way, and there is room."""
        parts = encode_parts(result)
        placement = placement_of(work.body)
        placed = None if placement is None else self._memory.place(work.ticket, placement.memory, parts)
        return frames_of(parts, work.frame_bytes) if placed is None else placed

    def _recipe(self, digest: bytes) -> Recipe:
        recipe = self._recipes.get(digest)
        if recipe is None:
            raise InvalidPipeline("the broker named a pipeline that it has not sent")
        if isinstance(recipe, InvalidPipeline):
            raise recipe
        return recipe


def readable_traceback(error: BaseException) -> str:
    """The traceback as a user reads it: from the first frame that is not ours, its middle cut where long."""
    below = _below_own_frames(error.__traceback__)
    try:
        text = "".join(traceback.format_exception(type(error), error, below or error.__traceback__))
    except BaseException as other:  # an exception whose __str__ or source raises
        text = f"{type(error).__name__} (its traceback cannot be formatted: {type(other).__name__})\n"
    return _cut_middle(_encodable(text), limits.MAX_TRACEBACK_LENGTH)


def _below_own_frames(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith(OWN_MODULES):
        frames = frames.tb_next
    return frames


def _failed(
    work: Augment, kind: str, error: BaseException, *, text: str | None = None, traceback_text: str = ""
) -> BatchFailed:
    name = type(error).__name__
    text = _text_of(error) if text is None else text
    # Without a reference to the batch: a failed batch's arrays would live as long as the exception.
    error.__traceback__ = None
    return BatchFailed(
        work.ticket,
        kind,
        _encodable(name)[:MAX_TYPE_NAME],
        _cut_middle(_encodable(text), MAX_EXCEPTION_TEXT),
        traceback_text,
    )


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as other:  # __str__ is the user's code
        return f"(its text cannot be read: {type(other).__name__})"


def _encodable(text: str) -> str:
    """The text without lone surrogates, which UTF-8 cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _cut_middle(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    mark = f"\n[... {len(text) - longest} characters and a few left out ...]\n"
    head = (longest - len(mark)) // 2
    tail = longest - len(mark) - head
    return text[:head] + mark + text[len(text) - tail :]
