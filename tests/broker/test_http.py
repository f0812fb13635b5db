"""/healthz and /status.json, over a broker's loop that runs, is stuck, or has ended."""

import json
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


def get(page, path):
    try:
        with urllib.request.urlopen(f"http://{page.address}{path}", timeout=10) as answer:
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
