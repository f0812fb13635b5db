"""Peers that do not keep to the protocol: bytes over TCP, ZMTP by hand, and commands in any order."""

import socket
import struct

import zmq

from augfarm.protocol import limits
from augfarm.protocol import messages as m
from augfarm.protocol.sockets import configure
from farms import PATIENCE

#: What a DEALER without keys sends first: ZMTP 3.1's greeting and its READY (https://rfc.zeromq.org/spec/37).
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
MORE, LONG, COMMAND = 1, 2, 4


def frame(octets, flags=0):
    """One ZMTP frame."""
    if len(octets) > 255:
        return struct.pack("!BQ", flags | LONG, len(octets)) + octets
    return struct.pack("!BB", flags, len(octets)) + octets


def message(*frames):
    """One ZMTP message."""
    return b"".join([*(frame(f, MORE) for f in frames[:-1]), frame(frames[-1])])


READY = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
HANDSHAKE = GREETING + frame(READY, COMMAND)
#: As long as the broker's: a greeting, and a READY with Socket-Type ROUTER and an empty Identity.
HANDSHAKE_BYTES = 64 + 43


def connect(address):
    """A TCP connection to the port at tcp://HOST:PORT."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return socket.create_connection((host, int(port)), PATIENCE)


def shake_hands(tcp):
    """From now on messages may be sent: before, libzmq takes them for a broken handshake."""
    tcp.sendall(HANDSHAKE)
    heard = b""
    while len(heard) < HANDSHAKE_BYTES:
        heard += tcp.recv(HANDSHAKE_BYTES - len(heard))
    assert heard.endswith(b"Identity\0\0\0\0")


def pour(tcp, octets):
    """Send all of it, or as much as the broker takes before it cuts the connection."""
    try:
        tcp.sendall(octets)
    except OSError:
        return False
    return True


def reset(tcp):
    """Close it at once, without a word: what is not yet read at the other end is lost there."""
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tcp.close()


def is_cut(tcp):
    """Whether the broker ends this connection; False where it is still open after PATIENCE."""
    tcp.settimeout(PATIENCE)
    try:
        while tcp.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


class Peer:
    """A DEALER that says whatever it is told to. What it does not read stays at the broker."""

    def __init__(self, context, address, side):
        self.side = side
        self.allowed = m.TO_CLIENT if side == "client" else m.TO_WORKER
        self.socket = context.socket(zmq.DEALER)
        configure(self.socket, frame_bytes=limits.MAX_IPC_FRAME_BYTES)
        # With both this process would fall: see `configure`.
        self.socket.rcvhwm, self.socket.heartbeat_ivl = 1, 0
        self.socket.linger = 0
        self.socket.connect(address)

    def say(self, command, *body):
        self.socket.send_multipart([m.encode(command), *body])

    def say_octets(self, *frames):
        self.socket.send_multipart(frames)

    def hear(self, *kinds):
        """The next command of these kinds and its body; others are passed over."""
        while True:
            assert self.socket.poll(PATIENCE * 1000), f"none of {kinds} came"
            octets, *body = self.socket.recv_multipart()
            command = m.decode(octets, self.allowed)
            if isinstance(command, kinds):
                return command, body

    def hears_nothing_more(self, patience):
        """Whether nothing but probes comes for so many seconds."""
        while self.socket.poll(patience * 1000):
            command = m.decode(self.socket.recv_multipart()[0], self.allowed)
            if not isinstance(command, (m.Attempt, m.Forget)):
                return False
        return True

    def opens(self, token, credit=0):
        """Say HELLO or JOIN; what the broker answers."""
        if self.side == "client":
            self.say(m.Hello(limits.PROTOCOL_VERSION, token, "attacker"))
            return self.hear(m.Welcome, m.Refused)[0]
        self.say(m.Join(limits.PROTOCOL_VERSION, token, "attacker", credit, {}))
        return self.hear(m.Joined, m.Refused)[0]

    def close(self):
        self.socket.close(0)
