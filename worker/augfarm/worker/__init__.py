"""The worker: one process that augments batches, and the pool that keeps N of them alive.

Nothing here imports numpy, so that ``limit_threads()`` can come before it.
"""

from .environment import limit_threads

__all__ = ["limit_threads"]
