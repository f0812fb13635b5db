"""Broker, clients and workers joined: what each promises alone, seen from the callers, under faults.

The cores are the real ones; what lies between them is a model (:mod:`.wires`). Judged after every step: all
laws of all sessions; that each batch that was taken is handed over once, with its own result (:mod:`.peers`);
that attempts are counted as the design says (:mod:`.attempts`). At the end faults stop, and every open call
must end within a bounded number of rounds, and leave nothing.
"""

import sys
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from augfarm.client import lateness
from augfarm.protocol import limits

from .peers import Call
from .wires import GARBAGE, PROBES
from .world import World

#: Drawn for "which one": it is taken modulo how many there are.
ANY = st.integers(0, 99)
#: So many of the messages on their way arrive, of each direction, when a wire ends.
FEW = st.integers(0, 6)
ALL = 2**20
#: Small, so that calls take turns and workers forget pipelines.
SMALL_LIMITS = {"MAX_CALLS": 3, "MAX_WORKER_PIPELINES": 1}

#: Bytes of a batch: many fit the broker's memory, or a few, or one, or none.
SIZES = st.lists(st.sampled_from([0, 50, 200, 400, 1200]), min_size=1, max_size=3)
CALLS = st.builds(  # a new Call for each draw
    Call,
    spec=st.integers(0, 2),
    count=st.integers(1, 10),
    buffer=st.integers(1, 8),
    sizes=SIZES,
    deadly=st.sampled_from([(), (), (), (0,), (1, 2)]),
)
FIRST_CALLS = st.lists(CALLS, min_size=1, max_size=2)
#: Bytes by which a result is larger than its batch.
GROWTH = st.sampled_from([0, 0, 10, 400])
#: After so many batches a worker leaves.
MAX_TASKS = st.sampled_from([None, None, 1, 3])
FAULTS = [
    "wire is cut",
    "wire is closed",
    "worker dies",
    "worker freezes",
    "worker leaves",
    "client dies",
    "client freezes",
    "client leaves",
    "the broker dies",
    "the broker stops",
]


def one_of(things, number):
    return things[number % len(things)]


def there_are(what):
    return precondition(lambda self: bool(what(self.world)))


def unbroken(world):
    return [wire for wire in world.wires if not wire.ended]


def with_wire(world):
    return [peer for peer in world.awake() if peer.wire]


def with_results(world):
    return [(client, call) for client, call in world.calls() if call.results.ready()]


class JointModel(RuleBasedStateMachine):
    """Everybody reads, works and dies when Hypothesis says so.

    All faults are in one rule, so that most steps are work: otherwise few batches would ever reach a worker.
    """

    @initialize(max_attempts=st.sampled_from([3, 2, 1]), workers=st.integers(0, 3), calls=FIRST_CALLS)
    def begins(self, max_attempts, workers, calls):
        self.patches = [patch.object(limits, name, value) for name, value in SMALL_LIMITS.items()]
        self.patches.append(patch.object(lateness, "FEWEST", 1))  # so that batches are hedged
        for each in self.patches:
            each.start()
        self.world = World(max_attempts)
        for _ in range(workers):
            self.world.worker_comes()
        for call in calls:
            self.world.client_comes().opens(call, self.world.now)

    # --- faults --------------------------------------------------------------------------------------------

    @rule(fault=st.sampled_from(FAULTS), which=ANY, to_broker=FEW, to_peer=FEW)
    def something_fails(self, fault, which, to_broker, to_peer):
        world = self.world
        match fault.split():
            case ["wire", "is", "cut"] if unbroken(world):
                one_of(unbroken(world), which).end("cut", to_broker, to_peer)
            case ["wire", "is", "closed"] if with_wire(world):
                one_of(with_wire(world), which).throws_wire_away(to_broker)
            case [side, how] if world.of(side):
                peer = one_of(world.of(side), which)
                if how == "dies":
                    peer.dies(to_broker)
                elif how == "leaves":
                    peer.leaves(world.now)
                else:
                    peer.freezes(to_peer)
            case ["the", "broker", how] if world.broker:
                if how == "stops":
                    world.broker.stops(world.now)
                world.broker_dies(ALL if how == "stops" else to_peer)

    @there_are(unbroken)
    @rule(which=ANY, what=st.sampled_from(["probe", "garbled to the broker", "garbled to the worker"]))
    def something_odd_arrives(self, which, what):
        """TCP garbles nothing, but a worker or a broker with a fault may; both find a way out."""
        wire = one_of(unbroken(self.world), which)
        if what == "probe" and wire.has_session and wire.retired_at is None:
            wire.broker_sends(PROBES[wire.side])
        elif what == "garbled to the broker" and wire.side == "worker" and wire.to_broker:
            wire.to_broker[-1] = GARBAGE, ()
        elif what == "garbled to the worker" and wire.side == "worker" and wire.to_peer:
            wire.to_peer[-1] = GARBAGE, ()

    # --- work ----------------------------------------------------------------------------------------------

    @rule(who=st.sampled_from(["worker", "worker", "client", "frozen"]), which=ANY, max_tasks=MAX_TASKS)
    def somebody_comes(self, who, which, max_tasks):
        """Or comes back."""
        world = self.world
        frozen = [peer for peer in world.peers() if peer.is_frozen]
        if world.broker is None:
            world.broker_comes()
        elif who == "client" and len(world.clients) < 3:
            world.client_comes()
        elif who == "worker" and len(world.workers) < 4:
            world.worker_comes(max_tasks)
        elif frozen:
            one_of(frozen, which).is_frozen = False

    @there_are(lambda world: world.wires)
    @rule(which=ANY, messages=st.integers(0, 8), closed=st.booleans())
    def the_broker_goes_on(self, which, messages, closed):
        """It hears of an end usually when all was read; where reading takes long, before."""
        wire = one_of(self.world.wires, which)
        for _ in range(min(messages, len(wire.to_broker))):
            self.world.broker.reads(wire, self.world.now)
        if wire.ended and wire.at_broker and (wire.was_heard or not wire.to_broker):
            self.world.broker.hears_of_end(wire, closed, self.world.now)

    @there_are(lambda world: world.awake())
    @rule(which=ANY, messages=st.integers(1, 8))
    def a_peer_goes_on(self, which, messages):
        peer = one_of(self.world.awake(), which)
        for _ in range(messages):
            if not (peer.is_alive and peer.reads(self.world.now)):
                break
        if peer.is_alive and peer.wire is None and peer.knows_the_end:
            self.world.connects(peer)

    @there_are(lambda world: [w for w in world.awake_workers() if w.work or w.session.waiting])
    @rule(which=ANY, outcome=st.sampled_from(["result", "result", "raises", "dies"]), growth=GROWTH)
    def a_worker_goes_on(self, which, outcome, growth):
        """One that is done need not begin its next batch at once: the inbox is read first."""
        worker = one_of([w for w in self.world.awake_workers() if w.work or w.session.waiting], which)
        if worker.work is None:
            worker.begins(self.world.now)
        else:
            self.world.works(worker, growth, outcome == "raises", outcome == "dies")

    @precondition(lambda self: self.world.broker and self.world.awake())
    @rule(which=ANY, rounds=st.integers(1, 3))
    def a_worker_is_slow(self, which, rounds):
        """All others go on, and time passes: its batch is late, and tried by another."""
        world = self.world
        clients = [client for client in world.awake() if client.side == "client"]
        if clients:
            one_of(clients, which).opens(Call(0, 6, 6, [50], ()), world.now)
        while len(world.awake_workers()) < 2:
            world.worker_comes()
        world.messages_arrive()
        slow = one_of(world.awake_workers(), which)
        slow.begins(world.now)
        for _ in range(rounds):
            for worker in world.awake_workers():
                if worker is not slow and (worker.work or worker.begins(world.now)) and worker.work:
                    world.works(worker)
            world.messages_arrive()
            world.time_passes(1.0)
            world.messages_arrive()

    @there_are(lambda world: [c for c in world.clients if len(c.calls) < 4])
    @rule(which=ANY, call=CALLS)
    def a_call_opens(self, which, call):
        one_of([c for c in self.world.clients if len(c.calls) < 4], which).opens(call, self.world.now)

    @there_are(with_results)
    @rule(which=ANY, most=st.integers(1, 4))
    def a_caller_takes(self, which, most):
        client, call = one_of(with_results(self.world), which)
        for _ in range(most):
            client.hands_over(call, self.world.now)

    @there_are(lambda world: world.calls())
    @rule(which=ANY, loader_is_late=st.booleans())
    def a_caller_leaves_its_call(self, which, loader_is_late):
        client, call = one_of(self.world.calls(), which)
        client.ends_call(call, self.world.now)
        if loader_is_late:
            client.takes_in_vain(call, self.world.now)

    @rule(seconds=st.sampled_from([0.1, 0.01, 1.0, 3.0, 0.1, 0.1, 60.0]))
    def time_passes(self, seconds):
        self.world.time_passes(seconds)

    @rule(workers_begin=st.booleans(), ends=st.booleans())
    def all_messages_arrive(self, workers_begin, ends):
        """News of ends may take longer: then new wires overtake them."""
        self.world.messages_arrive(ends)
        for worker in self.world.awake_workers() if workers_begin else ():
            worker.begins(self.world.now)

    @rule(rounds=st.integers(1, 4))
    def all_goes_well_for_a_while(self, rounds):
        for _ in range(rounds):
            self.world.goes_on()

    @invariant()
    def laws_hold(self):
        if hasattr(self, "world"):
            self.world.tidy()
            self.world.check()

    def teardown(self):
        """Once faults stop all calls end; and when all have left, nothing is left."""
        if not hasattr(self, "world"):
            return
        try:
            if sys.exc_info()[0] is None:  # no step has failed
                self.world.settles()
                self.world.everybody_leaves()
        finally:
            for each in self.patches:
                each.stop()


JointModel.TestCase.settings = settings(stateful_step_count=60)
TestJointModel = JointModel.TestCase
