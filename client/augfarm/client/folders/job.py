"""One run: batches out of a folder, and what comes back into another."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from augfarm.protocol.errors import AugfarmError, BatchPoisoned
from augfarm.protocol.images import EncodedImage

from ..outcomes import FailedBatch, PartialBatch
from .annotations.bundle import AnnotationError, columns_of, results_of
from .annotations.form import Form
from .failures import Failures, reason_of
from .listing import Missed, list_images
from .manifest import Done, Entry, Manifest
from .names import output_name, stem_of
from .opening import Opened, Opener
from .plan import Item, Unit, units_of
from .writing import InTheWay, Writer

__all__ = ["Job", "Order", "Step"]


@dataclass(frozen=True)
class Order:
    """What a run is to do; see `augfarm run --help`.

    Attributes:
        left_out: folders below SRC that hold no images to augment.
    """

    src: str
    copies: int
    batch_size: int
    format: str | None = None
    quality: int | None = None
    rgb: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """What one result brought: copies that are done, and how many of these failed."""

    copies: int
    failed: int


@dataclass
class _Loaded:
    """A batch on its way.

    Attributes:
        unit: what it should be.
        sent: what of it is, with its position in the unit.
        done: what of it is not, by position.
        ours: outputs that an earlier run of the manifest wrote, and that may be replaced.
    """

    unit: Unit
    sent: list[tuple[int, Opened]]
    done: dict[int, Done]
    ours: frozenset[str]


class Job:
    """The batches of a run, and what is done with their results.

    :meth:`batches` is for the thread that loads, the rest for one other thread.

    Args:
        order: what to do.
        manifest: of DST.
        writer: into DST.
        forms: of annotations.
    """

    def __init__(self, order: Order, manifest: Manifest, writer: Writer, forms: Sequence[Form] = ()) -> None:
        self._order = order
        self._manifest = manifest
        self._writer = writer
        self._forms = tuple(forms)
        self._opener = Opener(order.src, order.format, order.quality, order.rgb, self._forms)
        self._opened: Opened | None = None
        #: Batches of which nothing could be sent; the other thread writes them down.
        self._empty: deque[_Loaded] = deque()
        self.failures = Failures()
        #: Copies that an earlier run did.
        self.done_before = 0
        #: Outputs of this run, and of those before it. Each is counted by one thread alone.
        self.written = 0
        self.written_before = 0
        for form in self._forms:
            self._claim(form)

    # --- out -----------------------------------------------------------------------------------------------

    def batches(self) -> Iterator[dict[str, Any]]:
        """The batches that are not done yet, for a client; :meth:`number` numbers them.

        Raises:
            ManifestError: where the folder is not what the manifest says that it was.
        """
        order = self._order
        by_stem = order.format is not None or any(form.by_stem for form in self._forms)
        found = list_images(order.src, key=stem_of if by_stem else str, left_out=order.left_out)
        for unit in units_of(found, order.copies, order.batch_size):
            if isinstance(unit, Missed):
                self.failures.add(unit.path, unit.reason)
                continue
            before = self._manifest.entry(unit)
            if before is not None and self._stands(before):
                self.done_before += len(before.items)
                self.written_before += self._tally(before)
                continue
            loaded = self._load(unit, before)
            if not loaded.sent:
                self._empty.append(loaded)
                continue
            images = [opened.image for _, opened in loaded.sent]
            yield {"images": images, **columns_of([o.bundle for _, o in loaded.sent]), "loaded": loaded}

    def number(self, batch: dict[str, Any]) -> int:
        """The number of one of these batches, which seeds it."""
        index: int = batch["loaded"].unit.index
        return index

    def _stands(self, entry: Entry) -> bool:
        """Whether its outputs are there, and nothing in it is worth another try."""
        for item, done in entry.items:
            if done.passing:
                return False
            if done.size is not None:
                files = [(self._output(item), done.size), *(done.annotations or {}).get("files", ())]
                if any(self._writer.size_of(path) != size for path, size in files):
                    return False
        return True

    def _load(self, unit: Unit, before: Entry | None) -> _Loaded:
        ours: set[str] = set()
        for item, done in before.items if before is not None else ():
            ours.add(self._output(item))
            ours.update(path for path, _ in (done.annotations or {}).get("files", ()))
        loaded = _Loaded(unit, [], {}, frozenset(ours))
        for position, item in enumerate(unit.items):
            if self._opened is None or self._opened.source != item.source:
                self._opened = self._opener.open(item.source)
            if self._opened.failed is not None:
                loaded.done[position] = self._opened.failed
            else:
                loaded.sent.append((position, self._opened))
        return loaded

    # --- in ------------------------------------------------------------------------------------------------

    def take(self, result: Any) -> Step:
        """Write what came back for a batch.

        Args:
            result: of ``imap_batches_unordered(..., on_error="return")``.

        Raises:
            InTheWay: where another's file is in an output's place.
            OSError: where files cannot be written. The batch is not written down as done then.
        """
        errors: dict[int, AugfarmError] = {}
        kept: tuple[int, ...] = ()
        if isinstance(result, FailedBatch):
            batch = result.batch
            errors = dict.fromkeys(range(len(batch["loaded"].sent)), result.error)
        elif isinstance(result, PartialBatch):
            batch, kept, errors = result.batch, result.kept, result.errors
        else:
            batch, kept = result, tuple(range(len(result["loaded"].sent)))
        loaded: _Loaded = batch["loaded"]
        for position, error in errors.items():
            passing = isinstance(error, BatchPoisoned)  # whoever killed the workers, it may have been another
            loaded.done[loaded.sent[position][0]] = Done(None, reason_of(error), passing)
        for row, position in enumerate(kept):
            place, opened = loaded.sent[position]
            loaded.done[place] = self._write(loaded, place, opened, batch, row)
        return self._write_down(loaded)

    def take_empty(self) -> list[Step]:
        """Write down the batches of which nothing could be sent so far."""
        return [self._write_down(self._empty.popleft()) for _ in range(len(self._empty))]

    def finish(self) -> None:
        """Write the annotations that go into one file; only when all batches are done."""
        for form in self._forms:
            if form.last is not None:
                later = partial(self._later, form.name)
                self._writer.write_by(form.last, partial(form.fill, later), replace=True)

    def _later(self, name: str) -> Iterator[Any]:
        for entry in self._manifest.entries():
            for _, done in entry.items:
                if done.annotations is not None and name in done.annotations:
                    yield done.annotations[name]

    def _write(self, loaded: _Loaded, place: int, opened: Opened, batch: dict[str, Any], row: int) -> Done:
        item = loaded.unit.items[place]
        image: EncodedImage = batch["images"][row]
        output = self._output(item)
        files: list[tuple[str, bytes]] = []
        annotations: dict[str, Any] = {}
        if opened.bundle is not None:
            try:
                augmented = results_of(batch, row, opened.bundle, image.shape)
                for form, token in zip(self._forms, opened.tokens, strict=True):
                    if token is not None:
                        written = form.write(item.source.path, item.copy, output, token, augmented)
                        files += written.files
                        if written.later is not None:
                            annotations[form.name] = written.later
            except AnnotationError as error:
                return Done(None, str(error))
        for path, octets in files:
            self._writer.write(path, octets, replace=path in loaded.ours)
        self._writer.write(output, image.octets, replace=output in loaded.ours)
        if files:
            annotations["files"] = [[path, len(octets)] for path, octets in files]
        return Done(len(image.octets), annotations=annotations or None)

    def _write_down(self, loaded: _Loaded) -> Step:
        items = tuple((item, loaded.done[place]) for place, item in enumerate(loaded.unit.items))
        entry = Entry(loaded.unit.index, items)
        self._manifest.add(entry)
        written = self._tally(entry)
        self.written += written
        return Step(len(items), len(items) - written)

    def _tally(self, entry: Entry) -> int:
        """Note what failed; returns how many did not."""
        for item, done in entry.items:
            if done.size is None:
                self.failures.add(item.source.path, done.reason, item.copy)
        return sum(done.size is not None for _, done in entry.items)

    def _claim(self, form: Form) -> None:
        """See that the file which is written at the end is nobody else's, before work begins."""
        if form.last is None or form.last in self._manifest.claimed:
            return
        if self._writer.size_of(form.last) is not None:
            raise InTheWay(
                f"{form.last} is in DST already, and not of this run: take it away, or choose another DST"
            )
        self._manifest.claim(form.last)

    def _output(self, item: Item) -> str:
        return output_name(item.source.path, item.copy, self._order.format)
