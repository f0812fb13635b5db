"""CURVE keys as files."""

import os
import stat

import pytest

from augfarm.protocol.keys import BrokerKeys, KeyFileError, PeerKeys, add_key, make_keys


@pytest.fixture
def folder(tmp_path):
    make_keys(tmp_path / "keys")
    return tmp_path / "keys"


def test_each_role_has_what_it_needs_and_no_more(folder):
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    assert files == [
        "broker/broker.key",
        "broker/broker.key_secret",
        "broker/clients/client.key",
        "broker/http.token",
        "broker/workers/worker.key",
        "client/broker.key",
        "client/client.key",
        "client/client.key_secret",
        "worker/broker.key",
        "worker/worker.key",
        "worker/worker.key_secret",
    ]
    for file in folder.rglob("*.key_secret"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("role", ["client", "worker"])
def test_peers_and_broker_know_each_other_by_folder_and_by_root(folder, role):
    broker = BrokerKeys(folder)
    for place in (folder, folder / role):
        peer = PeerKeys.load(place, role)
        assert peer.broker == broker.public
        assert broker.allowed(role) == {peer.public.decode()}
        assert peer.secret.decode() not in repr(peer)
    assert BrokerKeys(folder / "broker").public == broker.public


def test_roles_have_keys_of_their_own(folder):
    broker = BrokerKeys(folder)
    assert not broker.allowed("client") & broker.allowed("worker")


def test_keys_are_added_and_revoked_while_the_broker_looks(folder):
    broker = BrokerKeys(folder)
    before = broker.allowed("client")
    added = PeerKeys.load(add_key(folder, "client", "ann"), "client")
    assert broker.allowed("client") == before | {added.public.decode()}
    (folder / "broker" / "clients" / "ann.key").unlink()
    assert broker.allowed("client") == before


def test_a_file_that_is_no_key_lets_nobody_in(folder):
    broker = BrokerKeys(folder)
    before = broker.allowed("client")
    (folder / "broker" / "clients" / "odd.key").write_text("hello")
    assert broker.allowed("client") == before


def test_a_secret_that_others_can_read_is_refused(folder):
    file = folder / "client" / "client.key_secret"
    os.chmod(file, 0o640)
    with pytest.raises(KeyFileError, match=r"client\.key_secret.*others.*640.*chmod 600"):
        PeerKeys.load(folder, "client")


def test_the_http_token_is_private_and_of_its_own(folder, tmp_path):
    make_keys(tmp_path / "other")
    token = BrokerKeys(folder).http_token()
    assert len(token) >= 40
    assert token != BrokerKeys(tmp_path / "other").http_token()
    os.chmod(folder / "broker" / "http.token", 0o644)
    with pytest.raises(KeyFileError, match="others"):
        BrokerKeys(folder).http_token()


def test_existing_keys_are_not_written_over(folder):
    with pytest.raises(KeyFileError, match="already"):
        make_keys(folder)
    with pytest.raises(KeyFileError, match="already"):
        add_key(folder, "client", "client")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "broker"])
def test_names_that_are_no_files_are_refused(folder, name):
    with pytest.raises(KeyFileError):
        add_key(folder, "client", name)


def test_what_is_missing_is_said_with_the_command_that_makes_it(tmp_path):
    for load in (lambda: PeerKeys.load(tmp_path, "client"), lambda: BrokerKeys(tmp_path)):
        with pytest.raises(KeyFileError, match="augfarm keys"):
            load()
    with pytest.raises(KeyFileError, match="augfarm keys"):
        add_key(tmp_path, "client", "ann")


def contents(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_made_at_every_start_they_are_made_once(tmp_path):
    for name in ("broker", "client", "worker"):
        (tmp_path / name).mkdir()  # as volumes are, before anything is in them
    assert make_keys(tmp_path, if_missing=True) == [tmp_path / n for n in ("broker", "client", "worker")]
    before = contents(tmp_path)
    assert PeerKeys.load(tmp_path, "client").broker == BrokerKeys(tmp_path).public
    assert make_keys(tmp_path, if_missing=True) == []
    assert contents(tmp_path) == before


def test_made_at_every_start_a_revoked_key_stays_revoked(folder):
    (folder / "broker" / "clients" / "client.key").unlink()
    assert make_keys(folder, if_missing=True) == []
    assert BrokerKeys(folder).allowed("client") == frozenset()


def test_a_folder_that_was_lost_or_never_completed_is_filled_anew(folder):
    worker, lost = PeerKeys.load(folder, "worker"), PeerKeys.load(folder, "client")
    (folder / "client" / "broker.key").unlink()  # the last file to be written
    (folder / "broker" / "http.token").unlink()
    assert make_keys(folder, if_missing=True) == [folder / "client"]
    broker, client = BrokerKeys(folder), PeerKeys.load(folder, "client")
    assert broker.allowed("client") == {client.public.decode()} != {lost.public.decode()}
    assert broker.http_token()
    assert PeerKeys.load(folder, "worker") == worker


def test_a_new_broker_gets_new_peers(folder):
    for file in (folder / "broker").rglob("*.key*"):
        file.unlink()
    assert len(make_keys(folder, if_missing=True)) == 3
    broker = BrokerKeys(folder)
    for role in ("client", "worker"):
        assert PeerKeys.load(folder, role).broker == broker.public
