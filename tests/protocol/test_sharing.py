"""How a client and a peer come to share memory, and what strangers get."""

import os
import select
import socket

import numpy as np
import pytest

from augfarm.protocol.codec import decode_body, encode_parts
from augfarm.protocol.memory import Arena, can_share
from augfarm.protocol.sharing import Attachment, Peer, listen

pytestmark = pytest.mark.skipif(not can_share(), reason="needs Linux's memory files")
PARTS = encode_parts({"a": np.arange(10_000)})


@pytest.fixture
def arena():
    arena = Arena(1 << 20)
    yield arena
    arena.close()


@pytest.fixture
def lent():
    arena = Arena(1 << 20)
    yield arena
    arena.close()


@pytest.fixture
def offer():
    listener, name, secret = listen()
    yield listener, name, secret
    listener.close()


def accept(listener):
    connection, _ = listener.accept()
    return Peer(connection)


def something_comes(socket_like):
    return bool(select.select([socket_like], [], [], 10)[0])


def test_both_read_what_the_other_writes(offer, arena, lent):
    listener, name, secret = offer
    attachment = Attachment(name, secret, lent)
    peer = accept(listener)
    assert attachment.receive() == []
    assert attachment.view is None, "the client has not answered"
    assert peer.receive(secret, arena)
    assert something_comes(attachment)
    assert attachment.receive() == []
    region = arena.place(PARTS)
    assert decode_body(region.body, {attachment.number: attachment.view.memory}.get)["a"][-1] == 9999
    result = lent.place(PARTS)
    assert decode_body(result.body, {peer.number: peer.view.memory}.get)["a"][-1] == 9999
    peer.release(range(1000))
    assert attachment.receive() == list(range(1000))
    peer.close()
    assert attachment.receive() is None
    attachment.close()


def test_a_broker_has_none_to_lend(offer, arena):
    listener, name, secret = offer
    attachment = Attachment(name, secret)
    peer = accept(listener)
    assert peer.receive(secret, arena)
    assert attachment.receive() == []
    assert attachment.view is not None
    assert peer.view is None
    attachment.close()
    assert not peer.receive(secret, arena)
    peer.close()


def test_a_client_that_is_not_here_is_an_error():
    with pytest.raises(ConnectionRefusedError):
        Attachment(bytes(16), bytes(16))


@pytest.mark.parametrize("words", [b"?", bytes(32), bytes(31), bytes(4096)], ids=len)
def test_who_does_not_know_the_secret_gets_nothing(offer, arena, words):
    listener, name, secret = offer
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        stranger.connect(b"\0augfarm-" + name.hex().encode())
        socket.send_fds(stranger, [words], [arena.descriptor] * 3)
        peer = accept(listener)
        assert not peer.receive(secret, arena)
        peer.close()
        assert stranger.recv(4096) == b""
    assert len(os.listdir("/proc/self/fd")) == before, "what it sent is closed"


def test_who_lends_what_is_no_sealed_memory_gets_nothing(offer, arena):
    listener, name, secret = offer
    descriptor = os.memfd_create("unsealed")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        stranger.connect(b"\0augfarm-" + name.hex().encode())
        socket.send_fds(stranger, [secret + bytes(16)], [descriptor])
        peer = accept(listener)
        assert not peer.receive(secret, arena)
        peer.close()
    os.close(descriptor)


def test_a_second_greeting_ends_it(offer, arena):
    listener, name, secret = offer
    attachment = Attachment(name, secret)
    peer = accept(listener)
    assert peer.receive(secret, arena)
    assert peer.receive(secret, arena), "nothing has come, which is no fault"
    attachment._socket.send(secret + bytes(16))
    assert not peer.receive(secret, arena)
    peer.close()
    attachment.close()


def test_a_client_that_hands_over_no_memory_is_left(offer):
    listener, name, secret = offer
    attachment = Attachment(name, secret)
    connection, _ = listener.accept()
    connection.recv(4096)
    connection.send(bytes(16))
    assert attachment.receive() is None
    connection.close()
    attachment.close()


def test_a_peer_that_does_not_read_is_told_later(offer, arena, lent):
    listener, name, secret = offer
    attachment = Attachment(name, secret, lent)
    peer = accept(listener)
    assert peer.receive(secret, arena)
    total = 0
    while not peer._unsent:  # until the socket is full
        peer.release(range(total, total + 500))
        total += 500
    peer.release([total])
    heard = attachment.receive()
    while len(heard) < total + 1:
        peer.release([])
        heard += attachment.receive()
    assert heard == list(range(total + 1))
    peer.close()
    attachment.close()
