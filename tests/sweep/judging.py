"""The sweep: every augmenter here and in a fresh process, by the same seed, and what came of it."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import cv2
import imgaug.multicore
import imgaug.random
from imgaug.augmentables.batches import UnnormalizedBatch

from alike import assert_same
from augfarm.protocol import batches, pipelines
from augfarm.protocol.codec import decode_body
from sweep import far_side
from sweep.subjects import ANNOTATIONS, batches_of

__all__ = [
    "Verdict",
    "augment_by_imgaug",
    "augment_by_pool",
    "is_same",
    "judge",
    "send_away",
    "unlike_the_pool",
]

Make = Callable[[], Any]


@dataclass(frozen=True)
class Verdict:
    """What became of one augmenter.

    Attributes:
        outcome: "equal"; "differs"; "unrepeatable", where imgaug itself gives other pixels for the same seed
            when it runs again, or takes the batches in another order; or "fails", where imgaug itself raises.
        refuses: the annotations that it raises on in imgaug itself.
        note: of what differs, where; of what fails, the exception.
        idle: whether imgaug gives back what it was given.
    """

    outcome: str
    refuses: tuple[str, ...] = ()
    note: str = ""
    idle: bool = False


@dataclass
class _Subject:
    make: Make
    columns: tuple[str, ...]
    expected: list[Any] | None = None
    #: What imgaug raises on images alone.
    error: Exception | None = None


def judge(makers: dict[str, Make], directory: Path) -> dict[str, Verdict]:
    """Run all augmenters on images and every annotation that they take, here and in a fresh process.

    Args:
        makers: what builds each; called several times.
        directory: an empty one, for the fresh process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subjects = {name: _explore(make) for name, make in makers.items()}
        jobs = {name: (subject.make, batches_of(subject.columns)) for name, subject in subjects.items()}
        results = send_away(jobs, directory)
        return {name: _verdict(subject, results[name]) for name, subject in subjects.items()}


def augment_by_imgaug(make: Make, given: list[UnnormalizedBatch], order: int = 1) -> list[UnnormalizedBatch]:
    """What imgaug's Pool does with the batches in its worker process, here; with order -1, last first."""
    state, threads = imgaug.random.get_global_rng().state, cv2.getNumThreads()
    multicore: Any = imgaug.multicore
    try:
        multicore._Pool_initialize_worker(make(), far_side.BASE_SEED)
        return [multicore._Pool_worker(*each) for each in list(enumerate(given))[::order]][::order]
    finally:
        multicore.Pool._WORKER_AUGSEQ = multicore.Pool._WORKER_SEED_START = None
        cv2.setNumThreads(threads)
        imgaug.random.get_global_rng().state = state


def augment_by_pool(make: Make, given: list[UnnormalizedBatch]) -> list[UnnormalizedBatch]:
    """What imgaug's own Pool makes of the batches."""
    with imgaug.multicore.Pool(make(), processes=1, seed=far_side.BASE_SEED) as pool:
        result: list[UnnormalizedBatch] = pool.map_batches(given, chunksize=1)
        return result


def unlike_the_pool(makers: dict[str, Make], verdicts: dict[str, Verdict]) -> list[str]:
    """Those that are equal to imgaug in this process, but not to imgaug's Pool."""
    return [
        name
        for name, make in makers.items()
        if verdicts[name].outcome == "equal" and _is_unlike_the_pool(make, verdicts[name])
    ]


def _is_unlike_the_pool(make: Make, verdict: Verdict) -> bool:
    given = [batches_of(tuple(name for name in ANNOTATIONS if name not in verdict.refuses)) for _ in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(_difference(augment_by_pool(make, given[0]), augment_by_imgaug(make, given[1])))


def send_away(jobs: dict[str, tuple[Make, list[Any]]], directory: Path) -> dict[str, list[Any]]:
    """The batches as a fresh process augments them; in place of one that it cannot, the exception's name."""
    written: dict[str, far_side.Job] = {}
    kept: dict[str, list[batches.Keep]] = {}
    for name, (make, given) in jobs.items():
        packed = [batches.pack(batch, number) for number, batch in enumerate(given)]
        frames = [[bytes(f) for f in batches.encode(each.tree, 0, 1 << 18)] for each in packed]
        written[name] = (pipelines.encode(make()), frames)
        kept[name] = [each.keep for each in packed]
    (directory / "jobs").write_bytes(pickle.dumps(written))
    command = [sys.executable, "-m", "sweep.far_side", str(directory)]
    subprocess.run(command, cwd=Path(__file__).parents[1], check=True, timeout=600)
    results: dict[str, far_side.Result] = pickle.loads((directory / "results").read_bytes())
    return {
        name: [
            result if isinstance(result, str) else keep.restore(decode_body(result))
            for keep, result in zip(kept[name], results[name], strict=True)
        ]
        for name in jobs
    }


def _explore(make: Make) -> _Subject:
    """Find out which annotations the augmenter takes, and what imgaug makes of all of them together."""
    columns = ANNOTATIONS
    expected = _try(make, columns)
    if isinstance(expected, Exception):
        columns = tuple(name for name in ANNOTATIONS if isinstance(_try(make, (name,)), list))
        expected = _try(make, columns)
    if isinstance(expected, Exception):
        return _Subject(make, columns, None, expected)
    return _Subject(make, columns, expected)


def _try(make: Make, columns: tuple[str, ...]) -> list[UnnormalizedBatch] | Exception:
    given = batches_of(columns)
    try:
        return augment_by_imgaug(make, given)
    except Exception as error:
        return error


def _verdict(subject: _Subject, results: list[Any]) -> Verdict:
    if subject.expected is None:
        name = type(subject.error).__name__
        if name in results:
            return Verdict("fails", (), f"{name}: {subject.error}".splitlines()[0])
        return Verdict("differs", (), f"{name} here, but not there")
    refuses = tuple(name for name in ANNOTATIONS if name not in subject.columns)
    different = _difference(results, subject.expected)
    if not different:
        return Verdict("equal", refuses, idle=all(map(_is_idle, subject.expected)))
    for order in (1, -1):
        if _difference(augment_by_imgaug(subject.make, batches_of(subject.columns), order), subject.expected):
            return Verdict("unrepeatable", refuses)
    return Verdict("differs", refuses, different)


def _is_idle(batch: UnnormalizedBatch) -> bool:
    before, after = (
        [getattr(batch, f"{name}_{state}") for name in ("images", *ANNOTATIONS)] for state in ("unaug", "aug")
    )
    return not _difference(after, before)


def is_same(got: list[Any], expected: list[Any]) -> bool:
    """Whether all batches are the same to the bit."""
    return not _difference(got, expected)


def _difference(got: list[Any], expected: list[Any]) -> str:
    try:
        assert_same(got, expected)
    except AssertionError as error:
        return str(error)
    return ""
