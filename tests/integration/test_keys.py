"""Keys: what a client with the right ones gets, and what one hears that is not let in.

test_curve.py goes through all keys that a peer can come with, at both ports and from both ends.
"""

import numpy as np
import pytest
from imgaug import augmenters as iaa

from augfarm.client import Client, FarmRefused, FarmUnavailable
from augfarm.protocol import limits
from augfarm.protocol.keys import add_key, make_keys
from farms import KeyedFarm, wait_until

IMAGE = np.zeros((1, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys") / "farm"
    make_keys(folder)
    return folder


@pytest.fixture(scope="module")
def farm(keys, tmp_path_factory):
    farm = KeyedFarm(tmp_path_factory.mktemp("keyed"), keys)
    try:
        farm.start_broker()
        farm.start_workers(1, "--keys", str(keys))
        yield farm
    finally:
        farm.stop()


def results(farm, **options):
    with Client(iaa.Identity(), farm.clients, **options) as client:
        return client.map_batches([IMAGE] * 3)


def test_the_right_keys_work(farm, keys):
    assert len(results(farm, keys=keys)) == 3
    assert len(results(farm, keys=keys / "client")) == 3


def test_frames_of_full_length_pass_encrypted_both_ways(farm, keys):
    images = np.random.default_rng(0).integers(0, 256, (4, 300, 400, 3), np.uint8)
    assert images.nbytes > 5 * limits.MAX_TCP_FRAME_BYTES
    with Client(iaa.Identity(), farm.clients, keys=keys, timeout=30) as client:
        (result,) = client.map_batches([images])
    assert np.array_equal(result, images)


def test_an_unknown_key_is_refused_at_once_and_told_so(farm, tmp_path):
    make_keys(tmp_path)
    (tmp_path / "client" / "broker.key").write_bytes((farm.keys / "broker" / "broker.key").read_bytes())
    with pytest.raises(FarmRefused, match="refused the key") as caught:
        results(farm, keys=tmp_path)
    assert caught.value.code == "key"


def test_a_wrong_broker_key_is_silence_and_the_time_out_says_what_it_may_be(farm, tmp_path):
    make_keys(tmp_path)
    with pytest.raises(FarmUnavailable, match=r"broker\.key|handshake failed"):
        results(farm, keys=tmp_path, timeout=4)


def test_no_key_at_a_port_that_asks_for_one(farm):
    with pytest.raises(FarmUnavailable, match=r"handshake failed|no answer"):
        results(farm, timeout=4)


def test_a_workers_key_is_no_clients(farm, keys, tmp_path):
    for name in ("key", "key_secret"):
        source, copy = keys / "worker" / f"worker.{name}", tmp_path / f"client.{name}"
        copy.write_bytes(source.read_bytes())
        copy.chmod(0o600)
    (tmp_path / "broker.key").write_bytes((keys / "worker" / "broker.key").read_bytes())
    with pytest.raises(FarmRefused, match="refused the key for this role"):
        results(farm, keys=tmp_path)


def test_a_client_without_keys_meets_a_farm_without_keys_and_not_the_other_way(two_workers, keys):
    with pytest.raises(FarmUnavailable):
        results(two_workers, keys=keys, timeout=4)


def test_a_key_is_added_and_revoked_while_the_broker_runs(farm, keys):
    ann = add_key(keys, "client", "ann")
    with Client(iaa.Identity(), farm.clients, keys=ann) as client:
        assert len(client.map_batches([IMAGE])) == 1
        endless = client.imap_batches((IMAGE for _ in iter(int, 1)), 4)
        next(endless)
        (keys / "broker" / "clients" / "ann.key").unlink()
        with pytest.raises(FarmRefused, match="revoked") as caught:
            for _ in endless:
                pass
        assert caught.value.code == "revoked"
    wait_until(lambda: len(farm.status()["clients"]) == 0, "the session is gone")
    assert len(results(farm, keys=keys)) == 3
    with pytest.raises(FarmRefused, match="refused the key"):
        results(farm, keys=ann)


def test_keys_that_are_missing_are_an_error_before_anything_starts(tmp_path):
    with pytest.raises(ValueError, match="augfarm keys"):
        Client(iaa.Identity(), "tcp://127.0.0.1:5", keys=tmp_path)
    with pytest.raises(ValueError, match="local farm"):
        Client(iaa.Identity(), keys=tmp_path, processes=1)
