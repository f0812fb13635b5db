"""The broker's HTTP page for monitors: ``/healthz`` and ``/status.json``. A thread beside the broker's loop.

Both ask the loop itself, so that a loop that is stuck shows.
"""

from __future__ import annotations

import hmac
import io
import json
import logging
import socket as sockets_of_python
import threading
import time
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
#: How long a whole request may take to arrive, and its answer to be taken, in seconds: idle connections, and
#: those that send a byte now and then, must not keep threads.
REQUEST_TIMEOUT_S = 5.0
#: Requests at once, each with a thread of its own; a few monitors need fewer. More are hung up on.
MAX_REQUESTS = 16
#: How long :meth:`Page.stop` waits for threads that ask the loop, in seconds. They see within a tenth of a
#: second that they should stop.
STOP_TIMEOUT_S = 2.0
#: How soon the server sees that it should stop, in seconds.
POLL_S = 0.1

log = logging.getLogger("augfarm.broker")


class Page:
    """The HTTP server. Call :meth:`start`, and :meth:`stop` before the broker's context ends.

    Args:
        context: the ZeroMQ context of the broker.
        address: ``HOST:PORT``; port 0 is any free one: see :attr:`address`.
        token: what a request for anything but /healthz must carry (``Authorization: Bearer TOKEN``), or None.

    Raises:
        CannotBind: if it cannot listen there.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], address: str, token: str | None = None
    ) -> None:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise CannotBind(f"--http: expected HOST:PORT such as 127.0.0.1:8780, got {address!r}")
        try:
            self._server = _Server((host.strip("[]"), int(port)), context, token)
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
        """End. No thread uses the context any more; one that reads or answers slowly ends by itself."""
        self._server.stop_asking()
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    # Nobody waits for a request: who sends it decides how long it takes.
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(
        self, address: tuple[str, int], context: zmq.Context[zmq.Socket[bytes]], token: str | None
    ) -> None:
        self.context = context
        self._token = token
        self._slots = threading.BoundedSemaphore(MAX_REQUESTS)
        #: Guards the two below.
        self._change = threading.Condition()
        self._stopping = False
        self._asking = 0
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there are not too many."""
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread is to be had
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """What runs in the thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked has hung up: nothing to tell anybody. http.server would print a traceback."""
        log.debug("an HTTP request ended early", exc_info=True)

    def admits(self, authorization: str | None) -> bool:
        """Whether a request with this header may see more than /healthz."""
        given = (authorization or "").removeprefix("Bearer ").encode()
        return self._token is None or hmac.compare_digest(given, self._token.encode())

    def ask(self) -> dict[str, Any] | None:
        """The loop's report, or None where it does not answer."""
        with self._change:
            if self._stopping:
                return None
            self._asking += 1
        try:
            return self._ask()
        except zmq.ZMQError:  # no descriptor is left, or the context has ended
            return None
        finally:
            with self._change:
                self._asking -= 1
                self._change.notify_all()

    def stop_asking(self) -> None:
        """Wait until no :meth:`ask` holds a socket; from now on none makes one."""
        with self._change:
            self._stopping = True
            self._change.wait_for(lambda: self._asking == 0, STOP_TIMEOUT_S)

    def _ask(self) -> dict[str, Any] | None:
        with self.context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.connect(STATUS_ADDRESS)
            socket.send(messages.encode(messages.Status()))
            for _ in range(ANSWER_TIMEOUT_MS // 100):
                if self._stopping:
                    return None
                if socket.poll(100):
                    return _read(socket.recv())
        return None


class _Timed(io.RawIOBase):
    """What a connection sends, until a time: a timeout of the socket would begin again with every byte."""

    def __init__(self, connection: sockets_of_python.socket) -> None:
        self._connection = connection
        self._until = time.monotonic() + REQUEST_TIMEOUT_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request takes too long")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "augfarm"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Timed(self.connection))

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path not in ("/healthz", "/status.json"):
            return self._answer(404, "text/plain", b"not found: there are /healthz and /status.json\n")
        if path != "/healthz" and not self.server.admits(self.headers.get("Authorization")):
            return self._answer(401, "text/plain", b"give the token: Authorization: Bearer TOKEN\n")
        status = self.server.ask()
        if status is None:
            return self._answer(503, "text/plain", b"the broker does not answer\n")
        if path == "/healthz":
            return self._answer(200, "text/plain", b"ok\n")
        return self._answer(200, "application/json", json.dumps(status, indent=1).encode() + b"\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: monitors ask every few seconds."""

    def _answer(self, code: int, kind: str, body: bytes) -> None:
        self.connection.settimeout(REQUEST_TIMEOUT_S)
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
