"""Which connections have ended, and who ended them. The probe is a fake; the descriptors are real."""

import os
import socket

import pytest

from augfarm.broker.liveness import (
    FIRST_LOOK_S,
    FROZEN_S,
    MOST_UNREAD,
    RETIRED_S,
    SUSPICION_S,
    Liveness,
)


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


def lost(liveness, now):
    """What is told when the socket was read, with nothing left in it, before and after."""
    return liveness.lost(now, all_read=True) + liveness.lost(now, all_read=True)


def test_a_connection_whose_descriptor_ended_and_that_cannot_be_reached_is_lost_once(liveness, probe):
    liveness.seen(b"a", 1000, 0.0)
    probe.unreachable.add(b"a")
    assert lost(liveness, 0.0) == []
    liveness.descriptor_ended(1000, 1.0)
    assert lost(liveness, 1.0) == [(b"a", False)]
    assert lost(liveness, 1.0) == []
    assert not liveness.knows(b"a")
    assert liveness.deadline() is None


def test_the_news_may_come_before_the_routing_table_knows(liveness, probe):
    liveness.seen(b"a", 1000, 0.0)
    liveness.descriptor_ended(1000, 1.0)
    assert lost(liveness, 1.0) == []
    probe.unreachable.add(b"a")
    assert lost(liveness, liveness.deadline()) == [(b"a", False)]


def test_another_connection_with_the_same_number_goes_free(liveness, probe):
    liveness.seen(b"old", 1000, 0.0)
    liveness.seen(b"new", 1000, 0.5)
    probe.unreachable.add(b"old")
    liveness.descriptor_ended(1000, 1.0)
    assert lost(liveness, 1.0) == [(b"old", False)]
    now = 1.0
    while (deadline := liveness.deadline()) is not None:
        now = deadline
        assert lost(liveness, now) == []
    assert now <= 1.0 + 2 * SUSPICION_S + 0.1
    assert len(probe.probed) < 20
    assert liveness.knows(b"new")


@pytest.mark.parametrize("reused", [False, True])
def test_however_late_the_routing_table_is_it_is_told(liveness, probe, reused):
    """A thread of libzmq's may not run for seconds on a busy machine."""
    ours, theirs = socket.socketpair()
    number = ours.fileno()
    liveness.seen(b"a", number, 0.0)
    ours.close()
    theirs.close()
    others = socket.socketpair() if reused else ()
    assert not reused or number in [other.fileno() for other in others]
    liveness.descriptor_ended(number, 1.0)
    assert lost(liveness, 1.0) == []
    while liveness.deadline() < 60.0:
        assert lost(liveness, liveness.deadline()) == []
    probe.unreachable.add(b"a")
    assert lost(liveness, liveness.deadline()) == [(b"a", False)]
    assert liveness.deadline() is None
    for other in others:
        other.close()


def test_its_last_messages_are_read_before_its_end_is_told(liveness):
    liveness.seen(b"a", 1000, 0.0)
    liveness.unreachable(b"a", 1.0)
    assert liveness.lost(1.0, all_read=True) == [], "they may have come after this reading"
    assert liveness.deadline() <= 1.0, "the next one is at once"
    assert liveness.lost(1.0, all_read=False) == []
    assert liveness.lost(1.0, all_read=True) == [(b"a", False)]
    assert not liveness.is_over(b"a")
    liveness.unreachable(b"b", 2.0)
    assert liveness.lost(2.1, all_read=False) == []
    assert liveness.lost(2.1 + SUSPICION_S, all_read=False) == [(b"b", False)], "but not for ever"
    assert liveness.is_over(b"b"), "what is read of it later is nothing"
    liveness.lost(3.0 + SUSPICION_S, all_read=True)
    assert not liveness.is_over(b"b"), "nothing is left to read"


def test_a_connection_that_is_found_gone_here_and_by_sending_is_told_all_the_same(liveness, probe):
    liveness.seen(b"a", 1000, 0.0)
    liveness.descriptor_ended(1000, 1.0)
    probe.unreachable.add(b"a")
    assert liveness.lost(1.0, all_read=True) == []
    liveness.unreachable(b"a", 1.0)
    assert liveness.lost(1.0, all_read=True) == [(b"a", False)]


def test_a_connection_may_have_ended_before_its_first_message_was_read(liveness, probe):
    liveness.descriptor_ended(1000, 1.0)
    liveness.seen(b"a", 1000, 1.1)
    probe.unreachable.add(b"a")
    assert lost(liveness, 1.1) == [(b"a", False)]
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
    assert lost(liveness, 1.0) == [(b"w", closed)]
    peer.close()


def test_what_is_lost_is_no_longer_watched(liveness):
    reader, writer = os.pipe()
    liveness.seen(b"w", writer, 0.0)
    liveness.watch(b"w")
    os.close(writer)
    liveness.unreachable(b"w", 1.0)
    lost(liveness, 1.0)
    assert os.read(reader, 1) == b"", "no duplicate is left open"
    os.close(reader)


@pytest.mark.parametrize("watched", [True, False])
def test_a_peer_that_does_not_leave_after_its_last_word_is_cut(liveness, watched):
    ours, peer = socket.socketpair()
    peer.setblocking(False)
    liveness.seen(b"c", ours.fileno(), 0.0)
    if watched:
        liveness.watch(b"c")
    liveness.retire(b"c", 0, 1.0)
    assert liveness.deadline() == 1.0 + RETIRED_S
    assert liveness.is_over(b"c")
    lost(liveness, RETIRED_S)
    with pytest.raises(BlockingIOError):
        peer.recv(1)
    assert lost(liveness, 1.0 + RETIRED_S) == [(b"c", False)]
    assert peer.recv(1) == b"", "libzmq would see the same, and close it"
    assert not liveness.knows(b"c")
    assert liveness.deadline() is None
    ours.close()
    peer.close()


def test_what_retired_connections_have_not_read_is_bounded(liveness):
    pairs = [socket.socketpair() for _ in range(4)]
    for number, (ours, _) in enumerate(pairs):
        liveness.seen(b"%d" % number, ours.fileno(), 0.0)
        liveness.retire(b"%d" % number, MOST_UNREAD // 2, 1.0)
    assert liveness.deadline() == 1.0
    assert lost(liveness, 1.0) == [(b"0", False), (b"1", False)], "the longest there first"
    assert liveness.deadline() == 1.0 + RETIRED_S
    for ours, peer in pairs:
        ours.close()
        peer.close()


def test_a_peer_that_does_not_read_is_cut(liveness):
    ours, peer = socket.socketpair()
    liveness.seen(b"c", ours.fileno(), 0.0)
    liveness.overflowed(b"c", 1.0)
    assert peer.recv(1) == b""
    assert lost(liveness, 1.0) == [(b"c", False)]
    ours.close()
    peer.close()


def test_a_connection_whose_number_is_anothers_is_not_cut(liveness):
    ours, peer = socket.socketpair()
    peer.setblocking(False)
    liveness.seen(b"old", ours.fileno(), 0.0)
    liveness.seen(b"new", ours.fileno(), 0.5)
    liveness.retire(b"old", 0, 1.0)
    lost(liveness, 1.0 + RETIRED_S)
    with pytest.raises(BlockingIOError):
        peer.recv(1)
    ours.close()
    peer.close()


def test_without_a_descriptor_nobody_is_blamed(liveness):
    liveness.watch(b"unseen")
    liveness.seen(b"bad", 10**6, 0.0)
    liveness.watch(b"bad")
    liveness.unreachable(b"bad", 1.0)
    assert lost(liveness, 1.0) == [(b"bad", False)]


@pytest.fixture
def worker(liveness):
    """Our end of a watched connection, and the worker's."""
    ours, theirs = socket.socketpair()
    liveness.seen(b"w", ours.fileno(), 0.0)
    liveness.watch(b"w")
    yield ours, theirs
    ours.close()
    theirs.close()


def look_until(liveness, end, do=lambda: None):
    """Look whenever it is time to, and `do` something each time; returns what was lost, and when."""
    while (deadline := liveness.deadline()) is not None and deadline <= end:
        told = lost(liveness, deadline)
        if told:
            return told, deadline
        do()
    return [], deadline


def test_who_does_not_read_what_is_sent_is_cut_and_not_blamed(liveness, worker):
    ours, theirs = worker
    ours.send(b"x" * 1000)
    liveness.sent(b"w", 0.0)
    told, when = look_until(liveness, 100.0)
    assert told == [(b"w", False)]
    assert FROZEN_S < when < FIRST_LOOK_S + FROZEN_S + 0.5
    assert theirs.recv(2000) == b"x" * 1000
    assert theirs.recv(1) == b"", "when it is thawed it sees the end"
    assert liveness.deadline() is None


def test_who_reads_slowly_is_not_cut(liveness, worker):
    ours, theirs = worker
    for _ in range(20):
        ours.send(b"x" * 1000)
    liveness.sent(b"w", 0.0)
    reads = iter(range(100))

    def read_now_and_then():
        if next(reads) % 20 == 0:
            theirs.recv(1000)

    assert look_until(liveness, 9.0, read_now_and_then)[0] == []


def test_what_is_read_is_not_looked_at_again(liveness, worker):
    ours, theirs = worker
    ours.send(b"x")
    theirs.recv(1)
    liveness.sent(b"w", 0.0)
    liveness.sent(b"w", 0.5)
    assert liveness.deadline() == FIRST_LOOK_S, "from the first message on"
    assert liveness.lost(FIRST_LOOK_S, all_read=True) == []
    assert liveness.deadline() is None
    liveness.sent(b"stranger", 0.0)
    assert liveness.deadline() is None


def test_a_lost_connection_is_not_looked_at(liveness, worker):
    ours, _ = worker
    ours.send(b"x")
    liveness.sent(b"w", 0.0)
    liveness.unreachable(b"w", 0.1)
    assert lost(liveness, 0.1) == [(b"w", False)]
    assert liveness.deadline() is None
