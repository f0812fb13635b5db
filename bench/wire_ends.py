"""What moves batches over a link for bench/wire.py: each a process of its own.

    python bench/wire_ends.py echo                          # at the other end of the bare sockets
    python bench/wire_ends.py bare HOST COUNT FRAME_BYTES   # PUSH there, PULL back
    python bench/wire_ends.py augfarm HOST COUNT SPEC

Each sends COUNT distinct batches, gets as many back, and prints the bytes a second that came back, from the
WARM_UP-th batch to the last.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import zmq

SHAPE = (16, 225, 225, 3)
DISTINCT = 8
#: Batches that may be under way; bare ZeroMQ bounds the messages in each of its queues.
BUFFER = 16
WARM_UP = 16
#: Ports: bare ZeroMQ's, and a broker's.
THERE, BACK = 5557, 5558
CLIENTS, WORKERS = 5555, 5556


def batches(count: int) -> Iterator[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    distinct = [rng.integers(0, 256, SHAPE, dtype=np.uint8) for _ in range(DISTINCT)]
    return itertools.islice(itertools.cycle(distinct), count)


def rate(came_back: Iterable[int], count: int) -> float:
    """Bytes a second."""
    octets, began, number = 0, 0.0, 0
    for each in came_back:
        number += 1
        if number > WARM_UP:
            octets += each
        elif number == WARM_UP:
            began = time.perf_counter()
    if number != count:
        raise RuntimeError(f"{number} of {count} batches came back")
    return octets / (time.perf_counter() - began)


def _socket(context: zmq.Context[Any], kind: int) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = context.socket(kind)
    socket.sndhwm = socket.rcvhwm = BUFFER
    return socket


def echo() -> None:
    context: zmq.Context[Any] = zmq.Context()
    there, back = _socket(context, zmq.PULL), _socket(context, zmq.PUSH)
    there.bind(f"tcp://*:{THERE}")
    back.bind(f"tcp://*:{BACK}")
    print("ready", flush=True)
    while True:
        back.send_multipart(there.recv_multipart(copy=False), copy=False)


def bare(host: str, count: int, frame_bytes: int) -> float:
    context: zmq.Context[Any] = zmq.Context()
    there, back = _socket(context, zmq.PUSH), _socket(context, zmq.PULL)
    there.connect(f"tcp://{host}:{THERE}")
    back.connect(f"tcp://{host}:{BACK}")

    def send() -> None:
        for images in batches(count):
            pixels = memoryview(images).cast("B")
            cuts = range(0, len(pixels), frame_bytes)
            there.send_multipart([pixels[cut : cut + frame_bytes] for cut in cuts], copy=False)

    threading.Thread(target=send, daemon=True).start()
    return rate((sum(map(len, back.recv_multipart(copy=False))) for _ in range(count)), count)


def augfarm(host: str, count: int, spec: str) -> float:
    from augfarm.client import Client

    with Client(spec, f"tcp://{host}:{CLIENTS}") as client:
        return rate((result.nbytes for result in client.imap_batches(batches(count), BUFFER)), count)


def main(what: str, *words: str) -> None:
    if what == "echo":
        echo()
    elif what == "bare":
        print(bare(words[0], int(words[1]), int(words[2])))
    else:
        print(augfarm(words[0], int(words[1]), words[2]))


if __name__ == "__main__":
    main(*sys.argv[1:])
