"""Somebody without keys in a container on the farm's network: prints what it gets, as JSON."""

import contextlib
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np

import augfarm.compat  # noqa: F401
from augfarm.client import Client
from augfarm.client.report import ask
from augfarm.protocol.errors import AugfarmError


def attempt(action):
    try:
        return f"got {action()!r}"
    except AugfarmError as error:
        return f"{type(error).__name__}: {error}"


def job():
    from imgaug import augmenters as iaa

    with Client(iaa.Identity(), "tcp://broker:5555", timeout=4) as client:
        return client.map_batches([np.zeros((1, 8, 8, 3), np.uint8)])


def worker():
    """Whether a worker without keys is let in."""
    command = [sys.executable, "-m", "augfarm.worker", "--processes", "1", "--health", "/tmp/health"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "joined as worker" in line:
                said = "joined"
                break
            if "waiting for the broker" in line:
                said = "never joined"
                break
        process.kill()
    return said


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
    answers = {
        "job": attempt(job),
        "report": attempt(lambda: ask("tcp://broker:5555", 4)),
        "worker": worker(),
    }
    print(json.dumps(answers | {path: page(path) for path in ("/healthz", "/status.json", "/metrics")}))


main()
