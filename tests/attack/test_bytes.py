"""Bytes that are no messages, and connections without end: the farm goes on for whom keeps to the protocol.

An honest client is in mid-run all the time (conftest.py). After each attack it must still go on, and broker
and workers be there, with a bounded log and bounded memory; at the end the SHA-256 of all that it got must be
that of an undisturbed run.
"""

import os
import random
import resource
import struct
import sys

import pytest

from augfarm.protocol import limits
from augfarm.protocol import messages as m
from commands import sample

from .raw import COMMAND, GREETING, HANDSHAKE, LONG, MORE, READY, frame, is_cut, message, pour, reset

pytestmark = pytest.mark.slow

both_ports = pytest.mark.parametrize("side", ["client", "worker"])
GREETERS = {"client": m.Hello, "worker": m.Join}


# --- bytes -------------------------------------------------------------------------------------------------

OTHER_PROTOCOLS = {
    "nothing": b"",
    "http": b"GET /status.json HTTP/1.1\r\nHost: broker\r\n\r\n",
    "tls": bytes.fromhex("16030100f4010000f00303") + bytes(240),
    "zeros": bytes(2**20),
    "ones": b"\xff" * 2**20,
    "noise": random.Random(1).randbytes(2**20),
    "an old greeting": b"\x01\x00",
    "a message before its time": HANDSHAKE + message(m.encode(m.Status())),
    "another socket's type": GREETING + frame(READY.replace(b"\x06DEALER", b"\x03PUB"), COMMAND),
    "a routing id of a mebibyte": GREETING
    + frame(b"\x05READY\x08Identity\0\x10\0\0" + bytes(2**20), COMMAND),
}
BROKEN_ZMTP = {
    "a frame of 2^63 bytes": struct.pack("!BQ", LONG, 2**63),
    "a frame of 1 GiB, and little of it": struct.pack("!BQ", LONG, 2**30) + bytes(1000),
    "a frame of 200 KiB, and little of it": struct.pack("!BQ", LONG, 200 * 2**10) + bytes(1000),
    "reserved flags": b"\xf8\x01x",
    "a command of its own": frame(b"\x04EVIL" + bytes(200), COMMAND),
    "a command without a name": frame(b"", COMMAND),
    "a long command": frame(b"\x04PING" + bytes(2**17), COMMAND),
    "a ping with a long context": frame(b"\x04PING" + bytes(250), COMMAND),
    "a hundred thousand pings": frame(b"\x04PING\0\0", COMMAND) * 100_000,
    "ready twice": frame(READY, COMMAND),
    "an error of its own": frame(b"\x05ERROR\xff", COMMAND),
    "a subscription": frame(b"\x09SUBSCRIBEx", COMMAND) + message(b"\x01x"),
}


@both_ports
def test_other_protocols(battlefield, side):
    for octets in OTHER_PROTOCOLS.values():
        pour(battlefield.connection(side), octets)
    battlefield.honest.goes_on()


@both_ports
def test_broken_zmtp(battlefield, side):
    for octets in BROKEN_ZMTP.values():
        pour(battlefield.connection(side, shake=True), octets)
    battlefield.honest.goes_on()


@both_ports
def test_greetings_and_handshakes_cut_off_at_every_point(battlefield, side):
    whole = HANDSHAKE + message(m.encode(sample(GREETERS[side])))
    connections = [battlefield.connection(side) for _ in whole]
    for length, connection in enumerate(connections):
        pour(connection, whole[:length])
    battlefield.honest.goes_on()
    for number, connection in enumerate(connections):
        if number % 2:
            reset(connection)


@both_ports
def test_greetings_with_one_bit_turned_over(battlefield, side):
    generator = random.Random(2)
    for position in range(len(HANDSHAKE)):
        octets = bytearray(HANDSHAKE)
        octets[position] ^= 1 << generator.randrange(8)
        pour(battlefield.connection(side), octets + message(m.encode(m.Goodbye())))


# --- frames ------------------------------------------------------------------------------------------------


@both_ports
def test_frames_of_no_one_and_many_bytes(battlefield, side):
    connections = []
    for size in (0, 1, 2**20):
        for count in (1, 3, 100):
            connections.append(battlefield.connection(side, shake=True))
            for _ in range(20):
                if not pour(connections[-1], message(*[bytes(size)] * count)):
                    break
    assert all(is_cut(each) for each in connections), "too much nonsense, or a frame beyond 256 KiB"


@both_ports
def test_a_message_that_never_ends_is_no_message(battlefield, side):
    """The broker cannot see it (docs/protocol.md, section 13): this is what it costs, not what stops it."""
    pour(battlefield.connection(side, shake=True), frame(bytes(200_000), MORE) * 50)
    battlefield.honest.goes_on()


@both_ports
def test_messages_of_many_small_frames_are_garbage(battlefield, side):
    peer = battlefield.peer(side)
    peer.opens(os.urandom(16))
    kind = m.Submit if side == "client" else m.Result
    for _ in range(10):
        peer.say(sample(kind), *[b"x"] * 1000)
    assert peer.hear(m.Refused)[0].code == "malformed"


# --- connections -------------------------------------------------------------------------------------------


@both_ports
def test_connections_that_say_nothing(battlefield, side):
    for _ in range(300):
        battlefield.connection(side)
    battlefield.honest.goes_on()


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_more_connections_than_the_system_allows(battlefield):
    """Who is there goes on; new peers wait until there is room."""
    broker = battlefield.farm.broker.pid
    before = resource.prlimit(broker, resource.RLIMIT_NOFILE)
    room = len(os.listdir(f"/proc/{broker}/fd")) + 20
    resource.prlimit(broker, resource.RLIMIT_NOFILE, (room, before[1]))
    try:
        for _ in range(100):
            battlefield.connection("client")
        battlefield.honest.goes_on()
        battlefield.everybody_goes()
        assert battlefield.farm.status()["clients_total"] == 1
    finally:
        resource.prlimit(broker, resource.RLIMIT_NOFILE, before)


@both_ports
def test_peers_that_name_themselves(battlefield, side):
    """docs/protocol.md, section 1: they must not. A name that is taken gets nothing."""
    names = [b"a name", b"a name", bytes(5), b"x" * 255, b"\0" + b"y" * 4]
    for name in names:
        identity = b"\x08Identity" + struct.pack("!I", len(name)) + name
        tcp = battlefield.connection(side)
        pour(tcp, GREETING + frame(READY + identity, COMMAND))
        tcp.recv(64 + 43)
        pour(tcp, message(m.encode(m.Goodbye())) * 3)
    battlefield.honest.goes_on()


@both_ports
def test_connections_that_send_much_and_are_reset(battlefield, side):
    """While their messages wait to be read, libzmq sends nothing over them any more, not even heartbeats."""
    slow_to_read = message(m.encode(m.Received((1,) * limits.MAX_RECEIPTS_PER_MESSAGE)))
    connections = [battlefield.connection(side, shake=True) for _ in range(150)]
    for connection in connections:
        pour(connection, slow_to_read * 70)
    for _ in range(4):  # the broker's threads have been at all connections when they have been at these
        battlefield.connection(side, shake=True)
    for connection in connections:
        reset(connection)
    battlefield.honest.goes_on()
