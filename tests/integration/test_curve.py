"""CURVE from both ends: every kind of key at both ports, what its holder hears and what the broker says."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import zmq
from imgaug import augmenters as iaa

from attack import raw
from augfarm.client import Client
from augfarm.protocol import limits
from augfarm.protocol import messages as m
from augfarm.protocol.keys import PeerKeys, add_key, make_keys
from augfarm.protocol.link import CommandArrived, ConnectionEnded, Link
from augfarm.worker.session import EXIT_REVOKED
from chaos.recovery import Stopwatch
from farms import PATIENCE, KeyedFarm, free_port, wait_until

REFUSED_KEY = "the broker refused the key for this role"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys") / "farm"
    make_keys(folder)
    return folder


@pytest.fixture(scope="module")
def farm(keys, tmp_path_factory):
    """A broker with keys and a page, and no worker."""
    farm = KeyedFarm(tmp_path_factory.mktemp("keyed"), keys)
    farm.page = f"http://127.0.0.1:{free_port()}"
    farm.extra += ("--http", farm.page.removeprefix("http://"))
    try:
        farm.start_broker()
        yield farm
    except BaseException:
        print(farm.logs())
        raise
    finally:
        farm.stop()


class Knocker:
    """Somebody with these keys, or none, at the port of a side."""

    def __init__(self, farm, side, peer_keys):
        self.side = side
        token = os.urandom(16)
        if side == "client":
            hello = m.Hello(limits.PROTOCOL_VERSION, token, "knocker")
            self.link = Link(farm.clients, hello, m.TO_CLIENT, keys=peer_keys)
        else:
            join = m.Join(limits.PROTOCOL_VERSION, token, "knocker", 0, {"host": "knocker"})
            self.link = Link(farm.workers, join, m.TO_WORKER, keys=peer_keys)

    def hears(self, *kinds):
        """The next event of these kinds; for a command of these kinds, the command."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.link.poll(deadline - time.monotonic())
            for event in self.link.receive():
                if isinstance(event, kinds):
                    return event
                if isinstance(event, CommandArrived) and isinstance(event.command, kinds):
                    return event.command
        raise AssertionError(f"none of {kinds} came")


@pytest.fixture
def knock(farm):
    knockers = []

    def knock(side, peer_keys):
        knockers.append(Knocker(farm, side, peer_keys))
        return knockers[-1]

    yield knock
    for knocker in knockers:
        knocker.link.close()
    wait_until(lambda: not farm.status()["clients"] + farm.status()["workers"], "they have left")


SIDES = pytest.mark.parametrize("side", ["client", "worker"])


def of_role(keys, side):
    return PeerKeys.load(keys, side)


def other(side):
    return "worker" if side == "client" else "client"


@SIDES
def test_a_right_key(farm, knock, keys, side):
    knock(side, of_role(keys, side)).hears(m.Welcome, m.Joined)
    assert len(farm.status()[f"{side}s"]) == 1


def refused(farm, knock, side, peer_keys):
    """What the broker says of a peer that is refused; fails if it is let in, or is not told."""
    end = knock(side, peer_keys).hears(ConnectionEnded, m.Command)
    assert (end.reason, end.final) == (REFUSED_KEY, True)
    status = farm.status()
    assert not status["clients"] + status["workers"]
    about = f"the key {peer_keys.public.decode()} was refused at the port for {side}s: "
    (line,) = [line for line in farm.logs().splitlines() if about in line]
    return line.partition(about)[2]


@SIDES
def test_an_unknown_key(farm, knock, keys, side, tmp_path):
    make_keys(tmp_path)
    stranger, known = of_role(tmp_path, side), of_role(keys, side)
    assert refused(farm, knock, side, PeerKeys(stranger.public, stranger.secret, known.broker)) == (
        "no folder has it"
    )


@SIDES
def test_a_role_swapped(farm, knock, keys, side):
    assert refused(farm, knock, side, of_role(keys, other(side))) == f"it is a {other(side)}'s"


@SIDES
def test_a_key_that_was_revoked_before(farm, knock, keys, side):
    peer_keys = PeerKeys.load(add_key(keys, side, f"former-{side}"), side)
    former = knock(side, peer_keys)
    former.hears(m.Welcome, m.Joined)
    former.link.close()
    wait_until(lambda: not farm.status()[f"{side}s"], "it has left")
    (keys / "broker" / f"{side}s" / f"former-{side}.key").unlink()
    assert refused(farm, knock, side, peer_keys) == "no folder has it"


@SIDES
def test_a_key_that_is_revoked_ends_its_open_session_and_no_other(farm, knock, keys, side):
    peer_keys = PeerKeys.load(add_key(keys, side, f"leaving-{side}"), side)
    others = [knock(role, of_role(keys, role)) for role in ("client", "worker")]
    leaving = knock(side, peer_keys)
    for knocker in (*others, leaving):
        knocker.hears(m.Welcome, m.Joined)
    (keys / "broker" / f"{side}s" / f"leaving-{side}.key").unlink()
    since = Stopwatch(f"session of a {side} whose key was revoked ended")
    assert leaving.hears(m.Refused).code == "revoked"
    since.stop()
    status = farm.status()
    assert (len(status["clients"]), len(status["workers"])) == (1, 1)


@contextlib.contextmanager
def connected(address, peer_keys):
    """A socket whose handshake is done, and on which nothing was said."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        peer_keys.apply(socket)
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        socket.connect(address)
        assert monitor.poll(PATIENCE * 1000)
        socket.disable_monitor()
        yield socket


@pytest.mark.parametrize("command", [m.Hello(limits.PROTOCOL_VERSION, bytes(16), ""), m.Status()])
def test_a_connection_from_before_its_key_was_revoked_opens_nothing(farm, keys, command):
    """ZAP asks at the handshake only: the connection is there, and has said nothing yet."""
    folder = add_key(keys, "client", "sleeper")
    with connected(farm.clients, PeerKeys.load(folder, "client")) as socket:
        (keys / "broker" / "clients" / "sleeper.key").unlink()
        shutil.rmtree(folder)
        socket.send(m.encode(command))
        assert socket.poll(PATIENCE * 1000)
        assert m.decode(socket.recv_multipart()[0], m.TO_CLIENT).code == "revoked"


@SIDES
def test_no_key(farm, knock, side):
    end = knock(side, None).hears(ConnectionEnded, m.Command)
    assert "the handshake failed" in end.reason
    assert "do both sides use keys" in end.reason
    assert not farm.status()[f"{side}s"]


@SIDES
def test_a_wrong_brokers_key_is_silence_and_the_reason_says_what_it_may_be(farm, knock, keys, tmp_path, side):
    make_keys(tmp_path)
    mine = of_role(keys, side)
    end = knock(side, PeerKeys(mine.public, mine.secret, of_role(tmp_path, side).broker)).hears(
        ConnectionEnded, m.Command
    )
    assert "broker.key" in end.reason or "the handshake failed" in end.reason
    assert not farm.status()[f"{side}s"]


@SIDES
def test_bytes_that_are_not_encrypted_end_their_connection_and_nothing_else(farm, knock, keys, side):
    address = farm.clients if side == "client" else farm.workers
    hello = raw.message(m.encode(m.Status()))
    for octets in (raw.HANDSHAKE + hello, raw.GREETING + hello, bytes(range(256)) * 100, raw.GREETING[:20]):
        with contextlib.closing(raw.connect(address)) as tcp:
            raw.pour(tcp, octets)
            if len(octets) > len(raw.GREETING):
                assert raw.is_cut(tcp)
    knock(side, of_role(keys, side)).hears(m.Welcome, m.Joined)


def test_a_worker_waits_until_its_key_is_let_in_and_ends_when_it_is_revoked(farm, keys):
    """The process itself. Its batches go to another worker, and count as no attempt."""
    folder = add_key(keys, "worker", "gpu1")
    allowed = keys / "broker" / "workers" / "gpu1.key"
    public = allowed.read_bytes()
    allowed.unlink()
    pool = farm.begin_workers(1, "--keys", str(folder))
    wait_until(lambda: REFUSED_KEY in farm.logs(), "it says why it waits")
    assert not farm.status()["workers"]
    allowed.write_bytes(public)
    wait_until(lambda: len(farm.status()["workers"]) == 1, "it is let in, by a broker that ran all the time")
    other = farm.start_workers(1, "--keys", str(keys))
    image = np.zeros((1, 8, 8, 3), np.uint8)
    with Client(iaa.Identity(), farm.clients, keys=keys) as client:
        results = client.imap_batches((image for _ in iter(int, 1)), 8, with_info=True)
        first = {next(results)[1].worker_id for _ in range(40)}
        assert len(first) == 2
        allowed.unlink()
        assert pool.wait(PATIENCE) == EXIT_REVOKED
        assert "revoked the key of this worker" in farm.logs()
        later = [next(results)[1] for _ in range(20)]
        assert {info.attempts for info in later} == {0}
    other.terminate()
    other.wait()


def test_the_page_gives_health_to_everybody_and_its_report_to_who_has_the_token(farm, keys):
    def get(path, token=None):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(farm.page + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    token = (keys / "broker" / "http.token").read_text().strip()
    assert get("/healthz") == (200, b"ok\n")
    for wrong in (None, "", token[:-1], "x" * len(token)):
        code, body = get("/status.json", wrong)
        assert code == 401
        assert b"uptime" not in body
    code, body = get("/status.json", token)
    assert code == 200
    assert b"uptime" in body
    assert get("/metrics")[0] in (401, 404)


@pytest.mark.parametrize(
    ("program", "file"),
    [
        ("broker", "broker/broker.key_secret"),
        ("broker", "broker/http.token"),
        ("worker", "worker/worker.key_secret"),
        ("client.cli", "client/client.key_secret"),
    ],
)
def test_a_secret_that_others_can_read_is_one_line_and_exit_code_2(tmp_path, program, file):
    make_keys(tmp_path)
    (tmp_path / file).chmod(0o644)
    arguments = ["status", "--broker", "tcp://127.0.0.1:9"] if program == "client.cli" else []
    done = subprocess.run(
        [sys.executable, "-m", f"augfarm.{program}", *arguments, "--keys", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert f"{file} can be read by others (mode 644): chmod 600" in line
