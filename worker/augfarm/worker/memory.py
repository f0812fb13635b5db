"""The memory that a worker shares with clients on its host: it reads theirs, and lends its own for results.

A result lies in the worker's arena until its client has read it, or its ticket is released by the broker, or
the client is gone. All of it ends with the connection to the broker: results that were under way are lost
then, and what the worker lent is not lent any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from augfarm.protocol.bodies import Body, Parts
from augfarm.protocol.memory import MIN_PLACED_BYTES, Arena, Region
from augfarm.protocol.sharing import Attachment

__all__ = ["SharedMemory"]


@dataclass
class _Lent:
    region: Region
    attachment: Attachment


class SharedMemory:
    """What one worker process shares. For one thread.

    Args:
        octets: how large its arena may become; 0: nothing is shared.
    """

    def __init__(self, octets: int) -> None:
        self._octets = octets
        self._arena: Arena | None = None
        self._sessions: dict[Attachment, int] = {}
        self._attached: list[int] = []
        self._ended: list[Attachment] = []
        self._lent: dict[int, _Lent] = {}

    def attach(self, session: int, name: bytes, secret: bytes) -> Attachment | None:
        """Try to attach to this client's memory, for :meth:`hear`; None where it is on another host."""
        if not self._octets:
            return None
        try:
            if self._arena is None:
                self._arena = Arena(self._octets)
            attachment = Attachment(name, secret, self._arena)
        except OSError:  # or this host has no memory left: frames travel
            return None
        self._sessions[attachment] = session
        return attachment

    def hear(self) -> tuple[list[int], list[Attachment]]:
        """The sessions whose memory is seen from now on, and the attachments that have ended, still open."""
        for attachment in list(self._sessions):
            self._listen_to(attachment)
        attached, self._attached = self._attached, []
        ended, self._ended = self._ended, []
        return attached, ended

    def find(self, number: bytes) -> memoryview | None:
        """The memory of this number, or None."""
        attachment = self._attachment(number)
        return None if attachment is None or attachment.view is None else attachment.view.memory

    def place(self, ticket: int, number: bytes, parts: Parts) -> Body | None:
        """A result for whoever owns the memory of this number; None: it has to travel as frames."""
        attachment = self._attachment(number)
        if attachment is None or self._arena is None or parts.octets < MIN_PLACED_BYTES:
            return None
        if not self._listen_to(attachment):  # and what was read meanwhile is free
            return None
        region = self._arena.place(parts)
        if region is None:
            return None
        self._lent[ticket] = _Lent(region, attachment)
        return region.body

    def release(self, ticket: int) -> None:
        """Nobody wants this result any more, if it is here."""
        self._lent.pop(ticket, None)

    def attachments(self) -> list[Attachment]:
        """Those that are open, with those that have ended since :meth:`hear`."""
        return [*self._sessions, *self._ended]

    def drop(self) -> None:
        """The connection to the broker has ended, and with it all sharing."""
        for attachment in self.attachments():
            attachment.close()
        self._sessions.clear()
        self._attached.clear()
        self._ended.clear()
        self._lent.clear()
        if self._arena is not None:
            # Clients may still read what was on its way when it ended: it is not written to again.
            self._arena.close()
            self._arena = None

    def _attachment(self, number: bytes) -> Attachment | None:
        return next((a for a in self._sessions if a.number == number and number), None)

    def _listen_to(self, attachment: Attachment) -> bool:
        """False: it has ended, and what was lent to it is free."""
        before = attachment.view
        starts = attachment.receive()
        if starts is None:
            self._lent = {t: lent for t, lent in self._lent.items() if lent.attachment is not attachment}
            self._sessions.pop(attachment, None)
            self._ended.append(attachment)
            return False
        if attachment.view is not before:
            self._attached.append(self._sessions[attachment])
        if starts:
            free = set(starts)
            for ticket, lent in list(self._lent.items()):
                if lent.attachment is attachment and lent.region.placement.start in free:
                    del self._lent[ticket]
        return True
