"""A broker's core with simulated peers: workers that answer at once, clients that always send more."""

from __future__ import annotations

import hashlib
import random
import time
from collections import deque
from collections.abc import Sequence

from augfarm.broker.core import Core
from augfarm.broker.events import Action, CommandReceived, Send, Side
from augfarm.protocol import limits
from augfarm.protocol import messages as m

__all__ = ["SPEC", "SimulatedFarm"]

SPEC = b"a pipeline"
#: A batch in shared memory as the broker sees it: where it lies, and a header.
BODY = (bytes(100), bytes(200))
CALLS = 1
_SIMULATED_S = 1e-4  # that pass between two events


class SimulatedFarm:
    """Workers with credit for two batches each, clients that share a number of queued batches evenly.

    Everything that the core is told is made beforehand, in blocks, so that the time of a block is the core's.

    Args:
        queued: batches that wait for a worker, all clients' together, besides those that the workers hold;
            negative where so many more would be taken.
    """

    def __init__(self, workers: int, clients: int, queued: int) -> None:
        wanted = queued + limits.WORKER_CREDIT * workers
        self.core = Core(
            frame_bytes=limits.MAX_IPC_FRAME_BYTES, memory_bytes=2**40, max_open_batches=wanted + 2 * workers
        )
        self.batches = self.seconds = 0.0
        self._now = 0.0
        self._digest = hashlib.sha256(SPEC).digest()
        self._clients = [b"c%d" % number for number in range(clients)]
        self._requests = 0
        self._turn = random.Random(0)
        #: What workers hold: (worker, ticket), the longest dispatched first.
        self._leases: deque[tuple[bytes, int]] = deque()
        self._receipts: list[tuple[bytes, int]] = []
        windows = []
        for number, client in enumerate(self._clients):
            hello = m.Hello(limits.PROTOCOL_VERSION, number.to_bytes(16, "big"), "client")
            windows += self._hear("client", client, hello)
        for number in range(workers):
            environment = {"python": "3.11", "host": "a", "pid": str(number)}
            join = m.Join(limits.PROTOCOL_VERSION, number.to_bytes(16, "big"), "worker", 2, environment)
            self._hear("worker", b"w%d" % number, join)
        self._obey(windows)
        for client in self._clients:
            self._say([self._event("client", client, m.Pipeline(self._digest), (SPEC,))])
        self._submit([self._clients[number % clients] for number in range(wanted)])
        self.core.check()

    def run(self, batches: int, block: int = 64) -> None:
        """Have so many batches answered and received, and as many submitted.

        :attr:`seconds` grows by the processor's time that the core took, :attr:`batches` by the batches.
        """
        left = batches
        while left:
            some = min(left, block, len(self._leases))
            answered = [self._leases.popleft() for _ in range(some)]
            self._turn.shuffle(answered)
            results = [
                self._event("worker", worker, m.Result(ticket, 1, 0.001), BODY) for worker, ticket in answered
            ]
            self.seconds += self._say(results)
            receipts, self._receipts = self._receipts, []
            assert len(receipts) == some
            received = [self._event("client", c, m.Received((receipt,))) for c, receipt in receipts]
            self.seconds += self._say(received)
            self.seconds += self._submit([client for client, _ in receipts])
            self.batches += some
            left -= some

    @property
    def queued(self) -> int:
        """Batches that wait for a worker."""
        found = self.core.status(self._now)["queued"]
        assert isinstance(found, int)
        return found

    # --- one block -----------------------------------------------------------------------------------------

    def _submit(self, clients: Sequence[bytes]) -> float:
        events = []
        for client in clients:
            number, self._requests = self._requests, self._requests + 1
            submit = m.Submit(number, 0, number, 1, "worker", self._digest, 0, False)
            events.append(self._event("client", client, submit, BODY))
        return self._say(events)

    def _say(self, events: Sequence[CommandReceived]) -> float:
        """Seconds of the processor that the core took for them."""
        core, now, step = self.core, self._now, _SIMULATED_S
        said: list[list[Action]] = []
        began = time.thread_time()
        for event in events:
            now += step
            said.append(core.handle(event, now))
        seconds = time.thread_time() - began
        self._now = now
        for actions in said:
            self._take(actions)
        return seconds

    def _hear(self, side: Side, connection: bytes, command: m.Command) -> list[Action]:
        self._now += _SIMULATED_S
        return self.core.handle(self._event(side, connection, command), self._now)

    def _obey(self, actions: Sequence[Action]) -> None:
        """Windows change as clients come: obey each until no more are told."""
        waiting = deque(actions)
        while True:
            while waiting:
                action = waiting.popleft()
                if isinstance(action, Send) and isinstance(action.command, m.Window):
                    waiting += self._hear("client", action.connection, m.Adjusted(action.command.serial))
            deadline = self.core.deadline()
            if deadline is None:
                return
            self._now = max(self._now, deadline)
            waiting += self.core.expire(self._now)

    def _take(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if not isinstance(action, Send):
                continue
            command = action.command
            if isinstance(command, m.Dispatch):
                self._leases.append((action.connection, command.ticket))
            elif isinstance(command, m.Deliver):
                self._receipts.append((action.connection, command.receipt))
            elif isinstance(command, m.Refused):
                raise RuntimeError(f"the core refuses its peer: {command.text}")

    @staticmethod
    def _event(
        side: Side, connection: bytes, command: m.Command, body: Sequence[bytes] = ()
    ) -> CommandReceived:
        return CommandReceived(side, connection, command, body, sum(map(len, body)))
