"""One thread of everything, seen in processes of their own: limits count when libraries are loaded."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import augfarm.compat  # noqa: F401
from augfarm.protocol import limits, messages
from augfarm.worker.environment import THREAD_VARIABLES, check_threads, describe


def run(code: str, **variables: str) -> str:
    """What the code prints in a process with these variables and without limits of threads."""
    environment = {k: v for k, v in os.environ.items() if k not in THREAD_VARIABLES} | variables
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_entry_point_leaves_one_thread_of_everything() -> None:
    said = run(
        "import augfarm.worker.__main__\n"
        "from augfarm.compat import import_imgaug; import_imgaug()\n"
        "from augfarm.worker.environment import check_threads\n"
        "import cv2, os, threadpoolctl\n"
        "wrong = check_threads()\n"
        "pools = [pool for pool in threadpoolctl.threadpool_info() if pool['num_threads'] != 1]\n"
        "tasks = len(os.listdir('/proc/self/task')) if os.path.isdir('/proc/self/task') else 1\n"
        "print(wrong, pools, cv2.getNumThreads(), tasks, os.environ.get('OPENBLAS_CORETYPE'))",
        OMP_NUM_THREADS="8",
        OPENBLAS_CORETYPE="Haswell",
    )
    assert said == "[] [] 1 1 Haswell"


def test_importing_the_package_does_not_import_numpy() -> None:
    assert run("import sys, augfarm.worker; print('numpy' in sys.modules)") == "False"


def test_a_second_thread_is_noticed() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert sys.platform != "linux" or "threads before it forks" in check_threads()[0]
    finally:
        stop.set()
        thread.join()


def test_a_worker_describes_itself_in_terms_that_the_wire_admits() -> None:
    environment = describe()
    assert environment["pid"] == str(os.getpid())
    assert environment["imgaug"].split()[0] in ("imgaug", "imaug")
    join = messages.Join(limits.PROTOCOL_VERSION, b"t" * 16, "augfarm", 2, environment)
    assert messages.decode(messages.encode(join), messages.FROM_WORKER) == join
