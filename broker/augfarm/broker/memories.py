"""The memories of clients on this host, for workers that do not see them: their batches travel as frames."""

from __future__ import annotations

import contextlib
from collections.abc import Container
from dataclasses import replace

import zmq

from augfarm.protocol.bodies import unplaced
from augfarm.protocol.errors import ProtocolError
from augfarm.protocol.memory import can_share
from augfarm.protocol.sharing import Attachment

from .events import Send

__all__ = ["Memories"]


class Memories:
    """What clients have offered, by their connections."""

    def __init__(self) -> None:
        self._attachments: dict[bytes, Attachment] = {}

    def open(self, connection: bytes, name: bytes, secret: bytes, poller: zmq.Poller) -> None:
        """Try to attach; :meth:`hear` says when that has succeeded."""
        if not can_share():
            return
        with contextlib.suppress(OSError):  # the client is on another host
            attachment = self._attachments[connection] = Attachment(name, secret)
            poller.register(attachment.fileno(), zmq.POLLIN)

    def hear(self, ready: Container[int], poller: zmq.Poller) -> list[bytes]:
        """The connections whose memory is seen now, of those whose descriptors are ready."""
        seen: list[bytes] = []
        for connection, attachment in list(self._attachments.items()):
            if attachment.fileno() not in ready:
                continue
            before = attachment.view
            if attachment.receive() is None:
                # What lies there can still be read, as long as batches of this client wait here.
                poller.unregister(attachment.fileno())
                attachment.close()
            if attachment.view is not before:
                seen.append(connection)
        return seen

    def drop(self, connection: bytes, poller: zmq.Poller) -> None:
        """The client's connection has ended."""
        attachment = self._attachments.pop(connection, None)
        if attachment is not None and attachment.fileno() >= 0:
            with contextlib.suppress(KeyError):
                poller.unregister(attachment.fileno())
            attachment.close()

    def unplaced(self, action: Send, frame_bytes: int) -> Send:
        """The same with frames in place of memory. Where that fails it goes as it is: the worker says so."""
        attachment = self._attachments.get(action.memory_of or b"")
        if attachment is None or attachment.view is None:
            return action
        memory, number = attachment.view.memory, attachment.number
        with contextlib.suppress(ProtocolError):
            body = unplaced([bytes(frame) for frame in action.body], {number: memory}.get, frame_bytes)
            # Copied here: what pyzmq sends without a copy takes a context and two threads of its own.
            return replace(action, body=[zmq.Frame(part, copy=True) for part in body], memory_of=None)
        return action

    def close(self) -> None:
        """Drop all."""
        for attachment in self._attachments.values():
            attachment.close()
        self._attachments.clear()
