"""Commands in every state and order, and forged credit: the farm goes on for whom keeps to the protocol.

An honest client is in mid-run all the time (conftest.py). After each attack it must still go on, and broker
and workers be there, with a bounded log and bounded memory; at the end the SHA-256 of all that it got must be
that of an undisturbed run.
"""

import hashlib
import os
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imgaug import augmenters as iaa

from augfarm.protocol import limits, pipelines
from augfarm.protocol import messages as m
from augfarm.protocol.batches import pack
from augfarm.protocol.codec import encode_body
from commands import CODES, commands, sample
from farms import wait_until

from .raw import message, pour

pytestmark = pytest.mark.slow

both_ports = pytest.mark.parametrize("side", ["client", "worker"])

SPEC = b"a pipeline that no worker can read"
DIGEST = hashlib.sha256(SPEC).digest()
GREETERS = {"client": m.Hello, "worker": m.Join}
FROM = {"client": m.FROM_CLIENT, "worker": m.FROM_WORKER}
#: Commands with a body, and what they get here.
BODIES = {m.Submit: [b"x"], m.Pipeline: [b"spec"], m.Result: [b"y"], m.Deliver: [b"y"], m.Dispatch: [b"x"]}


# --- commands ----------------------------------------------------------------------------------------------


def answer_to(peer, kind):
    """What the broker says to this command: the code of a refusal, or the answer's type; None for nothing."""
    peer.say(sample(kind), *BODIES.get(kind, []))
    peer.say(m.Status())  # answered by REPORT at one port and by "wrong-port" at the other, if it is heard
    heard, _ = peer.hear(m.Report, m.Refused, m.Goodbye, m.Cancelled, m.Welcome, m.Joined)
    answer = heard.code if isinstance(heard, m.Refused) else type(heard)
    of_status = m.Report if peer.side == "client" else "wrong-port"
    return None if answer == of_status and kind is not m.Status else answer


def expected_answer(side, kind, *, is_open):
    """docs/protocol.md, section 3 and the sections of the commands."""
    if side == "worker" and kind in (m.Hello, m.Status):
        # Said for a Hello, too, but not told apart from what is said for the Status after it.
        return None if kind is m.Hello else "wrong-port"
    if side == "client" and kind is m.Join:
        return "wrong-port"
    if kind not in FROM[side]:
        return None
    if kind is m.Status:
        return m.Report
    if not is_open:
        return "version" if kind is GREETERS[side] else "expected-hello"
    refused = {m.Hello: "unexpected", m.Join: "unexpected", m.Pipeline: "malformed", m.Submit: "unexpected"}
    return refused.get(kind, {m.Cancel: m.Cancelled, m.Goodbye: m.Goodbye}.get(kind))


@both_ports
@pytest.mark.parametrize("is_open", [False, True], ids=["before the greeting", "after it"])
def test_every_command_at_either_port(battlefield, side, is_open):
    for kind in m.BY_CODE.values():
        peer = battlefield.peer(side)
        if is_open:
            assert type(peer.opens(os.urandom(16))) in (m.Welcome, m.Joined)
        assert answer_to(peer, kind) == expected_answer(side, kind, is_open=is_open), kind
        peer.close()


@both_ports
def test_after_goodbye_nothing_is_heard(battlefield, side):
    peers = []
    for kind in m.BY_CODE.values():
        peer = battlefield.peer(side)
        peer.opens(os.urandom(16))
        peer.say(m.Goodbye())
        peer.hear(m.Goodbye)
        peer.say(sample(kind), *BODIES.get(kind, []))
        peers.append(peer)
    battlefield.honest.goes_on()
    assert all(peer.hears_nothing_more(0) for peer in peers)


@st.composite
def damaged(draw, kinds):
    """A command's frame that was cut off, or changed in some places, or neither."""
    octets = bytearray(m.encode(draw(commands(draw(st.sampled_from(kinds))))))
    for _ in range(draw(st.integers(0, 3))):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    return bytes(octets[: draw(st.integers(0, len(octets))) or None])


@both_ports
def test_damaged_commands_in_any_order(battlefield, side):
    # A worker that takes batches could answer them wrongly, which nobody would notice.
    kinds = sorted(set(m.BY_CODE.values()) - {m.Join, m.Credit}, key=CODES.get)
    frames = st.tuples(damaged(kinds)) | st.tuples(damaged(kinds), st.binary(max_size=300))

    @settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
    @given(st.booleans(), st.lists(frames, min_size=1, max_size=15))
    def attack(is_open, messages):
        peer = battlefield.peer(side)
        if is_open:
            peer.opens(os.urandom(16))
        for each in messages:
            peer.say_octets(*each)
        peer.say(m.Status())
        peer.hear(m.Report, m.Refused, m.Goodbye)
        peer.close()

    attack()


# --- peers that keep to the form alone ---------------------------------------------------------------------


def client_with_pipeline(battlefield):
    client = battlefield.peer("client")
    client.opens(os.urandom(16))
    client.say(m.Pipeline(DIGEST), SPEC)
    return client


def submit(client, request, octets, call=0):
    client.say(m.Submit(request, call, request, 0, "batch", DIGEST, 0), *octets)


def test_a_client_that_guesses_receipts(battlefield):
    client = client_with_pipeline(battlefield)
    guesses = random.Random(3)
    client.say(m.Received(tuple(guesses.getrandbits(63) for _ in range(limits.MAX_RECEIPTS_PER_MESSAGE))))
    assert client.hear(m.Refused)[0].code == "unexpected"


def test_a_client_that_obeys_windows_which_nobody_offered(battlefield):
    client = client_with_pipeline(battlefield)
    for serial in range(1000, 1020):
        client.say(m.Adjusted(serial))
    assert client.hear(m.Refused)[0].code == "unexpected"


def test_a_client_that_sends_beyond_its_window(battlefield):
    client = client_with_pipeline(battlefield)
    for request in range(300):  # 75 MiB in one call, more than there is for all clients together
        submit(client, request, [bytes(limits.MAX_TCP_FRAME_BYTES)])
    assert client.hear(m.Refused)[0].code == "window"


def test_a_client_that_opens_calls_without_end(battlefield):
    client = client_with_pipeline(battlefield)
    for call in range(limits.MAX_CALLS + 1):
        submit(client, call, [b"x"], call=call)
    assert client.hear(m.Refused)[0].code == "credit"


def test_a_client_that_sends_pipelines_without_end(battlefield):
    client = client_with_pipeline(battlefield)
    for number in range(limits.MAX_PIPELINES + 1):
        spec = b"%d" % number
        client.say(m.Pipeline(hashlib.sha256(spec).digest()), spec)
    assert client.hear(m.Refused)[0].code == "credit"


def test_a_client_that_submits_the_same_request_again(battlefield):
    client = client_with_pipeline(battlefield)
    for _ in range(2):
        submit(client, 1, [bytes(100_000)])
    assert client.hear(m.Refused)[0].code == "unexpected"


def test_a_client_that_asks_and_does_not_read(battlefield):
    pour(battlefield.connection("client", shake=True), message(m.encode(m.Status())) * 50_000)
    battlefield.honest.goes_on()


def test_a_worker_that_answers_what_it_was_never_given(battlefield):
    """It holds batches of the honest client, and does not answer those."""
    worker = battlefield.peer("worker")
    worker.opens(os.urandom(16), credit=2)
    dispatch, _ = worker.hear(m.Dispatch)
    for ticket in range(dispatch.ticket - 50, dispatch.ticket):
        worker.say(m.Result(ticket, 1, 0.0), b"y")
        worker.say(m.Failed(ticket, 64, "raised", "", "", ""))
    worker.say(m.Failed(dispatch.ticket, 1, "poisoned", "", "", ""))
    assert worker.hear(m.Refused)[0].code == "unexpected"


def test_a_worker_that_takes_more_than_anybody_may(battlefield):
    worker = battlefield.peer("worker")
    worker.opens(os.urandom(16), credit=2)
    worker.hear(m.Dispatch)
    worker.say(m.Credit(limits.MAX_WORKER_CREDIT))
    assert worker.hear(m.Refused)[0].code == "credit"


# --- sessions ----------------------------------------------------------------------------------------------


@both_ports
def test_sessions_that_are_opened_and_never_read(battlefield, side):
    """Each takes a share of the memory for as long as it is there; what the honest client has is enough."""
    greeting = {
        "client": lambda: m.Hello(limits.PROTOCOL_VERSION, os.urandom(16), ""),
        "worker": lambda: m.Join(limits.PROTOCOL_VERSION, os.urandom(16), "", 0, {}),
    }[side]
    for _ in range(300):
        pour(battlefield.connection(side, shake=True), message(m.encode(greeting())))
    battlefield.honest.goes_on()
    battlefield.everybody_goes()
    wait_until(lambda: len(battlefield.farm.status()["clients"]) == 1, "the broker forgets them")


def test_sessions_one_after_another_that_read_no_result(battlefield):
    """What lies in the queues of connections that had their last word counts for nobody's window."""
    images = np.zeros((1, 500, 500, 1), np.uint8)
    body = encode_body(pack(images, 0).tree, frame_bytes=limits.MAX_TCP_FRAME_BYTES)
    spec = pipelines.encode(iaa.Identity())
    digest, token, count = pipelines.digest(spec), os.urandom(16), 80

    def done():
        return battlefield.farm.status()["totals"]["done"]

    sessions = 0
    while sessions < 20:
        client = battlefield.peer("client")
        client.opens(token)
        window, _ = client.hear(m.Window)
        client.say(m.Adjusted(window.serial))
        if window.octets < count * 250_000:  # the honest client has it still
            continue
        sessions += 1
        client.say(m.Pipeline(digest), spec)
        enough = done() + count
        for request in range(count):
            client.say(m.Submit(request, 0, request, 0, "batch", digest, 0), *body)
        wait_until(lambda enough=enough: done() >= enough, "its batches are done")


def test_a_session_that_is_taken_up_again_and_again(battlefield):
    token = os.urandom(16)
    for _ in range(200):
        battlefield.peer("client").opens(token)
    assert len(battlefield.farm.status()["clients"]) == 2
