"""The limits of a worker process hold whatever Python does."""

import signal
import subprocess
import sys

import pytest

from augfarm.worker.roster import TIME_LIMIT_SIGNAL, how_it_ended

START = """
import time
from augfarm.worker.guards import limit_memory, time_limit, trace_crashes
trace_crashes()
"""
#: One long call of C code that keeps the GIL: no handler written in Python could run.
BUSY = "sum(range(10**14))"


def run(code):
    return subprocess.run([sys.executable, "-c", START + code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("work", [BUSY, "time.sleep(600)"])
def test_what_takes_too_long_is_killed_and_says_where_it_was(work):
    ended = run(f"def at_work(): {work}\nwith time_limit(0.3): at_work()")
    assert ended.returncode == -signal.SIGALRM
    assert "at_work" in ended.stderr


def test_what_is_in_time_goes_on_and_no_timer_is_left():
    ended = run("with time_limit(0.2): pass\ntime.sleep(0.8)\nwith time_limit(None): print('well')")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "well\n", "")


def test_an_error_inside_ends_the_timer_too():
    ended = run("try:\n    with time_limit(0.2): 1 / 0\nexcept ZeroDivisionError: time.sleep(0.8)")
    assert ended.returncode == 0


def test_a_handler_that_an_augmenter_set_does_not_save_it():
    ended = run(f"import signal; signal.signal(signal.SIGALRM, print)\nwith time_limit(0.2): {BUSY}")
    assert ended.returncode == -signal.SIGALRM


@pytest.mark.skipif(
    sys.platform != "linux", reason="RLIMIT_DATA counts all memory of one's own on Linux alone"
)
def test_memory_beyond_the_limit_is_refused():
    ended = run("limit_memory(2**28)\ntry: bytearray(2**29)\nexcept MemoryError: print('refused')")
    assert (ended.returncode, ended.stdout) == (0, "refused\n")


def test_a_crash_tells_where_it_was():
    ended = run(f"import os\ndef at_work(): os.kill(os.getpid(), {int(signal.SIGSEGV)})\nat_work()")
    assert ended.returncode == -signal.SIGSEGV
    assert "at_work" in ended.stderr


def test_the_signal_is_told_by_the_pool():
    assert "--task-timeout" in how_it_ended(-TIME_LIMIT_SIGNAL)
