"""The clients' windows: laws under random use, and what each rule of them does."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from augfarm.broker.windows import ADJUST_TIMEOUT_S, ROUND_S, STEP_S, Amount, Offer, Windows


def windows(octets=1000, batches=100, most_batches=10):
    return Windows(octets=octets, batches=batches, most_batches=most_batches)


def settle(w, now=0.0):
    """Let every client obey at once until no window changes. Returns the time then."""
    while (deadline := w.deadline()) is not None:
        now = max(now, deadline)
        for client, offer in w.rebalance(now):
            assert w.adjust(client, offer.serial)
        w.check()
    return now


def test_one_client_gets_everything_at_once():
    assert windows().open("a") == Offer(1, 10, 1000)


def test_a_window_counts_for_nothing_until_the_client_obeys_another():
    w = windows()
    w.open("a")
    assert w.fits("a", 1000), "it may have read the offer"
    assert not w.fits("a", 1001)
    assert w.adjust("a", 1)
    assert not w.adjust("a", 1)
    assert not w.adjust("a", 2)


def test_a_second_client_gets_what_is_free_and_its_share_when_the_first_obeys():
    w = windows()
    w.adjust("a", w.open("a").serial)
    assert w.open("b") == Offer(1, 10, 0)
    [(client, offer)] = w.rebalance(10.0)
    assert (client, offer) == ("a", Offer(2, 10, 500))
    assert w.charged().octets == 1000
    w.adjust("b", 1)
    assert w.rebalance(20.0) == [], "nothing is free before the first obeys"
    w.adjust("a", 2)
    assert w.rebalance(30.0) == [("b", Offer(2, 10, 500))]


def test_what_is_in_use_beyond_a_window_that_shrank_stays_charged():
    w = windows()
    w.adjust("a", w.open("a").serial)
    w.charge("a", 900)
    w.adjust("b", w.open("b").serial)
    [(_, offer)] = w.rebalance(10.0)
    w.adjust("a", offer.serial)
    assert w.charged().octets == 900
    assert not w.fits("a", 1)
    assert w.rebalance(20.0) == [], "100 of 500 are not worth a message"
    w.release("a", 900, 0, in_slot=False)
    assert w.rebalance(30.0) == [("b", Offer(2, 10, 500))]


def test_the_share_comes_back_when_a_client_leaves():
    w = windows()
    now = 0.0
    for client in "abcd":
        w.adjust(client, w.open(client).serial)
        now = settle(w, now)
    assert [w.window(c) for c in "abcd"] == [Amount(10, 250)] * 4
    w.close("c")
    w.close("d")
    settle(w, now)
    assert [w.window(c) for c in "ab"] == [Amount(10, 500)] * 2


def test_batches_are_shared_too():
    w = windows(batches=9, most_batches=5)
    now = 0.0
    for client in "abc":
        w.adjust(client, w.open(client).serial)
        now = settle(w, now)
    assert w.window("a").batches == 3
    for _ in range(3):
        w.charge("a", 1)
    assert not w.fits("a", 1)


def test_changes_that_come_together_are_one_round():
    w = windows()
    for client in range(5):
        w.adjust(client, w.open(client).serial)
    assert len(w.rebalance(5.0)) == 1
    w.close(4)
    assert w.deadline() == 5.0 + ROUND_S
    assert w.rebalance(5.0) == []


def test_a_client_that_does_not_obey_is_told_once():
    w = windows()
    w.open("a")
    now = 0.0
    for client in range(10):
        w.open(client)
        now += 1.0
        assert w.rebalance(now) == []


def test_who_does_not_obey_in_time_is_named_until_closed():
    w = windows()
    w.open("a")
    w.rebalance(10.0)
    w.open("b")
    w.rebalance(12.0)
    assert w.deadline() == 10.0 + ADJUST_TIMEOUT_S
    assert w.overdue(10.0 + ADJUST_TIMEOUT_S) == ["a"]
    assert w.overdue(12.0 + ADJUST_TIMEOUT_S) == ["a", "b"]
    w.close("a")
    assert w.adjust("b", 1)
    assert w.overdue(1000.0) == []
    [(_, offer)] = w.rebalance(1000.0)
    assert (offer.octets, w.deadline()) == (1000, 1000.0 + ADJUST_TIMEOUT_S), (
        "the time is that of each window"
    )
    assert w.overdue(1000.0) == []


def test_the_time_to_obey_begins_when_the_window_is_told_however_long_nothing_had_happened():
    w = windows()
    w.adjust("a", w.open("a").serial)
    now = settle(w, 10.0) + 10 * ADJUST_TIMEOUT_S
    w.open("b")
    assert w.overdue(now) == []
    w.rebalance(now)
    assert w.overdue(now + ADJUST_TIMEOUT_S - 1) == []


def test_results_that_outgrow_the_share_halve_the_window_until_they_fit():
    w = windows()
    w.adjust("a", w.open("a").serial)
    now = 10.0
    for _ in range(10):  # a client whose results are three times its batches, always with a full window
        window = w.window("a").octets
        w.charge("a", window)
        w.grow("a", 2 * window, now)
        for _, offer in w.rebalance(now):
            w.adjust("a", offer.serial)
        w.release("a", window, 2 * window, in_slot=False)
        w.check()
        now += STEP_S
    assert w.window("a").octets == 250


def test_the_window_comes_back_when_results_are_small_again():
    w = windows()
    w.adjust("a", w.open("a").serial)
    w.grow("a", 5000, 10.0)
    w.rebalance(10.0)
    w.adjust("a", 2)
    w.release("a", 100, 5000, in_slot=True)
    assert w.window("a").octets == 500
    settle(w, 10.0)
    assert w.window("a").octets == 1000
    assert w.deadline() is None


def test_headers_that_grow_by_some_bytes_change_nothing():
    w = windows()
    w.adjust("a", w.open("a").serial)
    settle(w)
    w.charge("a", 1000)
    w.grow("a", 100, 10.0)
    assert w.deadline() is None


def test_while_results_are_over_the_budget_nothing_is_granted():
    w = windows()
    w.adjust("a", w.open("a").serial)
    w.adjust("b", w.open("b").serial)
    now = settle(w)
    w.close("b")
    w.charge("a", 500)
    w.grow("a", 5000, now)
    for _, offer in w.rebalance(now + 10):
        assert offer.octets <= 500
    assert w.open("c").octets == 0


def test_a_window_does_not_grow_into_what_results_have_grown_to():
    w = windows(octets=2, batches=2, most_batches=1)
    w.adjust("a", w.open("a").serial)
    w.adjust("b", w.open("b").serial)
    w.charge("b", 0)
    w.grow("b", 1, 10.0)
    assert w.rebalance(10.0) == [("a", Offer(2, 1, 1))]
    w.check()


class Clients(RuleBasedStateMachine):
    """Clients that use their windows to the full and obey new ones when Hypothesis says so."""

    @initialize(octets=st.integers(0, 200), batches=st.integers(0, 20), most=st.integers(1, 10))
    def start(self, octets, batches, most):
        self.windows = windows(octets, batches, most)
        self.budget = Amount(batches, octets)
        self.now = 0.0
        self.names = 0
        #: client -> the windows told and not yet obeyed, the one obeyed, and its batches.
        self.told, self.obeyed, self.batches = {}, {}, {}
        #: client -> since when it has owed an answer; None until the next look at the clock.
        self.owing = {}

    @rule()
    def opens(self):
        client, self.names = self.names, self.names + 1
        self.told[client] = [self.windows.open(client)]
        self.owing[client] = None
        self.obeyed[client], self.batches[client] = Amount(0, 0), []

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def closes(self, data):
        client = data.draw(st.sampled_from(list(self.told)))
        self.close(client)

    def close(self, client):
        self.windows.close(client)
        self.owing.pop(client, None)
        del self.told[client], self.obeyed[client], self.batches[client]

    @precondition(lambda self: any(self.told.values()))
    @rule(data=st.data())
    def obeys(self, data):
        client = data.draw(st.sampled_from([c for c, told in self.told.items() if told]))
        offer = self.told[client].pop(0)
        del self.owing[client]
        self.obeyed[client] = Amount(offer.batches, offer.octets)
        assert self.windows.adjust(client, offer.serial)

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def sends(self, data):
        client = data.draw(st.sampled_from(list(self.told)))
        mine = [octets for octets, _ in self.batches[client]]
        room = self.obeyed[client].octets - sum(mine)
        if room < 0 or len(mine) >= self.obeyed[client].batches:
            return
        octets = data.draw(st.integers(0, room))
        assert self.windows.fits(client, octets), "what the client was told, it may do"
        self.windows.charge(client, octets)
        self.batches[client].append((octets, 0))

    @precondition(lambda self: any(self.batches.values()))
    @rule(data=st.data(), grown=st.integers(-50, 400))
    def gets_a_result(self, data, grown):
        client = data.draw(st.sampled_from([c for c, batches in self.batches.items() if batches]))
        octets, before = self.batches[client].pop(0)
        grown = max(grown, -octets)
        if not before:
            self.windows.grow(client, grown, self.now)
        self.batches[client].append((octets, before or grown))

    @precondition(lambda self: any(self.batches.values()))
    @rule(data=st.data())
    def receives(self, data):
        client = data.draw(st.sampled_from([c for c, batches in self.batches.items() if batches]))
        octets, grown = self.batches[client].pop(0)
        self.windows.release(client, octets, grown, in_slot=False)

    @rule(seconds=st.sampled_from([0.05, 0.1, 1.0, ADJUST_TIMEOUT_S / 2, ADJUST_TIMEOUT_S]))
    def time_passes(self, seconds):
        self.now += seconds
        known = [c for c, since in self.owing.items() if since is not None]
        late = {c for c in known if self.now >= self.owing[c] + ADJUST_TIMEOUT_S}
        deadline = self.windows.deadline()
        assert not late or deadline <= self.now
        assert set(self.windows.overdue(self.now)) == late
        for client in late:
            self.close(client)
        for client, offer in self.windows.rebalance(self.now):
            self.told[client].append(offer)
            self.owing[client] = None
            assert len(self.told[client]) == 1
        self.owing = {c: self.now if since is None else since for c, since in self.owing.items()}

    @invariant()
    def what_clients_may_send_never_exceeds_the_budget(self):
        if not hasattr(self, "windows"):
            return
        self.windows.check()
        may = Amount(0, 0)
        for client, obeyed in self.obeyed.items():
            windows_it_may_use = [obeyed, *(Amount(o.batches, o.octets) for o in self.told[client])]
            used = Amount(len(self.batches[client]), sum(o for o, _ in self.batches[client]))
            most = [max(amounts) for amounts in zip(used, *windows_it_may_use, strict=True)]
            may = Amount(may.batches + most[0], may.octets + most[1])
        assert may.batches <= self.budget.batches
        assert may.octets <= self.budget.octets

    def teardown(self):
        """When all is received and time has passed, every client has its equal share."""
        if not hasattr(self, "windows") or not self.told:
            return
        for client in self.told:
            for octets, grown in self.batches[client]:
                self.windows.release(client, octets, grown, in_slot=False)
            for offer in self.told[client]:
                self.windows.adjust(client, offer.serial)
        settle(self.windows, self.now)
        share = self.budget.octets // len(self.told)
        assert {self.windows.window(client).octets for client in self.told} == {share}


TestClients = Clients.TestCase
