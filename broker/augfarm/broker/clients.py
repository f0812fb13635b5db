"""The core's side of the clients: what each of their commands does. Pure."""

from __future__ import annotations

import hashlib

from augfarm.protocol import limits
from augfarm.protocol import messages as m

from .events import CommandReceived, OpenMemory
from .floor import Floor, LastWord, unfit
from .jobs import Client, SessionKey

__all__ = ["ClientDesk"]


class ClientDesk:
    """All clients' sessions, by their keys.

    A method that gives a last word wants the client's connection to end with it; whoever calls does that.
    """

    def __init__(self, floor: Floor) -> None:
        self.sessions: dict[SessionKey, Client] = {}
        self._floor = floor
        self._next_session = 0
        self._next_offer = 0

    def open(
        self, key: SessionKey, connection: bytes, hello: m.Hello, farm: m.Farm, old: Client | None, now: float
    ) -> Client:
        """A new session, or the session of `old` taken up again with nothing of what it had."""
        session = self._next_session if old is None else old.session
        self._next_session += old is None
        client = self.sessions[key] = Client(session, key, connection, hello.software, now)
        floor = self._floor
        floor.tell(client, m.Welcome(floor.software, session, floor.frame_bytes, limits.MAX_BATCH_BYTES))
        floor.tell(client, m.Window(*floor.windows.open(client)))
        floor.tell(client, farm)
        floor.log("INFO", f"client {session} is {'here' if old is None else 'back'} ({hello.software})")
        return client

    def drop(self, client: Client) -> None:
        """The client is gone, and all that it had here with it."""
        for job in list(client.requests.values()):
            self._floor.ledger.release(job)
        self._floor.windows.close(client)
        self._floor.library.drop(client)
        del self.sessions[client.key]

    def hear(self, client: Client, event: CommandReceived, now: float) -> LastWord | None:
        """Do what the client says."""
        command = event.command
        match command:
            case m.Submit():
                return self._submit(client, command, event, now)
            case m.Received(receipts):
                return self._receive(client, receipts)
            case m.Cancel(number):
                self._cancel(client, number)
                return None
            case m.Hedge(request):
                self._hedge(client, request)
                return None
            case m.Offer(_, name, secret):
                if client.offering is not None:
                    return m.Refused("unexpected", "OFFER: this session has offered its memory already")
                self._floor.actions.append(OpenMemory(client.connection, name, secret))
                # A number of its own: ATTACHED for what this session offered before may still come.
                client.offering = m.Offer(self._next_offer, name, secret)
                self._next_offer += 1
                return None
            case m.Adjusted(serial):
                if self._floor.windows.adjust(client, serial):
                    return None
                return self._floor.stray(client, f"ADJUSTED: no window {serial} was offered")
            case m.Pipeline(digest):
                return self._keep_pipeline(client, digest, event)
            case m.Goodbye():
                return m.Goodbye()
            case _:
                return unfit(command)

    def attached(self, client: Client) -> None:
        """The broker sees the client's memory: whoever cannot will get its batches as frames from here."""
        client.offer = client.offering
        self._floor.tell(client, m.Attached(client.session))

    def _submit(
        self, client: Client, command: m.Submit, event: CommandReceived, now: float
    ) -> LastWord | None:
        if command.digest not in client.pipelines:
            return m.Refused("unexpected", "SUBMIT names a pipeline that was not sent")
        if command.placed and client.offer is None:
            return m.Refused("unexpected", "SUBMIT: its memory is not attached here")
        if command.request in client.requests:
            return m.Refused("unexpected", f"SUBMIT: request {command.request} is open already")
        if command.call not in client.calls and len(client.calls) >= limits.MAX_CALLS:
            return m.Refused("credit", f"more than {limits.MAX_CALLS} open calls")
        job = self._floor.ledger.submit(client, command, event.body, event.body_bytes, now)
        if job is None:
            batches, octets = self._floor.windows.window(client)
            window = f"{batches} batches and {octets} bytes"
            return m.Refused("window", f"a batch of {event.body_bytes} bytes beyond the window of {window}")
        if job.attempts >= self._floor.max_attempts:
            self._floor.give_up(job, 0, now)
        return None

    def _cancel(self, client: Client, number: int) -> None:
        """Answers on their way stay charged until the client says that it has read them.

        They lie in the queue of its connection: a client that cancels and does not read would fill it.
        """
        call = client.calls.get(number)
        for job in list(call.jobs.values()) if call else ():
            if job.place != "delivered":
                self._floor.ledger.release(job)
        self._floor.tell(client, m.Cancelled(number))

    def _hedge(self, client: Client, request: int) -> None:
        """Whatever it names may have been answered meanwhile, so nothing is said where it cannot be done.

        A batch whose process died is not hedged, nor one that could be given up by both its processes' deaths
        together: then no more processes die of it than --max-attempts says.
        """
        job = client.requests.get(request)
        if job is not None and job.attempts == 0 and self._floor.max_attempts > 1:
            self._floor.ledger.hedge(job)

    def _receive(self, client: Client, receipts: tuple[int, ...]) -> LastWord | None:
        for receipt in receipts:
            job = client.answers.get(receipt)
            if job is not None:
                self._floor.ledger.release(job)
                continue
            last_word = self._floor.stray(client, "RECEIVED: a receipt of no answer")
            if last_word:
                return last_word
        return None

    def _keep_pipeline(self, client: Client, digest: bytes, event: CommandReceived) -> LastWord | None:
        if event.body_bytes > limits.MAX_SPEC_BYTES:
            return m.Refused("malformed", f"PIPELINE: more than {limits.MAX_SPEC_BYTES} bytes")
        sha256 = hashlib.sha256()
        for frame in event.body:
            sha256.update(frame)
        if sha256.digest() != digest:
            return m.Refused("malformed", "PIPELINE: the digest is not that of the body")
        fault = self._floor.library.add(client, digest, event.body, event.body_bytes)
        return m.Refused("credit", fault) if fault else None
