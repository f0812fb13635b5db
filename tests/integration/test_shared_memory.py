"""Pixels through memory on one host: who gets them so, who does not, and what is left when somebody dies."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imgaug import augmenters as iaa

from augfarm.client import Client
from augfarm.client.events import BatchTaken
from augfarm.protocol import pipelines
from augfarm.protocol.memory import can_share
from farms import PATIENCE, Farm, alive, running_farm, wait_until

pytestmark = pytest.mark.skipif(not can_share(), reason="needs Linux's memory files")

#: 192 KiB a batch: far more than what travels as frames in any case.
SHAPE = (4, 128, 128, 3)
#: One that changes each pixel, and keeps nothing of the batch.
PIPELINE = iaa.Sequential([iaa.Fliplr(0.5), iaa.Add((-20, 20))])


def batch(number):
    return np.random.default_rng(number).integers(0, 256, SHAPE, dtype=np.uint8)


def stream(client, count, **options):
    """The SHA-256 of all that comes back."""
    digest = hashlib.sha256()
    for result in client.imap_batches(map(batch, range(count)), **options):
        digest.update(result.tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def expected():
    with Client(PIPELINE, processes=1, seed=3, seeding="batch") as client:
        return {count: stream(client, count, start=0) for count in (30, 100)}


@pytest.fixture
def farm(tmp_path):
    with running_farm(tmp_path, 2) as farm:
        yield farm


def client_of(farm):
    return Client(PIPELINE, farm.clients, seed=3, seeding="batch")


def routes(farm):
    return sorted(worker["route"] for worker in farm.status()["workers"])


def shared_memory(pid, right):
    """The memory files that a process sees: with "w" those that it has made itself, with "r" all."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    columns = [line.split() for line in lines if "/memfd:augfarm" in line]
    return {int(inode) for _, rights, _, _, inode, *_ in columns if right in rights}


def own_memory(pid):
    return shared_memory(pid, "w")


def seen_memory(pid):
    return shared_memory(pid, "r")


def test_on_one_host_it_is_used_and_nothing_changes(farm, expected):
    with client_of(farm) as client:
        assert stream(client, 30) == expected[30]
        wait_until(lambda: routes(farm) == ["shm", "shm"], "both workers see the client's memory")
        assert stream(client, 100, start=0) == expected[100]
        held = farm.status()["memory"]["held"]
    assert held < 100_000, "the pixels are not at the broker"
    assert routes(farm) == ["relay", "relay"], "with the client its memory is gone"


def test_it_can_be_turned_off(farm, expected, monkeypatch):
    monkeypatch.setenv("AUGFARM_SHARED_MEMORY", "0")
    with client_of(farm) as client:
        assert stream(client, 30) == expected[30]
        assert routes(farm) == ["relay", "relay"]


def test_a_worker_without_it_gets_frames_beside_one_with(tmp_path, expected, monkeypatch):
    with running_farm(tmp_path, 1) as farm:
        monkeypatch.setenv("AUGFARM_SHARED_MEMORY", "0")
        farm.start_workers(1)
        monkeypatch.delenv("AUGFARM_SHARED_MEMORY")
        with client_of(farm) as client:
            assert stream(client, 100) == expected[100]
            assert routes(farm) == ["relay", "shm"]
        assert all(worker["done"] for worker in farm.status()["workers"])


def _in_another_network(farm, tmp_path):
    workers = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-m", "augfarm.worker", "--broker", farm.workers],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=(tmp_path / "there.log").open("wb"),
        start_new_session=True,
    )
    farm.processes.append(workers)


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
def test_a_worker_that_only_looks_local_gets_frames(tmp_path, expected):
    """As in another container: the same host name and the same files, and no way to the client."""
    farm = Farm(tmp_path)
    farm.workers = f"ipc://{tmp_path}/workers"
    try:
        farm.start_broker()
        _in_another_network(farm, tmp_path)
        with client_of(farm) as client:
            assert stream(client, 30) == expected[30]
            assert set(routes(farm)) == {"relay"}
    finally:
        farm.stop()


def test_two_clients_do_not_see_each_others_batches(farm, expected):
    with client_of(farm) as one, Client(iaa.Identity(), farm.clients, seed=3) as other:
        first = one.imap_batches(map(batch, range(100)), 6)
        second = other.imap_batches(map(batch, range(100)), 6)
        digest = hashlib.sha256()
        for number, (augmented, same) in enumerate(zip(first, second, strict=True)):
            digest.update(augmented.tobytes())
            np.testing.assert_array_equal(same, batch(number))
        assert digest.hexdigest() == expected[100]


def test_results_are_the_callers_own(farm):
    with Client(iaa.Identity(), farm.clients, seed=3) as client:
        kept = client.map_batches(map(batch, range(60)))
        for number, result in enumerate(kept):
            np.testing.assert_array_equal(result, batch(number))
            result[:] = number
        again = client.map_batches(map(batch, range(60)))
    for number, (result, other) in enumerate(zip(kept, again, strict=True)):
        assert (result == number).all()
        np.testing.assert_array_equal(other, batch(number))


@pytest.mark.parametrize("setting", ["512", "0"])
def test_an_image_that_stands_16_times_in_a_batch_travels_once(farm, setting, monkeypatch):
    monkeypatch.setenv("AUGFARM_SHARED_MEMORY", setting)
    image = np.random.default_rng(0).integers(0, 256, (225, 225, 3), dtype=np.uint8)
    sizes = []
    with Client(iaa.Add(5), farm.clients, seed=3) as client:
        post = client._service.post

        def listening(event, subject=None):
            sizes.extend([event.octets] if isinstance(event, BatchTaken) else [])
            post(event, subject)

        monkeypatch.setattr(client._service, "post", listening)
        for results in client.imap_batches([[image] * 16 for _ in range(30)], 4):
            assert len(results) == 16
            for number, result in enumerate(results):
                np.testing.assert_array_equal(result, np.clip(image.astype(int) + 5, 0, 255))
                assert not any(np.shares_memory(result, other) for other in results[:number])
        assert routes(farm) == (["relay"] * 2 if setting == "0" else ["shm"] * 2)
    assert len(sizes) == 30
    assert max(sizes) < image.nbytes + 10_000


def test_a_full_memory_means_frames(farm, expected, monkeypatch):
    monkeypatch.setenv("AUGFARM_SHARED_MEMORY", "1")  # MiB: five batches
    with client_of(farm) as client:
        stream(client, 30)
        assert stream(client, 100, start=0, output_buffer_size=20) == expected[100]
        assert routes(farm) == ["shm", "shm"]


def test_killed_workers_take_nothing_with_them(farm, expected):
    with client_of(farm) as client:
        digest = hashlib.sha256()
        for number, result in enumerate(client.imap_batches(map(batch, range(100)), 8)):
            digest.update(result.tobytes())
            if number in (20, 40, 60):
                os.kill(farm.worker_pids()[0], signal.SIGKILL)
        assert digest.hexdigest() == expected[100]


def test_a_restarted_broker_finds_it_again(farm, expected):
    with client_of(farm) as client:
        digest = hashlib.sha256()
        for number, result in enumerate(client.imap_batches(map(batch, range(100)), 8)):
            digest.update(result.tobytes())
            if number in (20, 60):
                farm.broker.kill()
                farm.broker.wait()
                farm.start_broker()
        assert digest.hexdigest() == expected[100]
        wait_until(lambda: len(farm.status()["workers"]) == 2, "the workers are back")
        stream(client, 30)
        assert routes(farm) == ["shm", "shm"]


TRAINER = """
import itertools, sys
import numpy as np
from augfarm.client import Client
from augfarm.client.events import BatchTaken
with Client(sys.argv[1], sys.argv[2], seed=1) as client:
    endless = itertools.repeat(np.zeros((4, 128, 128, 3), np.uint8))
    for number, _ in enumerate(client.imap_batches(endless, 8)):
        if number == 30:
            print("ready", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_client_leaves_no_memory(farm, tmp_path, number):
    spec = tmp_path / "spec.json"
    spec.write_bytes(pipelines.load(PIPELINE))
    trainer = subprocess.Popen(
        [sys.executable, "-c", TRAINER, spec, farm.clients],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert trainer.stdout.readline() == b"ready\n"
    theirs = own_memory(trainer.pid)
    pids = [farm.broker.pid, *farm.worker_pids()]
    assert all(seen_memory(pid) & theirs for pid in pids), "all see it"
    trainer.send_signal(number)
    trainer.wait()
    wait_until(lambda: not any(seen_memory(pid) & theirs for pid in pids), "nobody sees it any more")


def test_a_forked_child_does_not_keep_it(farm):
    with client_of(farm) as client:
        stream(client, 30)
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
        try:
            mine = own_memory(os.getpid())
            assert mine
            client.close()
            assert not own_memory(os.getpid())
            pids = farm.worker_pids()
            wait_until(lambda: not any(seen_memory(pid) & mine for pid in pids), "they see that it has ended")
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_a_frozen_worker_that_wakes_changes_nothing(farm, expected):
    with client_of(farm) as client:
        digest = hashlib.sha256()
        frozen = None
        for number, result in enumerate(client.imap_batches(map(batch, range(100)), 8)):
            digest.update(result.tobytes())
            if number == 20:
                frozen = farm.worker_pids()[0]
                os.kill(frozen, signal.SIGSTOP)
            if number == 80:
                os.kill(frozen, signal.SIGCONT)
        assert digest.hexdigest() == expected[100]
        assert alive(frozen)
        wait_until(lambda: len(farm.status()["workers"]) == 2, "it has joined again", PATIENCE)
