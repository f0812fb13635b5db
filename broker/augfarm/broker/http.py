"""The broker's HTTP page for monitors: ``/healthz`` and ``/status.json``. A thread beside the broker's loop.

Both ask the loop itself, so that a loop that is stuck shows.
"""

from __future__ import annotations

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import zmq

from augfarm.protocol import messages
from augfarm.protocol.errors import ProtocolError

from .port import CannotBind
from .service import STATUS_ADDRESS

__all__ = ["Page"]

#: How long the loop may take to answer before it is called stuck, in milliseconds.
ANSWER_TIMEOUT_MS = 2000
#: How long a request may take to arrive, in seconds: idle connections must not keep threads.
REQUEST_TIMEOUT_S = 5.0
#: How soon the server sees that it should stop, in seconds.
POLL_S = 0.1

log = logging.getLogger("augfarm.broker")


class Page:
    """The HTTP server. Call :meth:`start`, and :meth:`stop` before the broker's context ends.

    Args:
        context: the ZeroMQ context of the broker.
        address: ``HOST:PORT``; port 0 is any free one: see :attr:`address`.

    Raises:
        CannotBind: if it cannot listen there.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str) -> None:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise CannotBind(f"--http: expected HOST:PORT such as 127.0.0.1:8780, got {address!r}")
        try:
            self._server = _Server((host.strip("[]"), int(port)), context)
        except OSError as error:
            raise CannotBind(f"--http: cannot listen at {address}: {error.strerror or error}") from None
        self.address = f"{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="http", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End; requests at work end with it."""
        self._server.stopping.set()
        if self._thread.is_alive():
            self._server.shutdown()
        # Waits for the threads of requests: they hold sockets of the context.
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.context = context
        self.stopping = threading.Event()
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked has hung up: nothing to tell anybody. http.server would print a traceback."""
        log.debug("an HTTP request ended early", exc_info=True)

    def ask(self) -> dict[str, Any] | None:
        """The loop's report, or None where it does not answer."""
        try:
            socket = self.context.socket(zmq.DEALER)
        except zmq.ZMQError:  # no descriptor is left
            return None
        with socket:
            socket.linger = 0
            socket.connect(STATUS_ADDRESS)
            socket.send(messages.encode(messages.Status()))
            for _ in range(ANSWER_TIMEOUT_MS // 100):
                if self.stopping.is_set():
                    return None
                if socket.poll(100):
                    return _read(socket.recv())
        return None


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_TIMEOUT_S
    server_version = "augfarm"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path not in ("/healthz", "/status.json"):
            return self._answer(404, "text/plain", b"not found: there are /healthz and /status.json\n")
        status = self.server.ask()
        if status is None:
            return self._answer(503, "text/plain", b"the broker does not answer\n")
        if path == "/healthz":
            return self._answer(200, "text/plain", b"ok\n")
        return self._answer(200, "application/json", json.dumps(status, indent=1).encode() + b"\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: monitors ask every few seconds."""

    def _answer(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


def _read(frame: bytes) -> dict[str, Any] | None:
    try:
        command = messages.decode(frame, frozenset({messages.Report}))
    except ProtocolError:
        return None
    assert isinstance(command, messages.Report)
    return command.status
