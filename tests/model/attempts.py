"""What attempts each batch has, counted from what goes in and out at the broker's door: the model's oracle.

The rule (docs/design.md, "The broker's core"; promise 4): where a worker's connection was closed by its peer,
its oldest unanswered batch counts one attempt, unless nobody wants that batch any more. If the same session
joins again, the count is taken back. Nothing else counts. At `max_attempts` the batch is answered at once.
"""

from dataclasses import dataclass

from augfarm.broker.events import CommandReceived, ConnectionLost, Retire, Send
from augfarm.protocol import messages as m

from .wires import PROBES


@dataclass(eq=False)
class _Batch:
    connection: bytes
    request: int
    call: int
    attempts: int
    #: What the client was told last, or has said itself.
    told: int
    is_wanted: bool = True


class Attempts:
    """One broker's attempts. Tell it each event before the core hears it, and each action after."""

    def __init__(self, max_attempts):
        self._most = max_attempts
        self._clients = set()  # connections that have a session
        self._batches = {}  # (connection, request): those that have no answer
        self._latest = {}  # identity: the batch that was last submitted under it
        self._leases = {}  # worker's connection: {ticket: batch}, oldest first
        self._tokens = {}
        self._blamed = {}  # token of a worker that was lost: its batch

    def hears(self, event):
        if isinstance(event, ConnectionLost):
            self._lose(event)
        elif isinstance(event, CommandReceived):
            self._command(event.connection, event.command, event.body)

    def _lose(self, event):
        if event.side == "client":
            self._clients.discard(event.connection)
            self._forget(event.connection)
            return
        leases = self._leases.pop(event.connection, None)
        if leases and event.closed_by_peer:
            oldest = next(iter(leases.values()))
            if oldest.is_wanted:
                oldest.attempts += 1
                self._blamed[self._tokens[event.connection]] = oldest

    def _command(self, connection, command, body):
        match command:
            case m.Submit(request, call) if connection in self._clients:
                batch = _Batch(connection, request, call, command.attempts, command.attempts)
                self._batches[connection, request] = self._latest[identity_of(body)] = batch
            case m.Cancel(call):
                self._forget(connection, call)
            case m.Join(_, token):
                self._tokens[connection] = token
                blamed = self._blamed.pop(token, None)
                if blamed is not None and blamed.is_wanted:
                    blamed.attempts -= 1
            case m.Result(ticket) | m.Failed(ticket):
                self._leases.get(connection, {}).pop(ticket, None)

    def _forget(self, connection, call=None):
        for batch in list(self._batches.values()):
            if batch.connection == connection and call in (None, batch.call):
                batch.is_wanted = False
                del self._batches[connection, batch.request]

    def sees(self, action):
        if isinstance(action, Retire):
            self._leases.pop(action.connection, None)
            self._clients.discard(action.connection)
            self._forget(action.connection)
        elif isinstance(action, Send):
            self._word(action.connection, action.command, action.body)

    def _word(self, connection, command, body):
        match command:
            case m.Welcome():
                self._clients.add(connection)
            case m.Joined():
                self._leases[connection] = {}
            case m.Dispatch(ticket):
                self._leases[connection][ticket] = self._latest[identity_of(body)]
            case m.Attempt(request, attempts) if command != PROBES["client"]:
                batch = self._batches[connection, request]
                assert attempts == batch.attempts != batch.told, "an attempt is told when it has changed"
                batch.told = attempts
            case m.Deliver(request) | m.Fail(request):
                batch = self._batches.pop((connection, request))
                batch.is_wanted = False
                assert command.attempts == batch.attempts, "attempts are counted as the design says"
                poisoned = isinstance(command, m.Fail) and command.kind == "poisoned"
                assert poisoned == (batch.attempts >= self._most)

    def check(self):
        """Call it when all actions were seen."""
        for batch in self._batches.values():
            assert batch.attempts == batch.told, "the client knows the count"
            assert 0 <= batch.attempts < self._most, "a batch that killed too many is given up at once"


def identity_of(body):
    """Whose batch this is: peers of the model write it in front."""
    return bytes(body[0]).partition(b"|")[0]
