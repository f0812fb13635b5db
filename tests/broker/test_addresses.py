"""Addresses to listen at, and sizes."""

import pytest

from augfarm.broker.addresses import check_bind, is_local, readable


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:5555", "tcp://*:5555", "tcp://[::1]:*", "ipc:///run/farm", "tcp://eth0:1"]
)
def test_good_addresses(address):
    assert check_bind(address) == address


@pytest.mark.parametrize(
    "address",
    ["", "5555", "127.0.0.1:5555", "tcp://127.0.0.1", "tcp://:5555", "tcp://a:99999", "ipc://", "udp://a:1"],
)
def test_bad_addresses(address):
    with pytest.raises(ValueError, match="expected an address"):
        check_bind(address)


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:1",
        "tcp://127.8.8.8:1",
        "tcp://localhost:*",
        "tcp://[::1]:1",
        "ipc://x",
        "127.0.0.1:80",
    ],
)
def test_only_this_machine_reaches(address):
    assert is_local(address)


@pytest.mark.parametrize(
    "address",
    [
        "tcp://*:1",
        "tcp://0.0.0.0:1",
        "tcp://127.0.0.1.evil.org:1",
        "tcp://[::]:1",
        "tcp://eth0:1",
        "0.0.0.0:80",
    ],
)
def test_others_reach(address):
    assert not is_local(address)


def test_readable():
    assert readable("tcp://[::ffff:127.0.0.1]:5555") == "tcp://127.0.0.1:5555"
    assert readable("tcp://[::1]:5555") == "tcp://[::1]:5555"
