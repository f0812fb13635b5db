"""Which connections have ended, and who ended them. The probe is a fake; the descriptors are real."""

import os
import socket

import pytest

from augfarm.broker.liveness import SUSPICION_S, Liveness


class Probe:
    def __init__(self):
        self.unreachable, self.probed = set(), []

    def __call__(self, connection):
        self.probed.append(connection)
        return connection not in self.unreachable


@pytest.fixture
def probe():
    return Probe()


@pytest.fixture
def liveness(probe):
    liveness = Liveness(probe)
    yield liveness
    liveness.close()


def test_a_connection_whose_descriptor_ended_and_that_cannot_be_reached_is_lost_once(liveness, probe):
    liveness.seen(b"a", 1000, 0.0)
    probe.unreachable.add(b"a")
    assert liveness.lost(0.0, all_read=True) == []
    liveness.descriptor_ended(1000, 1.0)
    assert liveness.lost(1.0, all_read=True) == [(b"a", False)]
    assert liveness.lost(1.0, all_read=True) == []
    assert not liveness.knows(b"a")
    assert liveness.deadline() is None


def test_the_news_may_come_before_the_routing_table_knows(liveness, probe):
    liveness.seen(b"a", 1000, 0.0)
    liveness.descriptor_ended(1000, 1.0)
    assert liveness.lost(1.0, all_read=True) == []
    probe.unreachable.add(b"a")
    assert liveness.lost(liveness.deadline(), all_read=True) == [(b"a", False)]


def test_another_connection_with_the_same_number_goes_free(liveness, probe):
    liveness.seen(b"old", 1000, 0.0)
    liveness.seen(b"new", 1000, 0.5)
    probe.unreachable.add(b"old")
    liveness.descriptor_ended(1000, 1.0)
    assert liveness.lost(1.0, all_read=True) == [(b"old", False)]
    now = 1.0
    while (deadline := liveness.deadline()) is not None:
        now = deadline
        assert liveness.lost(now, all_read=True) == []
    assert now <= 1.0 + 2 * SUSPICION_S + 0.1
    assert len(probe.probed) < 20
    assert liveness.knows(b"new")


def test_its_last_messages_are_read_before_its_end_is_told(liveness):
    liveness.seen(b"a", 1000, 0.0)
    liveness.unreachable(b"a", 1.0)
    assert liveness.lost(1.0, all_read=False) == []
    assert liveness.lost(1.0, all_read=True) == [(b"a", False)]
    liveness.unreachable(b"b", 2.0)
    assert liveness.lost(2.1 + SUSPICION_S, all_read=False) == [(b"b", False)], "but not for ever"


def test_a_connection_may_have_ended_before_its_first_message_was_read(liveness, probe):
    liveness.descriptor_ended(1000, 1.0)
    liveness.seen(b"a", 1000, 1.1)
    probe.unreachable.add(b"a")
    assert liveness.lost(1.1, all_read=True) == [(b"a", False)]
    liveness.seen(b"b", 1000, 1.2 + SUSPICION_S)
    assert liveness.deadline() is None, "an end of long ago concerns nobody"


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
@pytest.mark.parametrize("closed", [True, False])
def test_who_closed_the_connection(liveness, family, closed):
    with socket.socket(family) as listener:
        if family == socket.AF_INET:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            peer = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
        else:
            peer, ours = socket.socketpair()
    peer.send(b"unread")
    liveness.seen(b"w", ours.fileno(), 0.0)
    liveness.watch(b"w")
    if closed:
        peer.close()
    ours.close()  # as libzmq does when it has seen the end
    liveness.unreachable(b"w", 1.0)
    assert liveness.lost(1.0, all_read=True) == [(b"w", closed)]
    peer.close()


def test_what_nobody_watches_is_closed(liveness):
    reader, writer = os.pipe()
    liveness.seen(b"w", writer, 0.0)
    liveness.watch(b"w")
    os.close(writer)
    liveness.unwatch(b"w")
    liveness.unwatch(b"w")
    assert os.read(reader, 1) == b"", "no duplicate is left open"
    os.close(reader)


def test_without_a_descriptor_nobody_is_blamed(liveness):
    liveness.watch(b"unseen")
    liveness.seen(b"bad", 10**6, 0.0)
    liveness.watch(b"bad")
    liveness.unreachable(b"bad", 1.0)
    assert liveness.lost(1.0, all_read=True) == [(b"bad", False)]
