"""Who is let in, and what is logged of those who are not. With sockets: tests/integration/test_curve.py."""

import pytest

from augfarm.broker import gate
from augfarm.broker.gate import _Folder
from augfarm.protocol.keys import BrokerKeys, PeerKeys, add_key, make_keys

STRANGER = b"s" * 40


@pytest.fixture
def root(tmp_path):
    make_keys(tmp_path)
    return tmp_path


@pytest.fixture
def door(root):
    return _Folder(BrokerKeys(root), "client")


def public(root, role):
    return PeerKeys.load(root, role).public


def test_the_keys_in_the_folder_of_the_role_are_let_in(door, root, caplog):
    assert door.callback("client", public(root, "client"))
    assert caplog.text == ""
    assert not door.callback("client", public(root, "worker"))
    assert not door.callback("client", STRANGER)
    assert not door.callback("worker", public(root, "client"))


def test_a_refused_key_is_logged_once_with_what_it_is(door, root, caplog):
    for _ in range(3):
        door.callback("client", STRANGER)
        door.callback("client", public(root, "worker"))
    assert caplog.messages == [
        f"the key {STRANGER.decode()} was refused at the port for clients: no folder has it",
        f"the key {public(root, 'worker').decode()} was refused at the port for clients: it is a worker's",
    ]


def test_a_key_that_was_let_in_since_is_logged_again(door, root, caplog):
    ann = PeerKeys.load(add_key(root, "client", "ann"), "client").public
    file = root / "broker" / "clients" / "ann.key"
    octets = file.read_bytes()
    for is_allowed in (False, True, False):
        if is_allowed:
            file.write_bytes(octets)
        else:
            file.unlink()
        assert door.callback("client", ann) == is_allowed
    assert len(caplog.messages) == 2


def test_whoever_makes_keys_without_end_does_not_fill_the_log(door, caplog, monkeypatch):
    monkeypatch.setattr(gate, "MOST_TOLD", 5)
    for number in range(20):
        assert not door.callback("client", b"%040d" % number)
    assert len(caplog.messages) == 5
