"""The broker's shell over real sockets: raw DEALERs on one side, the wire's bytes on the other."""

import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading

import pytest
import zmq

from augfarm.broker.service import CannotBind, Service
from augfarm.protocol import limits
from augfarm.protocol import messages as m
from augfarm.protocol.sockets import configure

PATIENCE_MS = 10_000
SPEC = b"a pipeline"
DIGEST = hashlib.sha256(SPEC).digest()


class Peer:
    """A DEALER that speaks for a client or a worker."""

    def __init__(self, context, endpoint, allowed):
        self.socket = context.socket(zmq.DEALER)
        configure(self.socket, frame_bytes=limits.MAX_IPC_FRAME_BYTES)
        self.socket.linger = 0
        self.socket.connect(endpoint)
        self.allowed = allowed

    def say(self, command, *body):
        self.socket.send_multipart([m.encode(command), *body])

    def hear(self, kind):
        """The next command of this kind, and its body; others are passed over."""
        while True:
            assert self.socket.poll(PATIENCE_MS), f"no {kind.__name__} came"
            frame, *body = self.socket.recv_multipart()
            command = m.decode(frame, self.allowed)
            if isinstance(command, kind):
                return command, body


@pytest.fixture(params=["ipc", "tcp"])
def addresses(request, tmp_path):
    if request.param == "tcp":
        return {"clients": "tcp://127.0.0.1:*", "workers": "tcp://127.0.0.1:*"}
    return {"clients": f"ipc://{tmp_path}/clients", "workers": f"ipc://{tmp_path}/workers"}


class Running:
    """A broker in a thread, and peers of it."""

    def __init__(self, **options):
        self.service = Service(**options)
        self.context = zmq.Context()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        self.service.run()
        self.service.close()

    def client(self):
        client = Peer(self.context, self.service.endpoints["client"], m.TO_CLIENT)
        client.say(m.Hello(limits.PROTOCOL_VERSION, os.urandom(16), "client"))
        client.welcome, _ = client.hear(m.Welcome)
        client.say(m.Adjusted(client.hear(m.Window)[0].serial))
        client.say(m.Pipeline(DIGEST), SPEC)
        return client

    def worker(self, credit=2):
        worker = Peer(self.context, self.service.endpoints["worker"], m.TO_WORKER)
        worker.say(m.Join(limits.PROTOCOL_VERSION, os.urandom(16), "worker", credit, {}))
        worker.joined, _ = worker.hear(m.Joined)
        return worker

    def status(self):
        asker = Peer(self.context, self.service.endpoints["client"], m.TO_CLIENT)
        asker.say(m.Status())
        status = asker.hear(m.Report)[0].status
        asker.socket.close()
        return status

    def stop(self):
        self.service.stop()
        self.thread.join(PATIENCE_MS / 1000)
        assert not self.thread.is_alive()
        self.context.destroy(linger=0)


@pytest.fixture
def start():
    running = []

    def start(**options):
        running.append(Running(**options))
        return running[-1]

    yield start
    for broker in running:
        broker.stop()


def submit(client, request, *body, call=0):
    client.say(m.Submit(request, call, request, 1, "batch", DIGEST, 0), *body)


def test_a_batch_goes_round(start, addresses):
    broker = start(**addresses)
    worker, client = broker.worker(), broker.client()
    submit(client, 5, b"table", b"x" * 100_000)
    pipeline, spec = worker.hear(m.Pipeline)
    assert (pipeline.digest, spec) == (DIGEST, [SPEC])
    dispatch, body = worker.hear(m.Dispatch)
    assert body == [b"table", b"x" * 100_000]
    worker.say(m.Result(dispatch.ticket, 1, 0.25), b"table", b"y" * 200_000)
    deliver, body = client.hear(m.Deliver)
    assert (deliver.request, deliver.worker_id, deliver.seconds_augmenting) == (5, 0, 0.25)
    assert body == [b"table", b"y" * 200_000]
    client.say(m.Received((deliver.receipt,)))
    tcp = addresses["clients"].startswith("tcp")
    assert client.welcome.frame_bytes == (limits.MAX_TCP_FRAME_BYTES if tcp else limits.MAX_IPC_FRAME_BYTES)


def test_one_side_over_tcp_makes_all_frames_short(start, tmp_path):
    broker = start(clients=f"ipc://{tmp_path}/clients", workers="tcp://127.0.0.1:*")
    assert broker.client().welcome.frame_bytes == limits.MAX_TCP_FRAME_BYTES
    assert broker.worker().joined.frame_bytes == limits.MAX_TCP_FRAME_BYTES


def test_garbage_harms_nobody_else(start, addresses):
    broker = start(**addresses)
    worker, client = broker.worker(), broker.client()
    for side, allowed in (("client", m.TO_CLIENT), ("worker", m.TO_WORKER)):
        stranger = Peer(broker.context, broker.service.endpoints[side], allowed)
        for frames in (
            [b""],
            [b"", b"", b""],
            [b"\xc1" * 1000],
            [m.encode(m.Goodbye()), b"body"],
            [m.encode(m.Submit(0, 0, 0, 0, "batch", DIGEST, 0))],
            [m.encode(m.Result(0, 0, 0.0)), *[b""] * 5000],
            [b"x" * (limits.MAX_TCP_FRAME_BYTES)],
            *[[os.urandom(50)] for _ in range(10)],
        ):
            stranger.socket.send_multipart(frames)
        assert stranger.hear(m.Refused)[0].code == "malformed"
    submit(client, 0, b"x")
    dispatch, _ = worker.hear(m.Dispatch)
    worker.say(m.Result(dispatch.ticket, 1, 0.0), b"y")
    assert client.hear(m.Deliver)[1] == [b"y"]
    assert broker.status()["totals"]["garbage"] >= 20


def test_a_frame_that_is_too_long_ends_only_its_own_connection(start):
    broker = start(clients="tcp://127.0.0.1:*", workers="tcp://127.0.0.1:*")
    client, other = broker.client(), broker.client()
    submit(client, 0, b"x" * (limits.MAX_TCP_FRAME_BYTES + 1))
    submit(other, 0, b"x")
    worker = broker.worker()
    assert worker.hear(m.Dispatch)[1] == [b"x"]
    while len(broker.status()["clients"]) > 1:
        pass


def child(code, *arguments):
    """A process that runs `code` and has said "ready"."""
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    return process


DOOMED_WORKER = """
import os, sys, time, zmq
from augfarm.protocol import limits, messages as m
from augfarm.protocol.sockets import configure
socket = zmq.Context().socket(zmq.DEALER)
configure(socket, frame_bytes=limits.MAX_IPC_FRAME_BYTES)
socket.connect(sys.argv[1])
socket.send(m.encode(m.Join(limits.PROTOCOL_VERSION, b"w" * 16, "doomed", 2, {})))
commands = []
while m.Dispatch not in commands:
    commands.append(type(m.decode(socket.recv_multipart()[0], m.TO_WORKER)))
print("ready", flush=True)
time.sleep(1000)
"""


def gives_its_batch_back(broker, how):
    """Do this to a worker process at work; the attempts that its batch has when another has done it."""
    client = broker.client()
    submit(client, 0, b"x" * 50_000)
    process = child(DOOMED_WORKER, broker.service.endpoints["worker"])
    try:
        process.send_signal(how)
        worker = broker.worker()
        dispatch, body = worker.hear(m.Dispatch)
        assert body == [b"x" * 50_000]
        worker.say(m.Result(dispatch.ticket, 1, 0.0), b"y")
        return client.hear(m.Deliver)[0].attempts
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_worker_that_is_killed_gives_its_batch_back_and_counts_an_attempt(start, addresses):
    assert gives_its_batch_back(start(**addresses), signal.SIGKILL) == 1


def test_a_worker_that_is_frozen_gives_its_batch_back_and_counts_none(start):
    broker = start(clients="tcp://127.0.0.1:*", workers="tcp://127.0.0.1:*")
    assert gives_its_batch_back(broker, signal.SIGSTOP) == 0


def test_clients_that_are_gone_leave_nothing(start, addresses):
    broker = start(**addresses)
    for _ in range(3):
        client = broker.client()
        submit(client, 0, b"x")
        client.socket.close(0)
    # Each answer takes a turn of the broker's loop; the test's own timeout ends a broker that never notices.
    while broker.status()["clients"]:
        pass
    assert broker.status()["memory"]["held"] == 0


def test_everybody_hears_goodbye(start, addresses):
    broker = start(**addresses)
    worker, client = broker.worker(), broker.client()
    broker.service.stop()
    client.hear(m.Goodbye)
    worker.hear(m.Goodbye)
    broker.thread.join(PATIENCE_MS / 1000)


def test_an_address_in_use_is_said_so(start, tmp_path):
    broker = start(clients="tcp://127.0.0.1:*", workers=f"ipc://{tmp_path}/workers")
    for options in (
        {"clients": broker.service.endpoints["client"], "workers": f"ipc://{tmp_path}/other"},
        {"clients": "tcp://127.0.0.1:*", "workers": f"ipc://{tmp_path}/workers"},
    ):
        with pytest.raises(CannotBind, match="another process does already"):
            Service(**options)
    broker.client()
    broker.worker()


@pytest.mark.parametrize("address", ["tcp://192.0.2.1:5555", "udp://x:1", "ipc:///nowhere/at/all", "5555"])
def test_an_address_that_makes_no_sense_is_said_so(address):
    with pytest.raises(CannotBind):
        Service(clients=address, workers="tcp://127.0.0.1:*")


def test_a_socket_file_that_nobody_listens_to_is_taken(start, tmp_path):
    path = f"ipc://{tmp_path}/clients"
    code = (
        "import sys, zmq; s = zmq.Context().socket(zmq.ROUTER); s.bind(sys.argv[1]);"
        "print('ready', flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, path], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert (tmp_path / "clients").exists()
    assert start(clients=path, workers="tcp://127.0.0.1:*").client()


def test_the_parents_end_ends_the_broker(tmp_path):
    reader, writer = os.pipe()
    service = Service(
        clients=f"ipc://{tmp_path}/clients", workers=f"ipc://{tmp_path}/workers", parent_fd=reader
    )
    thread = threading.Thread(target=service.run)
    thread.start()
    os.close(writer)
    thread.join(PATIENCE_MS / 1000)
    assert not thread.is_alive()
    service.close()
    os.close(reader)


def test_what_the_core_says_is_logged(start, addresses, caplog):
    with caplog.at_level(logging.INFO, "augfarm.broker"):
        broker = start(**addresses)
        broker.worker()
        broker.stop()
    assert "worker 0 is here" in caplog.text


def test_a_stopped_broker_keeps_no_descriptor(tmp_path):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc") else None
    broker = Running(clients=f"ipc://{tmp_path}/c", workers=f"ipc://{tmp_path}/w")
    workers = [broker.worker() for _ in range(5)]
    workers[0].socket.close(0)
    broker.stop()
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before
