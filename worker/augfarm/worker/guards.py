"""What ends a worker process that a batch will not let go, and what tells where it was.

The limits hold whatever the augmenter does, also in C code that keeps the GIL: the kernel enforces them. The
process dies, and the broker counts an attempt of the batch at work.
"""

from __future__ import annotations

import faulthandler
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from .roster import TIME_LIMIT_SIGNAL

__all__ = ["limit_memory", "time_limit", "trace_crashes"]

#: The stacks are written at the limit, and the process is killed so much later, in seconds.
TRACE_TIME_S = 0.2
#: Standard error. Not sys.stderr, which an augmenter may have replaced.
_STDERR = 2


def trace_crashes() -> None:
    """Let a crash (SIGSEGV and its like) write the Python stack to standard error before the process dies."""
    faulthandler.enable(_STDERR)


def limit_memory(octets: int) -> None:
    """Let this process and its children have so much memory of their own (data; Linux: RLIMIT_DATA).

    Beyond it an allocation fails: Python and numpy raise MemoryError, and a library that does not look ends
    the process.

    Raises:
        OSError, ValueError: where the system does not let it.
    """
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = octets if most == resource.RLIM_INFINITY else min(octets, most)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """End this process if what is inside takes longer, after its stacks were written to standard error.

    A timer of the kernel's and the signal's default action: no Python has to run for it.
    """
    if seconds is None:
        yield
        return
    signal.signal(TIME_LIMIT_SIGNAL, signal.SIG_DFL)  # an augmenter may have set a handler
    signal.setitimer(signal.ITIMER_REAL, seconds + TRACE_TIME_S)
    faulthandler.dump_traceback_later(seconds, file=_STDERR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0.0)
