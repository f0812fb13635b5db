"""Workers that answer batches wrongly: each batch has one end, an error that names it at worst, and no client
waits or falls."""

import os
import threading

import msgpack
import numpy as np
import pytest
import zmq
from imgaug import augmenters as iaa

from augfarm.client import AugmentationFailed, Client, FailedBatch
from augfarm.protocol import messages as m
from augfarm.protocol.codec import Record, decode_body, encode_body
from farms import wait_until

from .raw import Peer

pytestmark = pytest.mark.slow

IMAGE = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
FRAME_BYTES = 2**18


class Worker:
    """A worker in a thread that answers each batch with what `respond(request)` gives: lists of frames."""

    def __init__(self, farm, respond):
        self.context = zmq.Context()
        self.peer = Peer(self.context, farm.workers, "worker")
        self.respond = respond
        self.peer.opens(os.urandom(16), credit=2)
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.is_over.is_set():
            if self.peer.socket.poll(20):
                octets, *body = self.peer.socket.recv_multipart()
                command = m.decode(octets, m.TO_WORKER)
                if isinstance(command, m.Dispatch):
                    for frames in self.respond(body):
                        self.peer.say(m.Result(command.ticket, 1, 0.1), *frames)

    def stop(self):
        self.is_over.set()
        self.thread.join()
        self.context.destroy(linger=0)


@pytest.fixture
def hostile(farm_of):
    """A farm whose only worker answers so."""
    workers = []

    def start(respond):
        farm = farm_of(0)
        workers.append(Worker(farm, respond))
        return farm

    yield start
    for worker in workers:
        worker.stop()


def columns_of(request):
    return decode_body(request)["columns"]


def result(columns):
    return encode_body({"columns": columns}, frame_bytes=FRAME_BYTES)


def test_a_worker_that_answers_twice(hostile):
    farm = hostile(lambda request: [result(columns_of(request))] * 2)
    with Client(iaa.Identity(), farm.clients) as client:
        results = client.map_batches([IMAGE + n for n in range(30)])
    assert all(np.array_equal(got, IMAGE + n) for n, got in enumerate(results))
    wait_until(lambda: farm.status()["totals"]["late"] == 30, "each second answer is dropped")
    assert farm.status()["totals"]["done"] == 30


BAD_RESULTS = {
    "no frames that fit": lambda _: [b"\x93\x01\x02\x03", b"x"],
    "no msgpack": lambda _: [b"\xc1" * 100],
    "a table alone": lambda _: [msgpack.packb([10])],
    "nothing": lambda _: encode_body(None, frame_bytes=FRAME_BYTES),
    "a list": lambda _: encode_body([1, 2, 3], frame_bytes=FRAME_BYTES),
    "no columns": lambda _: encode_body({}, frame_bytes=FRAME_BYTES),
    "columns of no map": lambda _: encode_body({"columns": 3}, frame_bytes=FRAME_BYTES),
    "other columns": lambda _: result({"heatmaps": None}),
    "a column too many": lambda request: result({**columns_of(request), "keypoints": []}),
    "a column of the worker's own": lambda request: result({**columns_of(request), "__class__": 1}),
    "images of no array": lambda _: result({"images": 5}),
    "images that are text": lambda _: result({"images": ["a", "b"]}),
    "a record of nobody's": lambda _: result({"images": Record("os.system", ("true",))}),
    "an unknown number of buffers": lambda request: result(columns_of(request))[:1],
    "half an array": lambda _: [b"\x91\x05", b"\x81\xa1a\xc9\xff"],
}


def test_results_that_are_none_fail_by_name_and_alone(hostile):
    kinds = iter(BAD_RESULTS.values())
    farm = hostile(lambda request: [next(kinds)(request)])
    with Client(iaa.Identity(), farm.clients) as client:
        results = client.map_batches([IMAGE] * len(BAD_RESULTS), on_error="return")
        for index, (failed, name) in enumerate(zip(results, BAD_RESULTS, strict=True)):
            assert isinstance(failed, FailedBatch), name
            assert isinstance(failed.error, AugmentationFailed)
            assert failed.error.index == index
    assert farm.broker.poll() is None


ODD_IMAGES = {
    "fewer": IMAGE[:1],
    "of another shape": np.zeros((2, 5, 7, 3), np.uint8),
    "of another type": IMAGE.astype(np.float64),
    "of no pixels": np.zeros((0, 0), np.uint8),
    "of many dimensions": np.zeros((1,) * 20, np.uint8),
}


def test_other_images_are_what_a_trusted_worker_says_or_an_error(hostile):
    """Nobody can know what an augmenter makes of a batch: it may well crop (docs/protocol.md, section 13)."""
    kinds = iter(ODD_IMAGES.values())
    farm = hostile(lambda request: [result({"images": next(kinds)})])
    with Client(iaa.Identity(), farm.clients) as client:
        results = client.map_batches([IMAGE] * len(ODD_IMAGES), on_error="return")
    for got, images in zip(results, ODD_IMAGES.values(), strict=True):
        assert isinstance(got, FailedBatch) or np.array_equal(got, images)
