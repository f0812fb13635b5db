"""One worker process with an engine that only repeats, against a broker of a few lines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from augfarm.protocol.messages import Dispatch, Failed, Forget, Goodbye, Join, Pipeline, Refused, Result

#: Says what the service asks of its engine, and repeats what it is given. Without the waits of real life.
SCRIPT = """
import logging, sys
from augfarm.worker import session
session.FIRST_NOTICE_S = session.NEXT_NOTICE_S = session.REFUSED_WAIT_S = 0.05
from augfarm.worker.events import BatchAugmented, BatchFailed
from augfarm.worker.service import Service, WorkerSettings

class Engine:
    def load(self, digest, body): print("load", digest[:1], bytes(body[0]), flush=True)
    def forget(self, digest): print("forget", digest[:1], flush=True)
    def forget_all(self): print("forget all", flush=True)
    def augment(self, work):
        if bytes(work.body[0]) == b"fail":
            return BatchFailed(work.ticket, "raised", "ValueError", "no", "Traceback")
        return BatchAugmented(work.ticket, list(work.body), 0.25)

logging.basicConfig(level="INFO", stream=sys.stdout, format="%(levelname)s %(message)s")
settings = WorkerSettings(sys.argv[1], None, {"python": "3"})
sys.exit(Service(settings, Engine()).run())
"""
DIGEST = b"d" * 32


@pytest.fixture
def worker(broker: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, broker.address], stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def leave(broker: Any, peer: bytes, worker: subprocess.Popen[str]) -> str:
    """Ends the worker as planned; what it said."""
    worker.terminate()
    broker.expect(Goodbye, peer=peer)
    broker.send(peer, Goodbye())
    said, _ = worker.communicate(timeout=90)
    assert worker.returncode == 0
    return said


def test_it_obeys_in_order_and_answers(broker: Any, worker: subprocess.Popen[str]) -> None:
    peer = broker.admit(4).peer
    broker.send(peer, Pipeline(DIGEST), b"spec")
    broker.send(peer, Dispatch(1, 0, 0, "worker", DIGEST), b"table", b"x" * 100_000)
    broker.send(peer, Dispatch(2, 1, 0, "worker", DIGEST), b"fail")
    result, failed = broker.expect(Result), broker.expect(Failed)
    assert result.command == Result(1, 1, 0.25)
    assert result.body == [b"table", b"x" * 100_000]
    assert failed.command == Failed(2, 1, "raised", "ValueError", "no", "Traceback")
    broker.send(peer, Forget(DIGEST))
    broker.send(peer, Dispatch(3, 2, 0, "worker", DIGEST), b"table")
    broker.expect(Result)
    said = leave(broker, peer, worker)
    assert "joined as worker 4" in said
    assert said.index("load b'd' b'spec'") < said.index("forget b'd'")


def test_a_broker_that_comes_back_finds_the_same_session_with_nothing_left_over(
    broker: Any, worker: subprocess.Popen[str]
) -> None:
    first = broker.admit()
    broker.send(first.peer, Dispatch(9, 0, 0, "batch", DIGEST), b"table")
    broker.expect(Result)
    broker.restart()
    again = broker.admit()
    assert again.command.token == first.command.token
    assert again.command.credit == 2
    broker.send(again.peer, Dispatch(9, 0, 0, "batch", DIGEST), b"table")
    assert broker.expect(Result).command.ticket == 9
    said = leave(broker, again.peer, worker)
    assert "INFO lost the broker" in said
    assert "forget all" in said


@pytest.mark.parametrize("code", ["replaced", "full"])
def test_a_worker_refused_for_now_comes_back_as_another(
    broker: Any, worker: subprocess.Popen[str], code: str
) -> None:
    first = broker.expect(Join)
    broker.send(first.peer, Refused(code, "for a reason"))
    again = broker.admit()
    assert again.command.token != first.command.token
    assert f"refuses this worker ({code}): for a reason" in leave(broker, again.peer, worker)


def test_a_broker_that_sends_garbage_is_joined_anew(broker: Any, worker: subprocess.Popen[str]) -> None:
    first = broker.admit()
    broker.socket.send_multipart([first.peer, b"no command"])
    assert "broke the protocol" in leave(broker, broker.admit().peer, worker)


def test_it_says_that_it_waits_for_its_broker(broker: Any, worker: subprocess.Popen[str]) -> None:
    join = broker.expect(Join)  # and is not answered
    assert worker.stdout is not None
    assert f"waiting for the broker at {broker.address}" in worker.stdout.readline()
    worker.terminate()
    broker.expect(Goodbye, peer=join.peer)
    assert worker.wait(90) == 0
