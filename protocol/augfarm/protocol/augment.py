"""One batch through one pipeline: the one place that runs imgaug, for workers and for ``client.replay``.

Source: imgaug/multicore.py, ``_Pool_initialize_worker``, ``_Pool_worker`` and ``_reseed_global_local``, with
two differences. Each batch is augmented by a fresh copy of the pipeline, so nothing that an augmenter keeps
leads from one batch to another. And imgaug's global generator is left as it was found.
"""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..compat import imgaug_distribution, import_imgaug
from . import batches, pipelines
from .codec import Tree
from .copies import Template
from .errors import InvalidPipeline
from .seeds import Seed

__all__ = ["Recipe", "import_imgaug", "versions"]

#: Where the kernels are. Only a process that augments needs them, so they live in the worker's room, and this
#: one imports them by name when a pipeline asks for them.
_KERNELS = "augfarm.worker.kernels"

#: What augmenters that are deterministic by hand, without to_deterministic(), take their generator from: it
#: must be the same in every process. All others are seeded anew for each batch.
_LOCALIZE_SEED = 0


class Recipe:
    """A decoded pipeline. Make one for each spec, then call :meth:`augment` for each batch.

    Args:
        spec: from :func:`.pipelines.encode`, or from a peer.
        allow_imports: as in :func:`.pipelines.decode`.

    Raises:
        InvalidPipeline: where the spec describes no augmenter that may and can be made here.
        ImportError: where there is no imgaug here; the text says how to install it.
    """

    def __init__(self, spec: bytes | bytearray | memoryview, *, allow_imports: tuple[str, ...] = ()) -> None:
        self._augmenter = pipelines.decode(spec, allow_imports=allow_imports)
        self.kernels = pipelines.kernels_of(spec)
        with _global_generator(_LOCALIZE_SEED):
            try:
                self._augmenter.localize_random_state_()
            except Exception as error:
                # A spec may give an augmenter other attributes than its code expects.
                raise InvalidPipeline(f"the augmenters do not fit together: {error!r}") from error
        _install_kernels(self._augmenter, self.kernels)
        self._template: Template | None = None
        self._shared: tuple[Any, ...] = ()

    def augment(self, request: Tree, seed: Seed) -> Tree:
        """The batch, augmented. The same request and seed give the same result, whatever went before.

        Args:
            request: a batch as :func:`.batches.unpack_request` takes it. It is not changed.
            seed: what seeds the batch.

        Raises:
            Exception: whatever the augmenter raises, unchanged, and what :mod:`.batches` does.
        """
        batch, wanted = batches.unpack_with_files(request)
        with _global_generator(seed.global_generator()):
            augmenter = self._copy()
            _seed(augmenter, seed.augmenter())
            result = augmenter.augment_batch_(batch)
        return batches.pack_result(result, wanted)

    def __str__(self) -> str:
        """The pipeline for people: a line for each augmenter, its children below it."""
        return "\n".join(_outline(self._augmenter, ""))

    def _copy(self) -> Any:
        """A copy of the pipeline that shares nothing with it but imgaug's global generator."""
        from imgaug.random import get_global_rng

        rng = get_global_rng()
        if self._template is None or self._shared != (rng, rng.generator):
            self._shared = (rng, rng.generator)
            replaced = list(_replaced_generators(self._augmenter))
            self._template = Template(
                self._augmenter,
                self._shared,
                replaced,
                [getattr(each, "generator", None) for each in replaced],
            )
        return self._template.copy()


def _seed(augmenter: Any, entropy: Any) -> None:
    """As ``augmenter.seed_(entropy)``, which copies the generator of each augmenter once more than needed.

    Source: imgaug/augmenters/meta.py, Augmenter.seed_.
    """
    from imgaug.random import RNG

    if not _is_seeded_as_usual(augmenter):
        augmenter.seed_(entropy)
        return
    rng = RNG(entropy)
    children = [child for children in augmenter.get_children_lists() for child in children]
    if not augmenter.deterministic:
        augmenter.random_state = rng.copy() if children else rng  # which deriving others advances
    for child in children:
        _seed(child, rng.derive_rng_())


def _is_seeded_as_usual(augmenter: Any) -> bool:
    from imgaug.augmenters.meta import Augmenter

    return type(augmenter).seed_ is Augmenter.seed_


def _replaced_generators(augmenter: Any) -> Iterator[Any]:
    """The generators of augmenters that :func:`_seed` replaces, so that they need no copy."""
    if not _is_seeded_as_usual(augmenter):
        return
    if not augmenter.deterministic:
        yield augmenter.random_state
    for children in augmenter.get_children_lists():
        for child in children:
            yield from _replaced_generators(child)


def _install_kernels(augmenter: Any, kernels: pipelines.Kernels) -> None:
    """Let the kernels augment that this pipeline admits: to an exact one those that are equal to the bit."""
    try:
        module = importlib.import_module(_KERNELS)
    except ImportError as error:
        if kernels == "exact":  # the same results without them, later
            return
        raise InvalidPipeline(
            f"it asks for kernels 'fast', and there are none here ({error}); use kernels 'exact', or install"
            " augfarm[worker]"
        ) from error
    module.install(augmenter, kernels)


def versions() -> dict[str, str]:
    """The versions here that shape an augmenter's output."""
    import cv2
    import numpy

    return {
        "python": platform.python_version(),
        "imgaug": " ".join(imgaug_distribution()),
        "numpy": numpy.__version__,
        "opencv": cv2.__version__,
        "platform": f"{sys.platform} {platform.machine()}",
    }


def _outline(augmenter: Any, indent: str) -> list[str]:
    name = type(augmenter).__name__
    children = [child for children in augmenter.get_children_lists() for child in children]
    if children:
        shown = name if augmenter.name in (None, f"Unnamed{name}") else f"{name} {augmenter.name!r}"
    else:  # as imgaug shows it, without what nearly all have
        shown = str(augmenter).replace(f"name=Unnamed{name}, ", "").replace(", deterministic=False", "")
    return [indent + shown, *(line for child in children for line in _outline(child, indent + "  "))]


@contextmanager
def _global_generator(seed: Any) -> Iterator[None]:
    """imgaug's global generator seeded with this inside, and afterwards as it was."""
    import imgaug.random

    before = imgaug.random.get_global_rng().state
    imgaug.random.seed(seed)
    try:
        yield
    finally:
        imgaug.random.get_global_rng().state = before
