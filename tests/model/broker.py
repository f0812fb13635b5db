"""The broker of the joint model: the real core, and a shell of wires instead of sockets round it."""

from augfarm.broker.core import Core
from augfarm.broker.events import (
    CommandReceived,
    ConnectionLost,
    GarbageReceived,
    Log,
    Retire,
    Send,
    StopRequested,
    Watch,
)
from augfarm.protocol import messages as m

from .attempts import Attempts
from .wires import GARBAGE

#: Small, so that windows are full, and shared by few: bytes, and batches for each client.
MEMORY = 1000
MAX_OPEN = 4
FRAME_BYTES = 100


class Broker:
    """One broker's process: it begins with nothing."""

    def __init__(self, max_attempts, now):
        self.core = Core(
            frame_bytes=FRAME_BYTES,
            max_attempts=max_attempts,
            memory_bytes=MEMORY,
            max_open_batches=MAX_OPEN,
            software="broker",
            secret=b"%f" % now,
            now=now,
        )
        self.attempts = Attempts(max_attempts)
        self.wires = {}
        self.retired = set()

    def reads(self, wire, now):
        """Read the next message of this wire."""
        command, body = wire.to_broker.popleft()
        wire.was_heard = True
        self.wires[wire.side, wire.name] = wire
        if command is GARBAGE:
            event = GarbageReceived(wire.side, wire.name, "no msgpack")
        else:
            octets = sum(map(len, body))
            event = CommandReceived(wire.side, wire.name, command, body, octets)
            if (wire.side, wire.name) in self.retired:
                self._do_nothing_about(event, now)
                return
        self._handle(event, now)

    def hears_of_end(self, wire, closed, now):
        """The socket's monitor says that this wire has ended."""
        wire.at_broker = False
        closed = closed and wire.is_watched and wire.ended == "closed"
        self._handle(ConnectionLost(wire.side, wire.name, closed), now)
        self.retired.discard((wire.side, wire.name))

    def stops(self, now):
        """It is told to stop: it says goodbye to everybody who has a session."""
        self._handle(StopRequested(), now)

    def looks_at_the_clock(self, now):
        deadline = self.core.deadline()
        if deadline is not None and deadline <= now:
            self._do(self.core.expire(now), now)
            later = self.core.deadline()
            assert later is None or later > now, "a deadline that was met must move"

    def _handle(self, event, now):
        self.attempts.hears(event)
        self._do(self.core.handle(event, now), now)

    def _do_nothing_about(self, event, now):
        actions = self.core.handle(event, now)
        assert not [a for a in actions if isinstance(a, Send) and a.connection == event.connection]
        self._do(actions, now)

    def _do(self, actions, now):
        for action in actions:
            self.attempts.sees(action)
            match action:
                case Send(side, name, command, body):
                    assert (side, name) not in self.retired, "nothing is sent after the last word"
                    wire = self.wires[side, name]
                    wire.has_session |= isinstance(command, (m.Welcome, m.Joined))
                    wire.broker_sends(command, body)
                    # A send that fails is the news of the end again, although it was told before.
                    wire.at_broker = True
                case Retire(side, name):
                    self.retired.add((side, name))
                    self.wires[side, name].retired_at = now
                case Watch(name):
                    self.wires["worker", name].is_watched = True
                case Log(_, text):
                    assert "\n" not in text
        self.attempts.check()
        self.core.check()
