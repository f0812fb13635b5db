"""What a pipeline does, to look at: a contact sheet of an image's variants, made on a farm.

A variant is made as ``Client(pipeline, seed=K, seeding="batch")`` makes its first batch, and so has the seed
K: it gives the same picture again, on any farm. Each pipeline gets a client of its own for as long as it
takes, beside the caller's, whose numbers and seeds stay as they are.
"""

from __future__ import annotations

import io
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from augfarm.protocol import batches as batch_forms
from augfarm.protocol.errors import AugfarmError, FarmUnavailable
from augfarm.protocol.seeds import SEED_MAX

from ..arguments import check_whole
from ..outcomes import FailedBatch
from .drawing import Picture, picture_of, pillow
from .layout import Cell, Row, most_pixels, sheet_of
from .levels import Levels
from .marks import fields_of, images_of, marks_of
from .parts import parts
from .pictures import decode

if TYPE_CHECKING:
    from ..client import Client

__all__ = ["Host", "Sheet", "Told", "Wish", "form_of", "preview", "rows_of", "show"]

#: More pictures than this are no sheet that anybody reads.
MOST_CELLS = 2000
#: How often a preview that waits looks whether the farm can still work, in seconds.
LOOK_S = 1.0
#: About how many bytes of batches may be under way at once; at least two batches always are.
UNDER_WAY_BYTES = 512 * 2**20


#: Of JPEG and WebP: text stays clear.
QUALITY = 90
#: By a file's ending: Pillow's name of its form, and how many pixels a side that can have.
_FORMS = {
    ".png": ("PNG", 2**31 - 1),
    ".jpg": ("JPEG", 65_500),
    ".jpeg": ("JPEG", 65_500),
    ".webp": ("WEBP", 16_383),
    ".bmp": ("BMP", 2**31 - 1),
    ".tif": ("TIFF", 2**31 - 1),
    ".tiff": ("TIFF", 2**31 - 1),
}


class Sheet(np.ndarray[Any, np.dtype[np.uint8]]):
    """A contact sheet: an array (H,W,3) of uint8 that a notebook shows as a picture."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, in the form that the name's ending says: .png, .jpg, .webp, .bmp or .tiff.

        Raises:
            ValueError: for another ending, or a sheet that is too large for that form.
            OSError: where it cannot be written.
        """
        kind, most = form_of(path)
        if max(self.shape[:2]) > most:
            size = f"{self.shape[1]}×{self.shape[0]}"
            raise ValueError(f"a sheet of {size} pixels is too large for {kind}: write a .png")
        pillow().fromarray(np.ascontiguousarray(self)).save(path, kind, quality=QUALITY)

    def _repr_png_(self) -> bytes | None:
        """For notebooks; None for what is cut out of a sheet and is no picture."""
        if self.ndim != 3 or self.shape[2] != 3 or self.size == 0:
            return None
        octets = io.BytesIO()
        pillow().fromarray(np.ascontiguousarray(self)).save(octets, "png")
        return octets.getvalue()


def form_of(path: str | os.PathLike[str]) -> tuple[str, int]:
    """Pillow's name of the form that a file's ending says, and how many pixels a side that form can have.

    Raises:
        ValueError: for an ending that says none.
    """
    ending = os.path.splitext(os.fspath(path))[1].lower()
    if ending not in _FORMS:
        raise ValueError(f"{os.fspath(path)}: expected a name that ends with one of {', '.join(_FORMS)}")
    return _FORMS[ending]


@dataclass(frozen=True)
class Host:
    """The client for which a preview is made.

    Attributes:
        spec, address, keys: its pipeline, its broker, and what it proves itself with.
        timeout: as it was told to be.
        refusal: says why its farm cannot work, or None.
    """

    spec: bytes
    address: str
    keys: str | os.PathLike[str] | None = None
    timeout: float | None = None
    refusal: Callable[[], AugfarmError | None] = lambda: None

    @staticmethod
    def of(client: Client) -> Host:
        """The host that this client is."""
        refusal = client._service.refusal
        return Host(client._spec, client.address, client._keys, client._timeout, refusal)


@dataclass(frozen=True)
class Wish:
    """What is to be seen.

    Attributes:
        seeds: of the variants, counting up.
        images: how many of a batch's images.
        each: show every augmenter of the pipeline by itself, too.
        width: of the sheet, in pixels, about.

    Raises:
        ValueError: for numbers that make no sense.
    """

    seeds: range = range(1, 9)
    images: int = 4
    each: bool = False
    width: int = 1600

    @staticmethod
    def of(variants: int, seed: int | None, images: int, each: bool, width: int) -> Wish:
        """As users say it: `seed` shows that one alone, otherwise there are the seeds from 1."""
        check_whole("variants", variants, 1, MOST_CELLS)
        check_whole("images", images, 1, MOST_CELLS)
        check_whole("width", width, 200, 20_000)
        if seed is not None:
            check_whole("seed", seed, 0, SEED_MAX)
            return Wish(range(int(seed), int(seed) + 1), int(images), each, int(width))
        return Wish(range(1, int(variants) + 1), int(images), each, int(width))


@dataclass
class Told:
    """What there is to say of a preview besides its pictures: the errors of variants that failed."""

    errors: list[str] = field(default_factory=list)
    #: Called when a variant is done, or failed.
    advance: Callable[[], None] = lambda: None


def preview(
    client: Client, batch: Any, variants: int, seed: int | None, images: int, each: bool, width: int
) -> Sheet:
    """The sheet of one batch; see :meth:`augfarm.client.Client.preview`."""
    wish = Wish.of(variants, seed, images, each, width)
    return show(rows_of(Host.of(client), batch, wish, Told()), wish.width)


def show(rows: Sequence[Row], width: int) -> Sheet:
    """The rows as one sheet."""
    return sheet_of(rows, width).view(Sheet)


def rows_of(host: Host, batch: Any, wish: Wish, told: Told, names: Sequence[str] = ()) -> list[Row]:
    """The rows of one batch: for each image the source and its variants; with `each` for each augmenter, too.

    Args:
        batch: in any form that ``Client.imap_batches`` takes, with images.
        told: takes in what failed.
        names: of the images; without them they are numbered.

    Raises:
        InvalidBatch, ValueError: for a batch that cannot be shown.
        FarmUnavailable, FarmRefused: as the farm's client does.
    """
    batch_forms.pack(batch, 0)  # complains before anything is started
    fields = fields_of(batch)
    images = images_of(fields)
    chosen = range(min(len(images), wish.images))
    subjects = _subjects(host.spec, wish.each)
    cells = len(subjects) * len(chosen) * (1 + len(wish.seeds))
    if cells > MOST_CELLS:
        raise ValueError(
            f"a sheet of {cells} pictures, more than {MOST_CELLS}: ask for fewer images or variants"
        )
    most = most_pixels(cells, wish.width)
    sources = [
        decode(image) if not isinstance(image, np.ndarray) else image for image in images[: len(chosen)]
    ]
    levels = [Levels.of(source) for source in sources]
    shown = [picture_of(sources[i], marks_of(fields, i), levels[i], most) for i in chosen]
    facts = [_facts(sources[i], levels[i]) for i in chosen]
    sizes = [source.nbytes for source in sources]
    del sources  # huge ones are not held beside their copies under way
    buffer = max(2, min(64, UNDER_WAY_BYTES // max(1, sum(sizes) * len(images) // len(chosen))))
    rows: list[Row] = []
    for subject in subjects:
        variants = _variants(host, subject.spec, batch, wish.seeds, buffer)
        made = _cells(variants, levels, [picture.size for picture in shown], most, told)
        for i in chosen:
            name = names[i] if i < len(names) else f"image {i}"
            heading, note = subject.titles(name if len(chosen) > 1 or not subject.name else "", facts[i])
            rows.append(Row([Cell("source", shown[i]), *made[i]], heading, note))
    return rows


@dataclass(frozen=True)
class _Subject:
    """A pipeline that is shown: the whole one, whose name is "", or one augmenter of it."""

    spec: bytes
    name: str = ""
    note: str = ""

    def titles(self, image: str, facts: str) -> tuple[str, str]:
        """The heading and note of its row; `image` is the image's name, or "" where it needs none."""
        if not self.name:
            return image, self.note + facts
        return (f"{self.name} on {image}" if image else self.name), self.note


def _subjects(spec: bytes, each: bool) -> list[_Subject]:
    found = [_Subject(spec, note="the whole pipeline: " if each else "")]
    for number, part in enumerate(parts(spec) if each else (), 1):
        place = f"in {' > '.join(part.place)}: " if part.place else ""
        found.append(
            _Subject(part.spec, f"{number}. {part.name}", place + (part.parameters or "no parameters"))
        )
    return found


def _facts(image: np.ndarray[Any, Any], levels: Levels) -> str:
    channels = image.shape[2] if image.ndim == 3 else 1
    text = f"{image.shape[1]}×{image.shape[0]}, {channels} channel{'s' * (channels != 1)} of {image.dtype}"
    if image.dtype in (np.uint8, np.bool_):
        return text
    return f"{text}; black is {levels.black:g}, white is {levels.white:g}"


def _cells(
    variants: Iterator[tuple[int, Any]],
    levels: Sequence[Levels],
    sizes: Sequence[tuple[int, int]],
    most: int,
    told: Told,
) -> list[list[Cell]]:
    """For each shown image its variants. They are made small as they come: the results may be huge."""
    made: list[list[Cell]] = [[] for _ in levels]
    for seed, result in variants:
        if isinstance(result, FailedBatch):
            text = _in_short(result.error)
            told.errors.append(text)
            for cells in made:
                cells.append(Cell(f"seed {seed}", text))
        else:
            fields = fields_of(result, "aug")
            images = images_of(fields)
            for i, cells in enumerate(made):
                picture = picture_of(images[i], marks_of(fields, i), levels[i], most)
                cells.append(Cell(_caption(seed, picture, sizes[i]), picture))
        told.advance()
    return made


def _caption(seed: int, picture: Picture, source: tuple[int, int]) -> str:
    if picture.size == source:
        return f"seed {seed}"
    return f"seed {seed}: {picture.size[0]}×{picture.size[1]}"


def _in_short(error: AugfarmError) -> str:
    kind, text = getattr(error, "exception_type", None), getattr(error, "exception_text", None)
    return f"{kind}: {text}" if kind else str(error)


def _variants(host: Host, spec: bytes, batch: Any, seeds: range, buffer: int) -> Iterator[tuple[int, Any]]:
    """The batch augmented with each seed, or a FailedBatch."""
    from ..client import Client  # only here: it imports this module

    with Client(spec, host.address, keys=host.keys, seed=seeds[0], seeding="batch", timeout=LOOK_S) as guest:
        results = guest.imap_batches(itertools.repeat(batch, len(seeds)), buffer, start=0, on_error="return")
        for seed in seeds:
            yield seed, _next(results, host)


def _next(results: Iterator[Any], host: Host) -> Any:
    """The next result. Unlike the client that it comes from, it waits as the host does."""
    began = time.monotonic()
    while True:
        try:
            return next(results)
        except FarmUnavailable:
            refusal = host.refusal()
            if refusal is not None:
                raise refusal from None
            if host.timeout is not None and time.monotonic() - began >= host.timeout:
                raise
