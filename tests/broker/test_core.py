"""Connections and sessions: the core's door. Random peers are in test_core_machine.py."""

import re

import pytest

from augfarm.broker import manners
from augfarm.broker.events import (
    ConnectionLost,
    GarbageReceived,
    StopRequested,
)
from augfarm.broker.windows import ADJUST_TIMEOUT_S
from augfarm.protocol import limits
from augfarm.protocol import messages as m

# --- the door ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "word"), [("client", "HELLO"), ("worker", "JOIN")])
def test_the_first_command_is_a_greeting(rig, side, word):
    stranger = rig.stranger(side)
    stranger.say(m.Received((1,)) if side == "client" else m.Credit(1))
    refused = stranger.last(m.Refused)
    assert refused.code == "expected-hello"
    assert word in refused.text
    stranger.say(m.Goodbye())
    assert len(stranger.inbox) == 1, "a refused connection is silent"


@pytest.mark.parametrize("side", ["client", "worker"])
def test_another_version_is_refused_by_name(rig, side):
    stranger = rig.stranger(side)
    stranger.say(m.Hello(99, b"x" * 16, "") if side == "client" else m.Join(99, b"x" * 16, "", 1, {}))
    refused = stranger.last(m.Refused)
    assert refused.code == "version"
    assert "99" in refused.text


@pytest.mark.parametrize("side", ["client", "worker"])
def test_peers_have_a_limit(rig, side, monkeypatch):
    monkeypatch.setattr(limits, f"MAX_{side.upper()}S", 2)
    join = getattr(rig, side)
    join(token=b"1" * 16)
    join()
    assert join().last(m.Refused).code == "full"
    assert not join(token=b"1" * 16).heard(m.Refused), "a session that is here may come again"


def test_a_report_needs_no_greeting(rig):
    stranger = rig.stranger("client")
    stranger.say(m.Status())
    assert stranger.last(m.Report).status["workers"] == []


def test_who_asks_too_often_gets_one_report_for_many_questions(rig):
    stranger = rig.stranger("client")
    for _ in range(100):
        stranger.say(m.Status())
    assert len(stranger.heard(m.Report)) == 1
    assert rig.core.deadline() == pytest.approx(rig.now + 0.05)
    rig.pass_time(0.05)
    assert len(stranger.heard(m.Report)) == 2
    assert rig.core.deadline() is None


def test_garbage_is_forgiven_a_few_times(rig):
    client = rig.client()
    for _ in range(9):
        rig.handle(GarbageReceived("client", client.connection, "no msgpack"))
    client.submit(0)
    assert not client.retired
    rig.handle(GarbageReceived("client", client.connection, "no msgpack"))
    assert client.last(m.Refused).code == "malformed"
    assert rig.core.status(rig.now)["totals"]["garbage"] == 10
    assert rig.core.status(rig.now)["queued"] == 0


def test_garbage_of_a_worker_with_leases_may_have_been_an_answer(rig):
    client, worker = rig.client(), rig.worker()
    rig.handle(GarbageReceived("worker", worker.connection, "?"))
    assert not worker.retired
    client.submit(0)
    rig.handle(GarbageReceived("worker", worker.connection, "?"))
    assert worker.last(m.Refused).code == "malformed"
    assert len(rig.worker().tickets) == 1


def test_everybody_hears_goodbye_when_the_broker_stops(rig):
    peers = [rig.client(), rig.worker(), rig.client()]
    peers[0].submit(0)
    rig.handle(StopRequested())
    assert all(peer.last(m.Goodbye) for peer in peers)
    assert rig.core.status(rig.now)["memory"]["held"] == 0


def test_the_farm_is_told_at_once_and_then_when_it_changes(rig):
    client = rig.client()
    assert client.heard(m.Farm) == [m.Farm(0, 0, 4, ())]
    for _ in range(10):
        rig.worker(credit=2, environment={"python": "3.11", "host": "a", "pid": "1"})
    assert [f.workers for f in client.heard(m.Farm)] == [0, 1], "changes that come together are told together"
    rig.pass_time(0.1)
    assert client.last(m.Farm) == m.Farm(10, 20, 44, ({"python": "3.11"},))
    assert rig.core.deadline() is None


def test_a_client_that_came_between_two_changes_is_told_the_last_one(rig):
    old = rig.client()
    rig.pass_time(1)
    rig.worker()
    second = rig.worker()
    between = rig.client()
    assert (old.last(m.Farm).workers, between.last(m.Farm).workers) == (1, 2)
    second.lose()
    rig.pass_time(1)
    assert between.last(m.Farm).workers == 1


def test_ends_of_unknown_connections_are_nothing(rig):
    rig.handle(ConnectionLost("client", b"nobody", True))
    rig.handle(ConnectionLost("worker", b"nobody", True))


# --- peers that keep what others need, or say too much ------------------------------------------------


def test_a_client_that_keeps_its_old_window_is_refused_and_others_get_their_share(rig):
    silent, worker = rig.client(adjust=False), rig.worker()
    silent.submit(0)
    rig.pass_time(ADJUST_TIMEOUT_S / 2)
    other = rig.client()
    assert other.last(m.Window).octets == 0
    rig.pass_time(ADJUST_TIMEOUT_S / 2 - 1)
    assert not silent.retired
    assert rig.core.deadline() <= rig.now + 1
    rig.pass_time(1)
    refused = silent.last(m.Refused)
    assert (refused.code, silent.retired) == ("late", True)
    assert "ADJUSTED" in refused.text
    rig.pass_time(1)
    assert other.last(m.Window).octets == 10_000
    worker.answer(worker.tickets[0])
    assert [c["session"] for c in rig.core.status(rig.now)["clients"]] == [1]


def test_a_client_that_obeys_late_but_in_time_stays(rig):
    client = rig.client(adjust=False)
    rig.pass_time(ADJUST_TIMEOUT_S - 1)
    client.say(m.Adjusted(client.last(m.Window).serial))
    rig.pass_time(10 * ADJUST_TIMEOUT_S)
    assert not client.retired


def test_a_farm_that_comes_and_goes_is_told_in_full(rig):
    for n in range(200):
        token = n.to_bytes(16, "big")
        worker, client = rig.worker(token), rig.client(token)
        worker.lose()
        client.say(m.Goodbye())
    assert [line.split()[0] for line in rig.logs] == ["worker", "client"] * 400
    assert not any("not logged" in line for line in rig.logs)


def flood_with_greetings(rig):
    rig.client(b"f" * 16, pipeline=False).say(m.Goodbye())


def flood_with_garbage(rig):
    rig.handle(GarbageReceived("client", rig.new_connection(), "?"))


def flood_with_batches_given_up(rig):
    client = rig.client(b"f" * 16)
    client.submit(0, attempts=65535)
    client.lose()


@pytest.mark.parametrize(
    "flood", [flood_with_greetings, flood_with_garbage, flood_with_batches_given_up], ids=lambda f: f.__name__
)
def test_a_flood_of_what_is_logged_is_bounded_and_counted(rig, flood):
    rounds = 3 * manners.LOG_BURST
    flood(rig)
    lines_of_each = len(rig.logs)
    for _ in range(rounds - 1):
        rig.now += 0.001
        flood(rig)
    most = 2 * (manners.LOG_BURST + manners.LOG_PER_SECOND * rounds * 0.001)
    assert len(rig.logs) <= most
    rig.pass_time(manners.LOG_QUIET_S)
    assert rig.core.deadline() is None or rig.core.deadline() > rig.now
    left_out = sum(int(n) for line in rig.logs for n in re.findall(r"(\d+) lines were not logged", line))
    own = sum(bool(re.fullmatch(r"\d+ lines were not logged", line)) for line in rig.logs)
    assert own
    assert len(rig.logs) - own + left_out == rounds * lines_of_each


def test_text_of_peers_forges_no_lines(rig):
    name = "x\n12:00:00 augfarm broker: all is well\r\x1b[2J\u202e\u2028"
    stranger = rig.stranger("client")
    stranger.say(m.Hello(limits.PROTOCOL_VERSION, b"t" * 16, name))
    stranger.say(m.Goodbye())
    rig.worker(environment={"host": name})
    rig.handle(GarbageReceived("worker", b"s", name + "A" * 10_000))
    assert len(rig.logs) == 4
    assert all(line.isprintable() and len(line) <= manners.LOG_LINE_LENGTH for line in rig.logs)
    assert r"(x\n12:00:00 augfarm broker: all is well\r\x1b[2J\u202e\u2028)" in rig.logs[0]
