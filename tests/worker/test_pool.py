"""A pool of real processes against a broker of a few lines: it works, it replaces, and it ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augfarm.protocol.messages import Goodbye, Join, Refused, Result

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfd, /proc and prctl are Linux's")

ALLOW = ("--allow-import", "hostile_augmenters")


def test_processes_join_work_are_replaced_when_killed_and_drain(
    broker: Any, start_worker: Any, flip: bytes, hostile: Any, fifo: Any, images: Any, result_of: Any
) -> None:
    pool = start_worker("--broker", broker.address, "--processes", "2", *ALLOW)
    first, second = broker.admit(0), broker.admit(1)
    assert first.command.token != second.command.token
    assert first.command.credit == 2
    assert {"imgaug", "numpy", "opencv", "host", "python", "pid"} <= first.command.environment.keys()
    assert int(first.command.environment["pid"]) != pool.process.pid

    # It works.
    broker.load(first.peer, flip)
    broker.dispatch(first.peer, flip, 1, images)
    result = broker.expect(Result)
    assert (result.command.ticket, result.command.credit) == (1, 1)
    np.testing.assert_array_equal(result_of(result.body), images[:, ::-1])

    # kill -9 and os._exit: another process comes in its place, as another worker.
    os.kill(int(first.command.environment["pid"]), signal.SIGKILL)
    third = broker.admit(2)
    assert third.command.token not in (first.command.token, second.command.token)
    poison = hostile("exit")
    broker.load(third.peer, poison)
    broker.dispatch(third.peer, poison, 2, images)
    fourth = broker.admit(3)

    # SIGTERM: the batch at work is finished, the one that waits is given back, nothing is lost.
    slow = hostile("finish_when_stopped", fifo.path)
    broker.load(second.peer, slow)
    broker.dispatch(second.peer, slow, 3, images)
    broker.dispatch(second.peer, slow, 4, images)
    fifo.pid_at_work()
    pool.process.terminate()
    result = broker.expect(Result, peer=second.peer)
    assert (result.command.ticket, result.command.credit) == (3, 0)
    for worker in (second, fourth):
        broker.expect(Goodbye, peer=worker.peer)
        broker.send(worker.peer, Goodbye())
    code, said = pool.wait()
    assert code == 0
    assert broker.nothing_else(Result)
    assert broker.nothing_else(Join)
    assert (
        f"worker process {first.command.environment['pid']} was killed by SIGKILL; starting another" in said
    )
    assert "ended with exit code 7; starting another" in said


def test_a_process_is_replaced_after_its_tasks(
    broker: Any, start_worker: Any, flip: bytes, images: Any
) -> None:
    pool = start_worker("--broker", broker.address, "--processes", "1", "--maxtasksperchild", "1")
    pids = set()
    for ticket in range(3):
        join = broker.admit(ticket)
        pids.add(join.command.environment["pid"])
        assert join.command.credit == 1
        broker.load(join.peer, flip)
        broker.dispatch(join.peer, flip, ticket, images)
        assert broker.expect(Result).command.credit == 0
        broker.expect(Goodbye, peer=join.peer)
        broker.send(join.peer, Goodbye())
    assert len(pids) == 3
    last = broker.admit(3)
    pool.process.terminate()
    broker.expect(Goodbye, peer=last.peer)
    broker.send(last.peer, Goodbye())
    assert pool.wait()[0] == 0


def test_everything_ends_with_the_parent_also_while_processes_hold_the_gil_or_are_stopped(
    broker: Any,
    start_worker: Any,
    hostile: Any,
    fifo: Any,
    images: Any,
    tmp_path: Path,
    is_gone: Callable[[int], bool],
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "socket").touch()
    read_end, write_end = os.pipe()
    pool = start_worker(
        *("--broker", broker.address, "--processes", "2", *ALLOW),
        *("--parent-fd", str(read_end), "--scratch", str(scratch)),
        pass_fds=(read_end,),
    )
    os.close(read_end)
    pids = []
    joins = [broker.admit(), broker.admit()]
    for join, mode in zip(joins, ("hold_gil", "stop_itself"), strict=True):
        spec = hostile(mode, fifo.path)
        broker.load(join.peer, spec)
        broker.dispatch(join.peer, spec, 1, images)
        pids.append(fifo.pid_at_work())
    os.close(write_end)
    assert pool.wait()[0] == 0
    assert all(is_gone(pid) for pid in pids)
    assert not scratch.exists()


def test_processes_end_with_a_pool_that_is_killed_and_what_does_not_drain_is_killed(
    broker: Any, start_worker: Any, hostile: Any, fifo: Any, images: Any, is_gone: Callable[[int], bool]
) -> None:
    spec = hostile("hold_gil", fifo.path)
    pools = [
        start_worker("--broker", broker.address, "--processes", "1", "--drain-timeout", "0", *ALLOW)
        for _ in range(2)
    ]
    pids = set()
    for join in [broker.admit() for _ in pools]:
        broker.load(join.peer, spec)
        broker.dispatch(join.peer, spec, 1, images)
        pids.add(fifo.pid_at_work())
    pools[0].process.kill()
    pools[0].wait()
    code, said = pools[1].terminate()
    assert code == 0
    assert "was killed by SIGKILL" in said
    assert all(is_gone(pid) for pid in pids)


def test_a_second_sigterm_stops_a_batch_at_work(
    broker: Any, start_worker: Any, hostile: Any, fifo: Any, images: Any
) -> None:
    pool = start_worker("--broker", broker.address, "--processes", "1", *ALLOW)
    join = broker.admit()
    spec = hostile("go_on_when_stopped", fifo.path)
    broker.load(join.peer, spec)
    broker.dispatch(join.peer, spec, 1, images)
    pid = fifo.pid_at_work()
    os.kill(pid, signal.SIGTERM)
    fifo.pid_at_work()  # it has heard the first
    pool.process.send_signal(signal.SIGINT)
    broker.expect(Goodbye, peer=join.peer)
    code, said = pool.wait()
    assert code == 0
    assert "SIGKILL" not in said
    assert broker.nothing_else(Result)


def test_a_pool_whose_version_is_refused_says_so_once_and_exits_with_3(
    broker: Any, start_worker: Any
) -> None:
    pool = start_worker("--broker", broker.address, "--processes", "1")
    join = broker.expect(Join)
    broker.send(join.peer, Refused("version", "this broker speaks version 2"))
    code, said = pool.wait()
    assert code == 3
    assert said.count("this broker speaks version 2") == 1
    assert "install the same augfarm on both sides" in said
    assert broker.nothing_else(Join)
