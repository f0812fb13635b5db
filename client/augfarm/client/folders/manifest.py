"""What a run has done: one line of JSON for each batch, appended when its files are all there.

The first line says what the run is. A batch's line names its copies, the size of each output, why there is
none where there is none, and what of it belongs into files of annotations that are written at the end. Lines
come in any order; of two for one batch the later counts. A last line that was cut off is not there.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augfarm.protocol.seeds import IMGAUG_SEED_MAX

from .listing import Source
from .names import shown
from .plan import Item, Unit

__all__ = ["Done", "Entry", "Manifest", "ManifestError"]

#: The form of the file; another one is refused.
VERSION = 1


class ManifestError(ValueError):
    """The manifest does not go with this run; the text says why."""


@dataclass(frozen=True)
class Done:
    """What became of one copy.

    Attributes:
        size: of the output in bytes, or None where there is none.
        reason: why there is none.
        passing: whether that may be otherwise another time.
        annotations: what of it belongs into files that are written at the end, by kind.
    """

    size: int | None
    reason: str = ""
    passing: bool = False
    annotations: dict[str, Any] | None = None


@dataclass(frozen=True)
class Entry:
    """A batch that is done: each copy, and what became of it."""

    index: int
    items: tuple[tuple[Item, Done], ...]


class Manifest:
    """An open manifest. Safe to use from several threads.

    Args:
        path: of the file.
        settings: what decides about the outputs. On a manifest that is there they must be what they were; a
            seed of None is that of before, or drawn where there is none.
        resume: whether there may be one.

    Raises:
        ManifestError: where there is one that may not be, or that is of another run, or in use.
        OSError: where it cannot be written.
    """

    def __init__(self, path: Path, settings: dict[str, Any], *, resume: bool) -> None:
        self._path = path
        self._lock = threading.Lock()
        #: Files below DST that are written at the end, and nobody else's.
        self.claimed: set[str] = set()
        #: Where each batch's line begins.
        self._offsets: dict[int, int] = {}
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o666)
        try:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ManifestError(f"{path.parent.parent} is in use by another run") from None
            self._end, first = self._read()
            if first is None or not (resume or self._offsets):  # nothing was done by it
                self.claimed.clear()
                os.ftruncate(self._descriptor, 0)
                self._end = 0
                if settings["seed"] is None:
                    settings = {**settings, "seed": secrets.randbelow(IMGAUG_SEED_MAX)}
                self.settings = settings
                self._append({"augfarm-run": VERSION, "settings": settings})
            elif not resume:
                raise ManifestError(
                    f"{path.parent.parent} holds a run already: --resume goes on with it; "
                    "or choose another DST"
                )
            else:
                self.settings = _same(first, settings, path)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __len__(self) -> int:
        return len(self._offsets)

    def entry(self, unit: Unit) -> Entry | None:
        """What became of this batch, or None where it is not done.

        Raises:
            ManifestError: where another batch than this had its number.
        """
        found = self._entry(unit.index)
        if found is not None:
            for (was, _), item in zip(found.items, unit.items, strict=False):
                if was != item:
                    raise ManifestError(_difference(was, item))
            if len(found.items) != len(unit.items):
                raise ManifestError(f"{_CHANGED}: there were {len(found.items)} images in its last batch")
        return found

    def add(self, entry: Entry) -> None:
        """Write down that a batch is done, after its files are there."""
        items = [
            [
                item.source.path,
                item.source.size,
                item.source.modified,
                item.copy,
                done.size,
                done.reason,
                done.passing,
                done.annotations,
            ]
            for item, done in entry.items
        ]
        offset = self._append({"batch": entry.index, "items": items})
        self._offsets[entry.index] = offset

    def claim(self, path: str) -> None:
        """Note that a file below DST is this run's, which will write it at its end."""
        self._append({"claimed": path})
        self.claimed.add(path)

    def entries(self) -> Iterator[Entry]:
        """All batches that are done, by their numbers."""
        for index in sorted(self._offsets):
            entry = self._entry(index)
            assert entry is not None
            yield entry

    def close(self) -> None:
        """Leave it to others."""
        os.close(self._descriptor)

    # --- inside --------------------------------------------------------------------------------------------

    def _read(self) -> tuple[int, dict[str, Any] | None]:
        """Note where lines begin. Returns where the last whole one ends, and the first one."""
        first: dict[str, Any] | None = None
        offset = 0
        with open(self._descriptor, "rb", closefd=False) as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                found = _parsed(line)
                if offset == 0:
                    if not isinstance(found, dict) or "augfarm-run" not in found:
                        raise ManifestError(f"{self._path} is no manifest of augfarm run")
                    first = found
                elif isinstance(found, dict) and isinstance(found.get("batch"), int):
                    self._offsets[found["batch"]] = offset
                elif isinstance(found, dict) and isinstance(found.get("claimed"), str):
                    self.claimed.add(found["claimed"])
                offset += len(line)
        os.ftruncate(self._descriptor, offset)
        return offset, first

    def _entry(self, index: int) -> Entry | None:
        offset = self._offsets.get(index)
        if offset is None:
            return None
        with open(self._path, "rb") as file:
            file.seek(offset)
            found = json.loads(file.readline())
        items = tuple(
            (Item(Source(path, size, modified), copy), Done(*done))
            for path, size, modified, copy, *done in found["items"]
        )
        return Entry(index, items)

    def _append(self, line: dict[str, Any]) -> int:
        octets = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            offset = self._end
            done = 0
            try:
                while done < len(octets):
                    done += os.pwrite(self._descriptor, octets[done:], offset + done)
            except BaseException:  # a full disk: nothing of it, so that what follows is readable
                os.ftruncate(self._descriptor, offset)
                raise
            self._end = offset + len(octets)
        return offset


_CHANGED = "SRC is not what it was when this run began"


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _difference(was: Item, now: Item) -> str:
    if was.source.path != now.source.path:
        what = f"{shown(now.source.path)} stands where {shown(was.source.path)} stood"
    else:
        what = f"{shown(now.source.path)} has another size or time of change"
    return f"{_CHANGED}: {what}. Put it back as it was, or begin anew in another DST"


def _same(first: dict[str, Any], settings: dict[str, Any], path: Path) -> dict[str, Any]:
    """The settings of before, where these are the same."""
    if first["augfarm-run"] != VERSION:
        raise ManifestError(f"{path} is of another version of augfarm")
    before: dict[str, Any] = first["settings"]
    if settings["seed"] is None:
        settings = {**settings, "seed": before.get("seed")}
    names = [name for name in {**before, **settings} if before.get(name) != settings.get(name)]
    if names:
        differences = ", ".join(
            f"{name} was {_said(before.get(name))} and is {_said(settings.get(name))}" for name in names
        )
        raise ManifestError(f"{path.parent.parent} holds another run: {differences}")
    return before


def _said(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 24 else text[:12] + "…" + text[-8:]
