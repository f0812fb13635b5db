"""The link of the joint model: one connection between a peer and the broker, as ZeroMQ gives it.

ZMTP over TCP keeps the order of messages and loses none of them until the connection is cut. So inside one
:class:`Wire` nothing is lost, turned round or doubled; everything may take any time against all other wires.
When it ends, any suffix of what is on its way is lost in both directions, each side reads the rest, and each
hears of the end when it hears of it: one may be on its next wire long before the other knows. So *across*
wires everything may be lost, turned round and (sent again, or answered late on an old wire) doubled.
"""

from collections import deque
from dataclasses import dataclass, field

from augfarm.protocol import messages as m

#: Stands in a queue for bytes that are no message.
GARBAGE = "garbage"
#: What the broker's shell sends to see whether a wire still holds (docs/protocol.md, section 9).
PROBES = {"client": m.Attempt(2**63 - 1, 0), "worker": m.Forget(bytes(32))}


@dataclass(eq=False)
class Wire:
    """One connection. Queues hold (command, body).

    Attributes:
        side, name: how the broker names it.
        ended: "cut" (the network; nobody said so), "closed" (the peer's process died or closed it), or "".
        at_broker: whether there is a broker at the other end that has not heard of the end.
        was_heard: whether the broker has read anything from it: before, it cannot know of its end.
        has_session: whether the broker has welcomed its peer.
        is_watched: whether the broker can tell who closes it.
        retired_at: when the broker had its last word on it.
        opened_at, answered: when the peer made it, and whether the peer has heard anything.
    """

    side: str
    name: bytes
    opened_at: float
    to_broker: deque = field(default_factory=deque)
    to_peer: deque = field(default_factory=deque)
    ended: str = ""
    at_broker: bool = True
    was_heard: bool = False
    has_session: bool = False
    is_watched: bool = False
    retired_at: float | None = None
    answered: bool = False

    def peer_sends(self, command, body=()):
        if not self.ended:
            self.to_broker.append((command, body))

    def broker_sends(self, command, body=()):
        if not self.ended:
            self.to_peer.append((command, body))

    def end(self, how, to_broker=0, to_peer=0):
        """It ends here and now. So many of the messages on their way still arrive, if there are as many."""
        if not self.ended:
            self.ended = how
            _keep(self.to_broker, to_broker)
            _keep(self.to_peer, to_peer)

    def lose_broker(self, to_peer):
        """The broker's process is gone."""
        self.end("cut", 0, to_peer)
        self.at_broker = False
        self.to_broker.clear()


def _keep(queue, count):
    while len(queue) > count:
        queue.pop()
