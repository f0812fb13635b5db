"""The memory that a worker shares with clients of its host."""

import select

import numpy as np
import pytest

from augfarm.protocol.codec import encode_parts
from augfarm.protocol.memory import Arena, can_share
from augfarm.protocol.sharing import Peer, listen
from augfarm.worker.memory import SharedMemory

pytestmark = pytest.mark.skipif(not can_share(), reason="needs Linux's memory files")
PARTS = encode_parts({"a": np.arange(100_000)})
SESSION, TICKET = 3, 17


@pytest.fixture
def memory():
    memory = SharedMemory(1 << 22)
    yield memory
    memory.drop()


@pytest.fixture
def arena():
    arena = Arena(1 << 20)
    yield arena
    arena.close()


@pytest.fixture
def client(memory, arena):
    """The client's end of an attachment of which the worker knows."""
    listener, name, secret = listen()
    attachment = memory.attach(SESSION, name, secret)
    peer = Peer(listener.accept()[0])
    assert peer.receive(secret, arena)
    assert select.select([attachment], [], [], 10)[0]
    assert memory.hear() == ([SESSION], [])
    yield peer
    peer.close()
    listener.close()


def test_a_result_lies_there_until_the_client_has_read_it(memory, arena, client):
    before = memory.place(TICKET, arena.number, PARTS)
    assert memory.place(TICKET + 1, arena.number, PARTS) != before
    client.release([0])
    assert memory.place(TICKET + 2, arena.number, PARTS) == before


def test_a_client_that_is_seen_to_have_gone_while_a_result_is_placed_is_told_too(memory, arena, client):
    """Or nobody would close its descriptor, nor stop waiting for it."""
    client.close()
    assert memory.place(TICKET, arena.number, PARTS) is None
    (gone,) = memory.attachments()
    assert gone.fileno() >= 0
    assert memory.hear() == ([], [gone])
    gone.close()
    assert memory.attachments() == []


def test_nothing_is_placed_for_others(memory, client):
    assert memory.place(TICKET, b"x" * 16, PARTS) is None
