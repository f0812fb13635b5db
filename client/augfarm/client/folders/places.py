"""SRC and DST: what must be so before work begins."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .names import shown

__all__ = ["OWN_FOLDER", "Places", "check_places"]

#: The folder in DST for the manifest, the report, and what is not whole yet.
OWN_FOLDER = ".augfarm"


@dataclass(frozen=True)
class Places:
    """The folders of a run."""

    src: Path
    dst: Path

    @property
    def own(self) -> Path:
        """Where the run keeps what is its own."""
        return self.dst / OWN_FOLDER

    @property
    def manifest(self) -> Path:
        """What was done."""
        return self.own / "manifest.jsonl"

    @property
    def report(self) -> Path:
        """What could not be done."""
        return self.own / "report.json"

    @property
    def aside(self) -> Path:
        """Files that are not whole yet."""
        return self.own / "aside"


def check_places(src: str, dst: str) -> Places:
    """The folders, DST made where it is not there.

    Raises:
        ValueError: where they cannot be these; nothing was made then.
    """
    source, target = Path(src).resolve(), Path(dst).resolve()
    if not source.is_dir():
        what = "is no folder" if source.exists() else "is not there"
        raise ValueError(f"SRC {shown(src)} {what}: expected a folder of images")
    try:
        os.scandir(source).close()
    except OSError as error:
        raise ValueError(f"SRC {shown(src)} cannot be read: {error.strerror}") from None
    if source == target:
        raise ValueError("SRC and DST are the same folder: choose another DST")
    if source in target.parents:
        raise ValueError(
            f"DST {shown(dst)} is inside of SRC, and would be augmented itself: choose another DST"
        )
    if target in source.parents:
        raise ValueError(f"SRC {shown(src)} is inside of DST: choose another DST")
    places = Places(source, target)
    if target.exists() and not target.is_dir():
        raise ValueError(f"DST {shown(dst)} is a file: expected a folder, or a name that is free")
    try:
        os.makedirs(places.own, exist_ok=True)
        with tempfile.TemporaryFile(dir=places.own):
            pass
    except OSError as error:
        raise ValueError(f"DST {shown(dst)} cannot be written to: {error.strerror}") from None
    return places
