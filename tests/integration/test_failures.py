"""What a caller sees when something is wrong: at once, by name, and nothing else is lost."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from imgaug import augmenters as iaa
from imgaug.augmentables.batches import UnnormalizedBatch

from augfarm.client import (
    AugmentationFailed,
    Client,
    ClosedError,
    FailedBatch,
    FarmRefused,
    FarmUnavailable,
    InvalidBatch,
    InvalidPipeline,
    Seed,
)
from farms import alive, free_port, quokka_batches, tutorial, wait_until

IMAGE = np.zeros((1, 8, 8, 3), np.uint8)
#: AssertShape raises on the worker for whatever is not 8x8.
PICKY = iaa.AssertShape((None, 8, 8, 3))
WRONG = np.zeros((1, 4, 4, 3), np.uint8)


def test_an_augmenter_that_raises_names_batch_worker_seed_and_traceback(two_workers):
    with Client(PICKY, two_workers.clients, seed=3) as client:
        results = client.imap_batches([IMAGE, IMAGE, WRONG, IMAGE], 4)
        next(results), next(results)
        with pytest.raises(AugmentationFailed) as caught:
            next(results)
        error = caught.value
        assert error.index == 2
        assert error.seed == Seed("worker", 3, 2, error.worker_id)
        assert error.exception_type == "AssertionError"
        assert "AssertShape" in error.remote_traceback or "meta.py" in error.remote_traceback
        assert "batch 2" in str(error)
        with pytest.raises(StopIteration):
            next(results)
        with pytest.raises(AssertionError):
            client.replay(WRONG, error.seed)
        assert len(client.map_batches([IMAGE])) == 1


def test_on_error_skip_and_return(two_workers):
    with Client(PICKY, two_workers.clients) as client:
        given = [IMAGE, WRONG, IMAGE]
        assert len(client.map_batches(given, on_error="skip")) == 2
        results = client.map_batches(given, on_error="return", start=10)
        assert isinstance(results[1], FailedBatch)
        assert results[1].index == 11
        assert results[1].batch is WRONG
        assert isinstance(results[1].error, AugmentationFailed)


def test_a_batch_that_cannot_be_sent_is_named_and_the_others_come(two_workers):
    bad = {"images": [IMAGE[0], np.zeros((4, 4), object)]}
    with Client(iaa.Identity(), two_workers.clients) as client:
        results = client.imap_batches([IMAGE, bad], 4)
        next(results)
        with pytest.raises(InvalidBatch) as caught:
            next(results)
        assert caught.value.index == 1
        assert caught.value.field == "images[1]"
        results = client.map_batches([bad, IMAGE, 3], on_error="return")
        assert [isinstance(r, FailedBatch) for r in results] == [True, False, True]


def test_a_generator_that_raises_gives_all_before_it_then_its_own_exception(two_workers):
    def source():
        for _ in range(5):
            yield IMAGE
        raise KeyError("the disk is gone")

    with Client(iaa.Identity(), two_workers.clients) as client:
        for method in (client.imap_batches, client.imap_batches_unordered):
            results = method(source(), 3)
            assert len(list(itertools.islice(results, 5))) == 5
            with pytest.raises(KeyError, match="the disk is gone"):
                next(results)


def test_undecodable_bytes_fail_alone(two_workers):
    with Client(iaa.Identity(), two_workers.clients) as client:
        results = client.map_batches([[b"\xff\xd8\xff not a JPEG"], IMAGE], on_error="return")
        assert isinstance(results[0], FailedBatch)
        assert "images[0]" in str(results[0].error)
        assert not isinstance(results[1], FailedBatch)


def test_no_broker_says_so_and_times_out(caplog):
    address = f"tcp://127.0.0.1:{free_port()}"
    with Client(iaa.Identity(), address, timeout=4.0) as client:
        results = client.imap_batches([IMAGE])
        with pytest.raises(FarmUnavailable, match=address) as caught:
            next(results)
        assert caught.value.waiting_for == "broker"
        assert any(address in record.getMessage() for record in caplog.records)


def test_no_workers_says_so_and_a_timeout_loses_nothing(farm_of):
    farm = farm_of(0)
    with Client(iaa.Identity(), farm.clients, timeout=3.0) as client:
        results = client.imap_batches([IMAGE])
        with pytest.raises(FarmUnavailable, match="no workers") as caught:
            next(results)
        assert caught.value.waiting_for == "workers"
        farm.start_workers(1)

        def batch():
            # On a busy machine it has timed out again by now, which the next call is told as well.
            with contextlib.suppress(FarmUnavailable):
                return [next(results)]

        assert np.array_equal(wait_until(batch, "the batch comes")[0], IMAGE)


def test_broker_and_workers_may_come_after_the_client(farm_of, tmp_path):
    from farms import Farm

    farm = Farm(tmp_path)
    try:
        with Client(iaa.Identity(), farm.clients) as client:
            results = client.imap_batches([IMAGE] * 3)
            farm.start_broker()
            farm.start_workers(1)
            assert len(list(results)) == 3
    finally:
        farm.stop()


def test_another_protocol_version_is_refused_by_name(two_workers, monkeypatch):
    monkeypatch.setattr("augfarm.protocol.limits.PROTOCOL_VERSION", 99)
    with (
        Client(iaa.Identity(), two_workers.clients) as client,
        pytest.raises(FarmRefused, match="speaks protocol 1") as caught,
    ):
        client.map_batches([IMAGE])
    assert caught.value.code == "version"


def test_a_pipeline_of_another_imgaug_is_refused_by_name(two_workers, tmp_path):
    import json

    from augfarm.protocol import pipelines

    spec = json.loads(pipelines.encode(iaa.Identity()))
    spec["imgaug"]["version"] = "9.9.9"
    with Client(spec, two_workers.clients) as client, pytest.raises(FarmRefused, match=r"9\.9\.9"):
        client.map_batches([IMAGE], on_error="skip")


def test_a_function_inside_is_refused_before_anything_starts(two_workers):
    with pytest.raises(InvalidPipeline, match="allow-import"):
        Client(iaa.Sequential([iaa.Lambda(func_images=lambda i, *_: i)]), two_workers.clients)


@pytest.mark.parametrize(
    "arguments",
    [
        {"address": "tcp://h:1", "processes": 2},
        {"address": "5555"},
        {"address": "tcp://host"},
        {"processes": 0},
        {"seed": -1, "address": "tcp://h:1"},
        {"seeding": "epoch", "address": "tcp://h:1"},
        {"timeout": 0, "address": "tcp://h:1"},
        {"maxtasksperchild": 3, "address": "tcp://h:1"},
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match=r"expected|not both|local farm"):
        Client(iaa.Identity(), **arguments)


def test_calls_check_their_arguments_before_anything_is_taken(two_workers):
    with Client(iaa.Identity(), two_workers.clients) as client:
        for bad in ({"output_buffer_size": 0}, {"on_error": "ignore"}, {"start": -1}):
            with pytest.raises(ValueError, match="expected"):
                client.imap_batches([IMAGE], **bad)
        with pytest.raises(ValueError, match="iterable"):
            client.imap_batches(3)


def test_a_closed_client_says_so_in_every_thread_that_waits(farm_of):
    farm = farm_of(0)
    client = Client(iaa.Identity(), farm.clients)
    pending = client.map_batches_async([IMAGE])
    with pytest.raises(ValueError, match="open"):
        client.join()
    client.terminate()
    client.join()
    with pytest.raises(ClosedError):
        pending.get(30)
    with pytest.raises(ClosedError):
        client.map_batches([IMAGE])


def test_close_waits_for_results_in_the_background(two_workers):
    client = Client(iaa.Identity(), two_workers.clients)
    done = []
    result = client.map_batches_async([IMAGE] * 20, callback=done.append)
    client.close()
    assert result.successful()
    assert len(result.get(0)) == 20
    assert len(done[0]) == 20


def test_map_async_hands_errors_to_their_callback(two_workers):
    with Client(PICKY, two_workers.clients) as client:
        errors = []
        result = client.map_batches_async([WRONG], error_callback=errors.append)
        with pytest.raises(AugmentationFailed):
            result.get(30)
        assert isinstance(errors[0], AugmentationFailed)
        assert not result.successful()


def in_child(function):
    """The exit code of a child that calls `function`: 0 where that raised ClosedError, 3 where nothing."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
        except ClosedError as error:
            os._exit(0 if "forked" in str(error) else 1)
        except BaseException:
            os._exit(2)
        os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_is_told_whatever_it_inherits_and_harms_nothing(two_workers):
    with Client(iaa.Identity(), two_workers.clients) as client:
        client.map_batches([IMAGE])
        begun, fresh = client.imap_batches([IMAGE] * 50, 4), client.imap_batches([IMAGE], 4)
        next(begun)
        result = client.map_batches_async([IMAGE] * 50)
        for function in (
            lambda: client.map_batches([IMAGE]),
            lambda: next(begun),
            lambda: next(fresh),
            result.get,
            result.wait,
        ):
            assert in_child(function) == 0
        for function in (begun.close, client.close, client.terminate):
            assert in_child(function) == 3, "closing in a child does nothing"
        assert len(list(begun)) == 49
        assert len(result.get(30)) == 50


def test_a_callback_and_a_source_may_close_the_client(two_workers):
    client = Client(iaa.Identity(), two_workers.clients)
    closed = []
    result = client.map_batches_async([IMAGE] * 3, callback=lambda batches: closed.append(client.close()))
    assert len(result.get(30)) == 3
    assert closed

    other = Client(iaa.Identity(), two_workers.clients)

    def source():
        yield IMAGE
        other.close()
        yield IMAGE

    with pytest.raises(ClosedError):
        other.map_batches_async(source()).get(30)


def test_more_calls_than_the_broker_takes_at_once_take_turns(two_workers):
    with Client(iaa.Identity(), two_workers.clients) as client:
        results = [client.map_batches_async([IMAGE] * 3) for _ in range(80)]
        assert all(len(result.get(60)) == 3 for result in results)


def test_a_stop_iteration_from_inside_does_not_look_like_the_end(two_workers):
    class Odd:
        def __iter__(self):
            raise StopIteration

    with Client(iaa.Identity(), two_workers.clients) as client:
        results = client.imap_batches(Odd())
        with pytest.raises(RuntimeError, match="StopIteration"):
            next(results)


def test_a_batch_that_cannot_be_restored_fails_alone(two_workers):
    class Uncopyable(UnnormalizedBatch):
        def __copy__(self):
            raise KeyError("mine")

    with Client(iaa.Identity(), two_workers.clients) as client:
        results = client.map_batches([Uncopyable(images=IMAGE), IMAGE], on_error="return")
        assert isinstance(results[0], FailedBatch)
        assert "mine" in str(results[0].error)
        assert np.array_equal(results[1], IMAGE)


LOCAL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
import augfarm.compat
import numpy as np
from imgaug import augmenters as iaa
from augfarm.client import Client
client = Client(iaa.Identity(), processes=2)
results = client.imap_batches((np.zeros((1, 8, 8, 3), np.uint8) for _ in iter(int, 1)), 8)
next(results)
children = client._farm.pids()
print(*children.values(), client._farm.address.removeprefix("ipc://").rpartition("/")[0], flush=True)
sys.stdin.readline()  # until the test has looked
{end}
"""


@pytest.mark.parametrize(
    "end",
    [
        "import os; os.kill(os.getpid(), 9)",
        "pass",
        "client.close()",
        "raise SystemExit(3)",
        "sys.stdin.read()",
    ],
)
def test_a_local_farm_is_gone_with_its_client_however_it_ends(end):
    trainer = subprocess.Popen(
        [sys.executable, "-c", LOCAL.format(end=end)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    try:
        broker, pool, scratch = trainer.stdout.readline().split()
        pids = [int(broker), int(pool), *children_of(int(pool))]
        assert len(pids) == 4
        assert os.path.isdir(scratch)
        trainer.stdin.write("\n")
        trainer.stdin.flush()
        if "stdin" in end:
            os.kill(trainer.pid, 2)  # Ctrl-C in the trainer
        wait_until(lambda: not any(alive(pid) for pid in pids), f"{pids} end")
        wait_until(lambda: not os.path.exists(scratch), f"{scratch} is removed")
    finally:
        trainer.kill()
        trainer.wait()
        trainer.stdout.close()
        trainer.stdin.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
@pytest.mark.parametrize("who", ["broker", "worker"])
def test_a_local_farm_starts_its_broker_and_pool_again(who, number):
    with Client(tutorial(), processes=1, seed=1, seeding="batch") as client:
        batches = quokka_batches(12, images=1, size=48)
        results = client.imap_batches(batches, 4)
        next(results)
        before = client._farm.pids()
        os.kill(before[who], number)
        assert len(list(results)) == 11
        assert len(client.map_batches(batches)) == 12
        assert before[who] != client._farm.pids()[who]


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def test_where_the_time_went_is_told(two_workers):
    with Client(tutorial(), two_workers.clients) as client:
        began = time.monotonic()
        infos = [info for _, info in client.imap_batches(quokka_batches(6), 6, with_info=True)]
        total = time.monotonic() - began
    for info in infos:
        parts = (info.seconds_queued, info.seconds_wire, info.seconds_augmenting, info.seconds_waiting)
        assert all(part >= 0 for part in parts)
        assert info.seconds_augmenting > 0
        assert sum(parts) <= total
        assert info.attempts == 0
