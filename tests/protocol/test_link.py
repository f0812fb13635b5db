"""The connection to a broker, against a bare ROUTER."""

import os
import time

import pytest
import zmq

from augfarm.protocol import link as link_module
from augfarm.protocol import messages as m
from augfarm.protocol.link import CommandArrived, ConnectionEnded, GarbageArrived, Link, check_address

PATIENCE = 10.0
HELLO = m.Hello(1, b"t" * 16, "test")
WELCOME = m.Welcome("broker", 1, 2**18, 2**30)


class Broker:
    """A ROUTER that can be taken away and put back at its address."""

    def __init__(self, address):
        self.context = zmq.Context()
        self.address = address
        self.socket = None
        self.open()

    def open(self):
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(self.address)
        self.address = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def close(self):
        self.socket.close(0)

    def receive(self):
        assert self.socket.poll(PATIENCE * 1000), "nothing came"
        connection, *frames = self.socket.recv_multipart()
        return connection, m.decode(frames[0], m.FROM_CLIENT), frames[1:]

    def send(self, connection, *frames):
        self.socket.send_multipart([connection, *frames])


@pytest.fixture(params=["tcp", "ipc"])
def broker(request, tmp_path):
    broker = Broker("tcp://127.0.0.1:*" if request.param == "tcp" else f"ipc://{tmp_path}/s")
    yield broker
    broker.close()
    broker.context.term()


@pytest.fixture
def link(broker):
    link = Link(broker.address, HELLO, m.TO_CLIENT)
    yield link
    link.close()


def next_event(link):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        link.poll(0.1)
        events = link.receive()
        if events:
            (event,) = events
            return event
    raise AssertionError("no event")


def greeted(broker, link):
    connection, greeting, _ = broker.receive()
    assert greeting == link.greeting
    broker.send(connection, m.encode(WELCOME))
    assert next_event(link) == CommandArrived(WELCOME, [])
    return connection


def test_the_greeting_comes_first_and_bodies_cross(broker, link):
    connection = greeted(broker, link)
    link.send(m.Pipeline(b"d" * 32), [b"spec", memoryview(b"x" * 100_000)])
    _, command, body = broker.receive()
    assert command == m.Pipeline(b"d" * 32)
    assert body == [b"spec", b"x" * 100_000]
    deliver = m.Deliver(1, 0, 0, 0, 0.0, 0.0)
    broker.send(connection, m.encode(deliver), b"body")
    event = next_event(link)
    assert event.command == deliver
    assert [bytes(frame) for frame in event.body] == [b"body"]


def test_a_lost_connection_is_told_and_made_again_and_nothing_old_is_sent_on_it(broker, link):
    greeted(broker, link)
    broker.close()
    assert isinstance(next_event(link), ConnectionEnded)
    link.send(m.Cancel(1))  # there is no connection: dropped
    broker.open()
    again = None
    deadline = time.monotonic() + PATIENCE
    while again is None and time.monotonic() < deadline:
        link.poll(0.05)
        link.receive()
        if broker.socket.poll(0):
            again = broker.receive()
    assert again[1] == HELLO
    broker.send(again[0], m.encode(WELCOME))
    assert isinstance(next_event(link), CommandArrived)
    link.send(m.Cancel(2))
    assert broker.receive()[1] == m.Cancel(2)


def test_a_broker_that_does_not_answer_is_given_up(broker, link, monkeypatch):
    monkeypatch.setattr(link_module.limits, "WELCOME_TIMEOUT_S", 0.2)
    link.reconnect("test")
    assert next_event(link) == ConnectionEnded("test")
    event = next_event(link)
    assert isinstance(event, ConnectionEnded)
    assert "no answer" in event.reason


def test_a_name_that_nobody_knows_is_told(monkeypatch):
    monkeypatch.setattr(link_module.limits, "WELCOME_TIMEOUT_S", 0.2)
    link = Link("tcp://no-such-host.invalid:5555", HELLO, m.TO_CLIENT)
    event = next_event(link)
    assert isinstance(event, ConnectionEnded)
    assert "is the host's name right" in event.reason
    link.close()


def test_nothing_there_is_told_with_its_reason(tmp_path):
    link = Link(f"ipc://{tmp_path}/nobody", HELLO, m.TO_CLIENT)
    event = next_event(link)
    assert isinstance(event, ConnectionEnded)
    assert "nothing answers" in event.reason
    link.close()


def test_a_changed_greeting_is_used_on_the_next_connection(broker, link):
    greeted(broker, link)
    link.greeting = m.Hello(1, b"u" * 16, "other")
    link.reconnect("test")
    next_event(link)
    deadline = time.monotonic() + PATIENCE
    while not broker.socket.poll(0) and time.monotonic() < deadline:
        link.poll(0.05)
    assert broker.receive()[1].software == "other"


@pytest.mark.parametrize("frame", [b"", b"\xc1", m.encode(HELLO)])
def test_what_a_broker_may_not_send_is_garbage(broker, link, frame):
    connection = greeted(broker, link)
    broker.send(connection, frame)
    assert isinstance(next_event(link), GarbageArrived)
    broker.send(connection, m.encode(WELCOME))
    assert isinstance(next_event(link), CommandArrived)


def test_poll_also_waits_for_descriptors(broker, link):
    reader, writer = os.pipe()
    link.watch(reader)
    os.write(writer, b"x")
    deadline = time.monotonic() + PATIENCE
    while link.poll(1.0) != {reader}:
        assert time.monotonic() < deadline
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("address", ["tcp://h:1", "tcp://10.0.0.1:65535", "tcp://[::1]:5555", "ipc:///tmp/x"])
def test_addresses(address):
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "h:1",
        "tcp://h",
        "tcp://:5",
        "tcp://h:0",
        "tcp://h:65536",
        "tcp://h:x",
        "ipc://",
        "udp://h:1",
        "tcp://*:5555",
        None,
        5,
    ],
)
def test_what_is_no_address(address):
    with pytest.raises(ValueError, match="expected an address"):
        check_address(address)
