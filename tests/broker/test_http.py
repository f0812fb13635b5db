"""/healthz and /status.json, over a broker's loop that runs, is stuck, or has ended."""

import json
import select
import socket
import threading
import urllib.error
import urllib.request

import pytest

from augfarm.broker import http
from augfarm.broker.http import Page
from augfarm.broker.service import CannotBind, Service


@pytest.fixture
def service(tmp_path):
    service = Service(clients=f"ipc://{tmp_path}/c", workers=f"ipc://{tmp_path}/w", software="augfarm 1.2")
    yield service
    service.close()


@pytest.fixture
def page(service):
    page = Page(service.context, "127.0.0.1:0")
    page.start()
    yield page
    page.stop()


@pytest.fixture
def _runs(service, page):
    thread = threading.Thread(target=service.run)
    thread.start()
    yield
    service.stop()
    thread.join(10)


def get(page, path, headers=None):
    request = urllib.request.Request(f"http://{page.address}{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.usefixtures("_runs")
def test_a_broker_that_runs(page):
    assert get(page, "/healthz") == (200, b"ok\n")
    code, body = get(page, "/status.json")
    assert code == 200
    assert json.loads(body)["version"] == "1.2"
    assert get(page, "/")[0] == 404


@pytest.mark.usefixtures("_runs")
def test_with_a_token_only_health_is_for_everybody(service):
    page = Page(service.context, "127.0.0.1:0", "secret")
    page.start()
    try:
        assert get(page, "/healthz")[0] == 200
        assert get(page, "/status.json")[0] == 401
        for given, code in (
            ("Bearer secret", 200),
            ("Bearer wrong", 401),
            ("secrets", 401),
            ("Bearer ", 401),
        ):
            assert get(page, "/status.json", {"Authorization": given})[0] == code
    finally:
        page.stop()


def test_a_broker_that_is_stuck_shows(page, monkeypatch):
    monkeypatch.setattr(http, "ANSWER_TIMEOUT_MS", 100)
    assert get(page, "/healthz") == (503, b"the broker does not answer\n")


def test_a_port_in_use_is_said_so(service, page):
    with pytest.raises(
        CannotBind, match=r"--http: cannot listen at 127\.0\.0\.1:\d+: Address already in use"
    ):
        Page(service.context, page.address)


@pytest.mark.parametrize("address", ["8780", "localhost", "127.0.0.1:http", "127.0.0.1:70000", ":1"])
def test_an_address_that_makes_no_sense_is_said_so(service, address):
    with pytest.raises(CannotBind, match="expected HOST:PORT"):
        Page(service.context, address)


# --- who asks slowly, or too much ---------------------------------------------------------------------------

PATIENCE_S = 10


def connect(page):
    host, _, port = page.address.rpartition(":")
    return socket.create_connection((host, int(port)), PATIENCE_S)


def is_hung_up(connection, seconds):
    """Whether the server ends the connection within this time."""
    if not select.select([connection], [], [], seconds)[0]:
        return False
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def dribble(connection, ended, seconds=PATIENCE_S):
    """Send a byte every 0.05 s until `ended()`; whether that came to be."""
    for _ in range(int(seconds / 0.05)):
        if ended():
            return True
        try:
            connection.send(b"a")
        except ConnectionError:
            return ended()
    return False


@pytest.mark.usefixtures("_runs")
def test_a_request_that_never_ends_does_not_keep_the_broker(page):
    stopped = threading.Event()

    def stop():
        page.stop()
        stopped.set()

    with connect(page) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nX: ")
        assert get(page, "/healthz")[0] == 200, "the slow request, which came first, is being read"
        threading.Thread(target=stop, daemon=True).start()
        assert dribble(connection, lambda: stopped.wait(0.05))


@pytest.mark.usefixtures("_runs")
def test_the_whole_request_has_one_time_limit(page, monkeypatch):
    monkeypatch.setattr(http, "REQUEST_TIMEOUT_S", 0.3)
    with connect(page) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nX: ")
        assert dribble(connection, lambda: is_hung_up(connection, 0.05))


def test_requests_at_once_are_bounded(service, monkeypatch):
    monkeypatch.setattr(http, "MAX_REQUESTS", 2)
    page = Page(service.context, "127.0.0.1:0")
    page.start()
    with connect(page) as first, connect(page) as second:
        with connect(page) as third:
            assert is_hung_up(third, PATIENCE_S)
        assert not is_hung_up(first, 0)
        assert not is_hung_up(second, 0)
        first.close()
        # Its thread ends a little later than that.
        assert any(get_or_none(page, "/") == 404 for _ in range(1000))
    page.stop()


def get_or_none(page, path):
    try:
        return get(page, path)[0]
    except OSError:
        return None


class HeldSocket:
    """A socket of ZeroMQ's that is held until the page has stopped, or for a while if that waits for it."""

    def __init__(self, story, stopped):
        self.story, self.stopped, self.polled = story, stopped, threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.story.append("closed")

    def connect(self, _):
        self.story.append("made")

    def send(self, _):
        pass

    def poll(self, _):
        self.polled.set()
        self.stopped.wait(0.3)
        return 0


class OneSocket:
    """A context that gives this socket."""

    def __init__(self, held):
        self.held = held

    def socket(self, _kind):
        return self.held


def test_stopping_waits_for_sockets_and_none_is_made_afterwards():
    story, stopped = [], threading.Event()
    held = HeldSocket(story, stopped)
    page = Page(OneSocket(held), "127.0.0.1:0")
    page.start()
    with connect(page) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert held.polled.wait(PATIENCE_S)
        page.stop()
        story.append("stopped")
        stopped.set()
        assert connection.recv(100).startswith(b"HTTP/1.0 503"), "it is answered all the same"
    assert page._server.ask() is None
    assert story == ["made", "closed", "stopped"]
