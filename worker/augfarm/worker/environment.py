"""What surrounds an augmenter: one thread of everything, and the versions that shape its output.

:func:`limit_threads` must be called before numpy is imported, so this module imports nothing that imports it.
"""

from __future__ import annotations

import os
import socket

__all__ = ["check_threads", "describe", "limit_threads"]

#: What BLAS and OpenMP libraries read when they are loaded. imgaug's Pool limits OpenCV only: with two
#: workers on two cores the tutorial's pipeline took it 650 to 1,570 ms a batch, and 190 to 210 with BLAS
#: limited as well.
#: OPENBLAS_CORETYPE stays as it is: another kernel gives other pixels.
THREAD_VARIABLES = (
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

#: The threads of a process, on Linux.
TASKS = "/proc/self/task"


def limit_threads() -> None:
    """Let BLAS and OpenMP use one thread in this process and its children.

    Call it before numpy is imported: the libraries read the environment when they are loaded.
    """
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"


def check_threads() -> list[str]:
    """Switch OpenCV's threads off, and look whether this process has but one.

    Call it once everything is imported, before the process forks.

    Returns:
        What is wrong, a sentence each; empty where all is well.
    """
    import cv2

    wrong: list[str] = []
    cv2.setNumThreads(0)
    if cv2.getNumThreads() > 1:
        wrong.append(f"OpenCV still uses {cv2.getNumThreads()} threads in each worker process")
    if os.path.isdir(TASKS):
        threads = len(os.listdir(TASKS))
        if threads > 1:
            wrong.append(
                f"this process has {threads} threads before it forks, so worker processes may hang or compete"
                " for cores: does a module of --allow-import start threads, or was numpy imported before"
                " augfarm.worker?"
            )
    return wrong


def describe() -> dict[str, str]:
    """What this worker says of itself when it joins: its versions, its host and its process id."""
    from augfarm.protocol.augment import versions

    return {**versions(), "host": socket.gethostname(), "pid": str(os.getpid())}
