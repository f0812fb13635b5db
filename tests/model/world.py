"""The joint model's world: a broker that may be there, peers, wires, and what may happen between them."""

from augfarm.broker.liveness import RETIRED_S
from augfarm.protocol import limits

from .attempts import identity_of
from .broker import Broker
from .peers import DEADLY, Client, Worker
from .wires import Wire

#: Rounds without a fault in which a farm without open calls comes to rest, and rounds for each batch.
ROUNDS = 40
ROUNDS_A_BATCH = 6


class World:
    """Everything at one moment. Each method is something that may happen next."""

    def __init__(self, max_attempts):
        self.now = 0.0
        self.max_attempts = max_attempts
        self.clients, self.workers, self.wires = [], [], []
        self.broker = None
        self._names = 0
        self.broker_comes()

    # --- who is there --------------------------------------------------------------------------------------

    def peers(self):
        return [*self.clients, *self.workers]

    def of(self, side):
        return self.clients if side == "client" else self.workers

    def awake(self):
        return [peer for peer in self.peers() if not peer.is_frozen]

    def awake_workers(self):
        return [worker for worker in self.workers if not worker.is_frozen]

    def calls(self):
        return [(client, call) for client in self.clients for call in client.calls.values()]

    def client_comes(self):
        self.clients.append(Client(self._name()))
        self.connects(self.clients[-1])
        return self.clients[-1]

    def worker_comes(self, max_tasks=None):
        self.workers.append(Worker(self._name(), self.now, max_tasks))
        self.connects(self.workers[-1])

    def connects(self, peer):
        wire = Wire(peer.side, b"%d" % self._name(), self.now)
        if self.broker is None:
            wire.lose_broker(0)
        else:
            self.wires.append(wire)
        peer.connects(wire)

    def broker_comes(self):
        self.broker = Broker(self.max_attempts, self.now)

    def broker_dies(self, arriving):
        self.broker = None
        for wire in self.wires:
            wire.lose_broker(arriving)
        self.wires.clear()

    def tidy(self):
        """Peers that have died, and wires of which nobody will hear any more, are gone."""
        self.clients = [client for client in self.clients if client.is_alive]
        self.workers = [worker for worker in self.workers if worker.is_alive]
        self.wires = [wire for wire in self.wires if wire.at_broker or wire.to_broker]

    def _name(self):
        self._names += 1
        return self._names

    # --- what happens --------------------------------------------------------------------------------------

    def works(self, worker, growth=0, raises=False, dies=False):
        """The worker's batch is done, or the process has died of it."""
        if dies or DEADLY in identity_of(worker.work.body):
            worker.dies()
        else:
            worker.finishes(self.now, growth, raises)

    def time_passes(self, seconds):
        self.now += seconds
        for wire in self.wires:
            if wire.retired_at is not None and self.now >= wire.retired_at + RETIRED_S:
                wire.end("cut", 0, 0)
        for peer in self.awake():
            wire = peer.wire
            if wire and not wire.answered and self.now >= wire.opened_at + limits.WELCOME_TIMEOUT_S:
                peer.throws_wire_away()
            peer.looks_at_the_clock(self.now)
        if self.broker is not None:
            self.broker.looks_at_the_clock(self.now)

    def deadline(self):
        """When :meth:`time_passes` would do something."""
        times = [wire.retired_at + RETIRED_S for wire in self.wires if wire.retired_at is not None]
        sessions = [peer.session for peer in self.awake()]
        times += [t for t in (s.deadline() for s in sessions) if t is not None]
        if self.broker is not None and self.broker.core.deadline() is not None:
            times.append(self.broker.core.deadline())
        return min(times, default=None)

    def check(self):
        if self.broker is not None:
            self.broker.core.check()
        for peer in self.peers():
            peer.check()

    # --- without faults ------------------------------------------------------------------------------------

    def faults_stop(self):
        """The broker is there, and a worker; who was frozen goes on."""
        if self.broker is None:
            self.broker_comes()
        for peer in self.peers():
            peer.is_frozen = False

    def goes_on(self):
        """All that can happen without a fault, once. Whether anything did."""
        if not self.workers:
            self.worker_comes()
        moved = self.messages_arrive()
        for worker in self.awake_workers():
            moved |= worker.begins(self.now)
            if worker.work is not None:
                self.works(worker)
                moved = True
        for client, call in self.calls():
            while client.hands_over(call, self.now):
                moved = True
        self.tidy()
        self.check()
        return moved

    def messages_arrive(self, ends=True):
        """Everybody reads what there is, and connects who has no wire. Whether there was anything."""
        moved = self._broker_goes_on(ends)
        for peer in self.awake():
            while peer.is_alive and peer.reads(self.now):
                moved = True
            if peer.is_alive and peer.wire is None:
                self.connects(peer)
        return moved

    def _broker_goes_on(self, ends=True):
        moved = False
        for wire in list(self.wires):
            while wire.to_broker:
                self.broker.reads(wire, self.now)
                moved = True
            if ends and wire.ended and wire.at_broker:
                self.broker.hears_of_end(wire, closed=True, now=self.now)
                moved = True
        return moved

    def settles(self):
        """Faults have stopped: every open call ends, within a bounded number of rounds."""
        self.faults_stop()
        left = sum(call.count - call.handed_over for _, call in self.calls())
        for _ in range(ROUNDS + ROUNDS_A_BATCH * left):
            if not self.goes_on():
                if not self.calls():
                    return
                deadline = self.deadline()
                assert deadline is not None, f"nothing moves any more: {self._what_waits()}"
                self.time_passes(max(0.0, deadline - self.now))
        raise AssertionError(f"calls do not end: {self._what_waits()}")

    def everybody_leaves(self):
        """Afterwards the broker has nothing, and clients kept nothing."""
        for client in self.clients:
            assert not client.batches
            client.leaves(self.now)
        for worker in self.workers:
            worker.leaves(self.now)
        for _ in range(ROUNDS):
            moved = self.messages_arrive()
            self.tidy()
            self.check()
            if not moved and self.workers:  # one whose GOODBYE did not arrive waits for a while
                self.time_passes(max(0.0, self.deadline() - self.now))
        assert not self.workers, "a worker that was told to stop has left"
        status = self.broker.core.status(self.now)
        assert (status["clients"], status["workers"], status["queued"]) == ([], [], 0)
        assert status["memory"]["held"] == 0
        assert not self.broker.retired
        manners = self.broker.core._floor.manners
        assert not manners._silenced, "a lost connection is forgotten"
        assert not manners._faults

    def _what_waits(self):
        return [
            f"client {c.number}, call {call.number}: {call.handed_over} of {call.count}"
            for c, call in self.calls()
        ]
