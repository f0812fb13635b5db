"""imgaug itself on augfarm: `augmenter.pool()` and `augment_batches(background=True)` run on a farm."""

from __future__ import annotations

from typing import Any

from augfarm.protocol.link import check_address

from .pool import Pool

__all__ = ["Substitution", "use_for_imgaug"]


class Substitution:
    """imgaug.multicore.Pool is augfarm's until :meth:`undo`, or to the end of a ``with`` block."""

    def __init__(self, multicore: Any, replacement: type[Pool]) -> None:
        self._multicore = multicore
        self._original = multicore.Pool
        self._replacement = replacement
        multicore.Pool = replacement

    def undo(self) -> None:
        """Put back what was there. Does nothing if somebody has put another in since, or the second time."""
        if self._multicore.Pool is self._replacement:
            self._multicore.Pool = self._original

    def __enter__(self) -> Substitution:
        return self

    def __exit__(self, *exception: object) -> None:
        self.undo()


def use_for_imgaug(address: str | None = None) -> Substitution:
    """Make imgaug use augfarm wherever it would use its own ``imgaug.multicore.Pool``.

    That is ``augmenter.pool()``, ``augmenter.augment_batches(..., background=True)`` and every
    ``imgaug.multicore.Pool`` that is looked up from now on. Keep the result to undo it, or use ``with``.

    Args:
        address: the client address of a farm that runs, ``tcp://HOST:PORT``; None starts a local farm for
            each pool.

    Raises:
        ValueError: for an address that makes no sense.
        ImportError: where there is no imgaug here; the text says how to install it.
    """
    from augfarm.compat import import_imgaug

    import_imgaug()
    import imgaug.multicore

    where = None if address is None else check_address(address)
    # A class of its own for each call: two substitutions may name different farms.
    replacement = type("Pool", (Pool,), {"_address": where, "__module__": Pool.__module__})
    return Substitution(imgaug.multicore, replacement)
