"""Somebody in a container on the farm's network: prints what it gets, as JSON; nothing, without keys."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import augfarm.compat  # noqa: F401
from augfarm.client import Client
from augfarm.client.report import ask
from augfarm.protocol.errors import AugfarmError

#: With keys, mounted by hand, it gets all that it asks for: so it would notice if it did without.
KEYS = os.environ.get("AUGFARM_KEYS") or None


def attempt(action):
    try:
        return f"got {str(action())[:300]}"
    except AugfarmError as error:
        return f"{type(error).__name__}: {error}"


def job():
    from imgaug import augmenters as iaa

    with Client(iaa.Identity(), "tcp://broker:5555", keys=KEYS, timeout=4) as client:
        return client.map_batches([np.zeros((1, 8, 8, 3), np.uint8)])


def worker():
    """Whether a worker is let in, and why it is not."""
    command = [sys.executable, "-m", "augfarm.worker", "--processes", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            return next(line for line in process.stderr if "joined as" in line or "waiting for" in line)
        finally:
            process.terminate()


def garbage():
    """Bytes that are no ZMTP, plaintext ZMTP, and half a greeting."""
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
    for port in (5555, 5556):
        for octets in (bytes(range(256)) * 400, greeting, greeting + b"\x04\x19\x05READY", greeting[:20]):
            with (
                contextlib.suppress(ConnectionError),
                socket.create_connection(("broker", port), 10) as connection,
            ):
                connection.sendall(octets)


def page(path):
    try:
        with urllib.request.urlopen(f"http://broker:8780{path}", timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def main():
    garbage()
    wanted = {"job": job, "report": lambda: ask("tcp://broker:5555", 4, KEYS), "worker": worker}
    with ThreadPoolExecutor() as threads:
        answers = dict(zip(wanted, threads.map(attempt, wanted.values()), strict=True))
    print(json.dumps(answers | {path: page(path) for path in ("/healthz", "/status.json", "/metrics")}))


main()
