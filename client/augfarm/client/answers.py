"""What becomes of an answer: the caller's outcome, or with `isolate` smaller batches to try first.

A batch that failed is cut into parts as :mod:`.isolation` says. Each is a request of its own, for the same
call and position, with the batch's own number and base seed. The source is the client's own copy of the
batch: the caller's arrays may hold the next one already. Used by the link's thread alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from augfarm.protocol import batches as batch_forms
from augfarm.protocol import limits, splitting
from augfarm.protocol.batches import Keep
from augfarm.protocol.codec import Buffer, Tree, body_bytes, decode_body
from augfarm.protocol.errors import AugmentationFailed, ProtocolError
from augfarm.protocol.memory import Region
from augfarm.protocol.messages import Deliver, Fail
from augfarm.protocol.seeds import Seed, Seeding

from .calls import Call
from .events import BatchTaken
from .isolation import Isolation, Part
from .outcomes import Failure, Outcome, PartialBatch, error_of

__all__ = ["Answers", "Pending"]

#: Failures of the batch itself. A worker that cannot build the pipeline ("pipeline") could for no batch.
_OF_THE_BATCH = ("raised", "batch", "too-large", "poisoned")


@dataclass
class Pending:
    """A batch on its way: its frames for sending (again), and what makes the answer the caller's own."""

    call: Call
    position: int
    index: int
    #: As it was given, for FailedBatch.
    batch: Any
    keep: Keep
    #: Whole buffers; they are cut to the connection's frame size when they are sent.
    body: list[Buffer]
    taken_at: float
    digest: bytes = b""
    #: What `body` are views of, where it lies in shared memory.
    region: Region | None = None
    sent_at: float = field(default=0.0)
    #: The failed batch that this is a part of.
    trial: _Trial | None = None
    part: Part | None = None


@dataclass
class _Trial:
    """A failed batch whose parts are tried."""

    whole: Pending
    #: What the caller is given where nothing is left.
    failed: Outcome
    #: The request that failed: its parts are as old.
    request: int
    tree: Tree
    search: Isolation
    results: dict[Part, Tree] = field(default_factory=dict)
    outcomes: dict[Part, Outcome] = field(default_factory=dict)


class Answers:
    """Turns answers into what callers get.

    Args:
        base_seed, seeding: for telling callers what seeded a batch.
        requests: numbers for requests, shared with all who make some.
        read: makes a tree of an answer's body.
        isolate: whether to look for the guilty images of batches that failed.
        keep_failures: whether outcomes should hold what a dump needs.
    """

    def __init__(
        self,
        *,
        base_seed: int,
        seeding: Seeding,
        requests: Iterator[int],
        read: Callable[[list[Buffer]], Tree] = decode_body,
        isolate: bool = False,
        keep_failures: bool = False,
    ) -> None:
        self._base_seed = base_seed
        self._seeding = seeding
        self._requests = requests
        self._read = read
        self._isolate = isolate
        self._keep_failures = keep_failures

    def take(
        self, pending: Pending, answer: Deliver | Fail, body: list[Buffer], now: float
    ) -> tuple[Outcome | None, list[tuple[BatchTaken, Pending]]]:
        """What this answer gives: the outcome for the batch's position; or None, and what to try first."""
        trial = pending.trial
        if trial is not None:
            more = self._judge(trial, pending, answer, body, now)
            return (self._verdict(trial, now) if trial.search.complete else None), more
        outcome = self._outcome(pending, answer, body, now)
        if self._isolate and isinstance(answer, Fail) and answer.kind in _OF_THE_BATCH:
            trial = _trial_of(pending, outcome, answer.request)
            if trial is not None:
                return None, self._requests_for(trial, trial.search.first, now)
        return outcome, []

    # --- one answer ----------------------------------------------------------------------------------------

    def _outcome(self, pending: Pending, answer: Deliver | Fail, body: list[Buffer], now: float) -> Outcome:
        if isinstance(answer, Fail):
            return self._failure(pending, answer, now)
        try:
            batch = pending.keep.restore(self._read(body))
        except Exception as error:
            return self._unusable(pending, answer.worker_id, error, now)
        return self._success(pending, answer, batch, now)

    def _seed(self, pending: Pending, worker_id: int) -> Seed:
        return Seed(
            self._seeding, self._base_seed, pending.index, worker_id if self._seeding == "worker" else 0
        )

    def _success(self, pending: Pending, answer: Deliver, batch: Any, now: float) -> Outcome:
        away = now - pending.sent_at
        return Outcome(
            pending.index,
            batch,
            None,
            answer.worker_id,
            self._seed(pending, answer.worker_id),
            answer.attempts,
            seconds_queued=(pending.sent_at - pending.taken_at) + answer.seconds_queued,
            seconds_wire=max(0.0, away - answer.seconds_queued - answer.seconds_augmenting),
            seconds_augmenting=answer.seconds_augmenting,
            answered_at=now,
        )

    def _failure(self, pending: Pending, answer: Fail, now: float) -> Outcome:
        seed = self._seed(pending, answer.worker_id)
        image = _image(pending)
        error = error_of(answer, pending.index, seed, image)
        failures: tuple[Failure, ...] = ()
        if self._keep_failures and answer.kind in _OF_THE_BATCH:
            # A copy of what lies in shared memory: it will hold another batch.
            held = pending.body
            if pending.region is not None:
                held = [bytes(buffer) for buffer in held]
            failures = (Failure(error, answer, seed, held, image),)
        return Outcome(
            pending.index,
            pending.batch,
            error,
            answer.worker_id,
            seed,
            answer.attempts,
            answered_at=now,
            failures=failures,
        )

    def _unusable(self, pending: Pending, worker_id: int | None, error: Exception, now: float) -> Outcome:
        # A ProtocolError is the worker's fault; anything else that of the batch's own class, when copied.
        seed = None if worker_id is None else self._seed(pending, worker_id)
        image = _image(pending)
        name = f"batch {pending.index}" if image is None else f"image {image} of batch {pending.index}"
        text = f"the result of {name} cannot be used (worker {worker_id}): {error!r}"
        failure = AugmentationFailed(text, index=pending.index, worker_id=worker_id, seed=seed)
        return Outcome(pending.index, pending.batch, failure, worker_id, seed, answered_at=now)

    # --- parts of a batch that failed ----------------------------------------------------------------------

    def _requests_for(
        self, trial: _Trial, parts: tuple[Part, ...], now: float
    ) -> list[tuple[BatchTaken, Pending]]:
        whole = trial.whole
        made = []
        for part in parts:
            tree = splitting.cut_out(trial.tree, part.start, part.stop)
            body = batch_forms.encode(tree, whole.index, limits.MAX_BATCH_BYTES)
            pending = replace(
                whole, body=body, region=None, taken_at=now, sent_at=0.0, trial=trial, part=part
            )
            taken = BatchTaken(
                next(self._requests),
                whole.call.number,
                whole.index,
                whole.digest,
                body_bytes(body),
                instead_of=trial.request,
            )
            made.append((taken, pending))
        return made

    def _judge(
        self, trial: _Trial, pending: Pending, answer: Deliver | Fail, body: list[Buffer], now: float
    ) -> list[tuple[BatchTaken, Pending]]:
        part = pending.part
        assert part is not None
        if isinstance(answer, Fail):
            trial.outcomes[part] = self._failure(pending, answer, now)
            return self._requests_for(trial, trial.search.fail(part), now)
        try:
            result = self._read(body)
            if not splitting.fits(result, splitting.cut_out(trial.tree, part.start, part.stop)):
                raise ProtocolError("it does not have one entry for each image")
        except ProtocolError as error:
            trial.outcomes[part] = self._unusable(pending, answer.worker_id, error, now)
            return self._requests_for(trial, trial.search.fail(part), now)
        trial.results[part] = result
        trial.outcomes[part] = self._success(pending, answer, None, now)
        trial.search.keep(part)
        return []

    def _verdict(self, trial: _Trial, now: float) -> Outcome:
        whole, search = trial.whole, trial.search
        tried = [trial.failed, *trial.outcomes.values()]
        attempts = sum(outcome.attempts for outcome in tried)
        if not search.kept:
            return replace(trial.failed, attempts=attempts, answered_at=now)
        made_of = [trial.outcomes[part] for part in search.parts]
        try:
            batch = splitting.restore_some(
                whole.keep,
                splitting.join([trial.results[part] for part in search.parts]),
                search.kept,
                len(search.kept) + len(search.guilty),
            )
        except Exception as error:
            return replace(self._unusable(whole, None, error, now), attempts=attempts)
        guilty = {image: trial.outcomes[Part(image, image + 1)] for image in search.guilty}
        errors = {image: outcome.error for image, outcome in guilty.items() if outcome.error is not None}
        return Outcome(
            whole.index,
            PartialBatch(batch, search.kept, search.guilty, errors),
            attempts=attempts,
            seconds_queued=sum(outcome.seconds_queued for outcome in made_of),
            seconds_wire=sum(outcome.seconds_wire for outcome in made_of),
            seconds_augmenting=sum(outcome.seconds_augmenting for outcome in made_of),
            answered_at=now,
            failures=tuple(failure for outcome in guilty.values() for failure in outcome.failures),
        )


def _trial_of(pending: Pending, failed: Outcome, request: int) -> _Trial | None:
    """The parts of a batch that failed, or None where it cannot be cut."""
    try:
        tree = decode_body(pending.body)
    except ProtocolError:  # what no worker can read
        return None
    images = splitting.separable_images(tree)
    return _Trial(pending, failed, request, tree, Isolation(images)) if images else None


def _image(pending: Pending) -> int | None:
    """The position of the one image that this is a batch of, as a part of another batch."""
    part = pending.part
    return part.start if part is not None and len(part) == 1 else None
