"""The broker-to-client credit: how much each client may have at the broker. Pure.

One budget, in batches and in bytes (*octets*), is shared by all clients. Each has an *account*:

granted   the window that the client last said it obeys (ADJUSTED); nothing to begin with
offered   the window on its way to the client (WINDOW). There is at most one: the next waits for ADJUSTED
used      its batches at the broker outside slots, by the size in which they came: the client knows the
          same number, so this is what its promise is judged by
grown     by how many bytes its results are larger than what came in
charge    what the account takes from the budget: the larger of granted and offered, or what is in use

Laws:

- what all clients have sent or may send is no more than the budget; the charges are no more either, unless
  results have grown beyond what came in;
- a client uses no more than its charge;
- growth is offered only out of what is free; a window that shrinks is charged at its old size until the
  client obeys the new one. So the sum of all that clients may send never exceeds the budget.

The share of a client is the budget divided by the clients. One whose results outgrow its share gets half of
it, then a quarter, until its results fit; the share comes back by the same steps once twice of what it had
at most since the last step would fit.

Windows change when clients come or go and when such a step is made, never for a batch: :meth:`rebalance`
says which changed. A client that keeps its old window for too long is named by :meth:`overdue`: it holds what
others should get.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

__all__ = ["ADJUST_TIMEOUT_S", "Amount", "Offer", "Windows"]

#: How long a client may take to obey a window before it is refused, in seconds. A client obeys as soon as it
#: reads, but its ADJUSTED comes after the batches that it had sent by then: on a slow link, a whole window.
ADJUST_TIMEOUT_S = 60.0
#: Between two rounds of offers, in seconds: clients that come together share one.
ROUND_S = 0.1
#: Between two steps of one client's share, in seconds: longer than most batches stay at the broker.
STEP_S = 1.0
#: Results may be larger than their batches by this part of the share (an eighth) before that is a reason to
#: halve it: headers differ by some bytes.
TOLERATED_GROWTH = 8
#: Halvings after which a share is nothing at all: 2 GiB / 2^12 are 512 KiB, less than most batches have.
MOST_HALVINGS = 12

C = TypeVar("C")


class Amount(NamedTuple):
    """Batches, and their bytes."""

    batches: int
    octets: int


class Offer(NamedTuple):
    """A window to tell a client; it answers ADJUSTED with the serial number."""

    serial: int
    batches: int
    octets: int


NOTHING = Amount(0, 0)


@dataclass(slots=True)
class _Account:
    granted: Amount = NOTHING
    offered: Amount | None = None
    serial: int = 0
    batches: int = 0
    octets: int = 0
    grown: int = 0
    charge: Amount = NOTHING
    #: How often the share was halved, when last, and the most bytes held since.
    halvings: int = 0
    stepped_at: float = field(default=float("-inf"))
    most: int = 0

    def window(self) -> Amount:
        """The window that the client has now or will have next."""
        return self.granted if self.offered is None else self.offered

    def allowed(self) -> Amount:
        """What the client may use: it obeys either window until it has said which."""
        if self.offered is None:
            return self.granted
        return Amount(*(max(pair) for pair in zip(self.granted, self.offered, strict=True)))

    def held(self) -> int:
        return self.octets + max(0, self.grown)

    def promised(self) -> Amount:
        """What the client has sent or may send."""
        allowed = self.allowed()
        return Amount(max(allowed.batches, self.batches), max(allowed.octets, self.octets))

    def due(self) -> Amount:
        promised = self.promised()
        return Amount(promised.batches, max(promised.octets, self.held()))


class Windows(Generic[C]):
    """All clients' windows. A client is named by any hashable object.

    Args:
        octets: the budget in bytes.
        batches: the budget in batches.
        most_batches: the most batches in one window.
    """

    def __init__(self, *, octets: int, batches: int, most_batches: int) -> None:
        self._budget = Amount(batches, octets)
        self._most_batches = most_batches
        self._accounts: dict[C, _Account] = {}
        self._charged = NOTHING
        #: Whether a round of offers may find something to change.
        self._stale = False
        self._round_at = float("-inf")
        self._halved: set[C] = set()
        #: Since when each client has owed ADJUSTED, the longest first; and those of whom it is not yet known.
        self._owing: OrderedDict[C, float] = OrderedDict()
        self._told: dict[C, None] = {}

    def open(self, client: C) -> Offer:
        """A client has come; tell it this window."""
        account = self._accounts[client] = _Account()
        self._stale = True
        return self._offer(client, account, self._reach(account, self._wanted(account), whole=False))

    def close(self, client: C) -> None:
        """A client has gone, with all that it had."""
        account = self._accounts.pop(client)
        self._halved.discard(client)
        self._obeys(client)
        account.granted, account.offered = NOTHING, None
        account.batches = account.octets = account.grown = 0
        self._recharge(account)
        self._stale = True

    def fits(self, client: C, octets: int) -> bool:
        """Whether the client may send one more batch of this size, outside slots."""
        account = self._accounts[client]
        allowed = account.allowed()
        return account.batches < allowed.batches and account.octets + octets <= allowed.octets

    def charge(self, client: C, octets: int) -> None:
        """A batch came that is in no slot, and fits."""
        account = self._accounts[client]
        account.batches += 1
        account.octets += octets
        self._recharge(account)

    def grow(self, client: C, octets: int, now: float) -> None:
        """A result came that has so many bytes more (or, negative, fewer) than its batch."""
        account = self._accounts[client]
        account.grown += octets
        self._recharge(account)
        share = self._share().octets
        outgrown = account.held() > share and account.grown > share // TOLERATED_GROWTH
        if outgrown and now >= account.stepped_at + STEP_S:
            self._step(client, account, +1, now)

    def release(self, client: C, octets: int, grown: int, *, in_slot: bool) -> None:
        """A batch is gone: it came with `octets`, and its result had `grown` more, if it has one."""
        account = self._accounts[client]
        account.grown -= grown
        if not in_slot:
            account.batches -= 1
            account.octets -= octets
        self._recharge(account)

    def adjust(self, client: C, serial: int) -> bool:
        """The client obeys the window of this serial number; False if no such window is on its way."""
        account = self._accounts[client]
        if account.offered is None or serial != account.serial:
            return False
        account.granted, account.offered = account.offered, None
        self._obeys(client)
        self._recharge(account)
        self._stale = True
        return True

    def deadline(self) -> float | None:
        """When :meth:`rebalance` or :meth:`overdue` may have something to say, or None."""
        times = [self._round_at + ROUND_S] if self._stale else []
        times += [since + ADJUST_TIMEOUT_S for since in itertools.islice(self._owing.values(), 1)]
        times += [self._accounts[client].stepped_at + STEP_S for client in self._halved]
        return min(times) if times else None

    def overdue(self, now: float) -> list[C]:
        """The clients that have had a window for too long without obeying it; they stay until closed."""
        late = []
        for client, since in self._owing.items():
            if now < since + ADJUST_TIMEOUT_S:
                break
            late.append(client)
        return late

    def rebalance(self, now: float) -> list[tuple[C, Offer]]:
        """The windows to tell clients now; none before :meth:`deadline`.

        Call it also right after :meth:`open`: from then on the client owes ADJUSTED.
        """
        offers = self._round(now)
        for client in self._told:
            self._owing[client] = now
        self._told.clear()
        return offers

    def window(self, client: C) -> Amount:
        """The window that the client has now or will have next."""
        return self._accounts[client].window()

    def used(self, client: C) -> tuple[int, int, int]:
        """Its batches outside slots, their bytes, and by how much all its results have grown."""
        account = self._accounts[client]
        return account.batches, account.octets, account.grown

    def charged(self) -> Amount:
        """What all accounts take from the budget."""
        return self._charged

    def check(self) -> None:
        """Raise AssertionError where a law is broken."""
        charges = [account.charge for account in self._accounts.values()]
        assert self._charged == Amount(sum(c.batches for c in charges), sum(c.octets for c in charges))
        promises = [account.promised() for account in self._accounts.values()]
        assert self._charged.batches == sum(p.batches for p in promises) <= self._budget.batches
        assert sum(p.octets for p in promises) <= self._budget.octets
        for account in self._accounts.values():
            assert account.charge == account.due()
            assert 0 <= account.batches <= account.charge.batches
            assert 0 <= account.octets <= account.charge.octets
            assert account.window().batches <= self._most_batches
        assert self._accounts or self._charged == NOTHING
        assert not self._owing.keys() & self._told.keys()
        assert self._owing.keys() | self._told.keys() == {
            client for client, account in self._accounts.items() if account.offered is not None
        }
        assert list(self._owing.values()) == sorted(self._owing.values())
        assert self._halved == {c for c, a in self._accounts.items() if a.halvings}

    # --- how much ------------------------------------------------------------------------------------------

    def _share(self) -> Amount:
        clients = max(1, len(self._accounts))
        return Amount(
            min(self._most_batches, self._budget.batches // clients), self._budget.octets // clients
        )

    def _wanted(self, account: _Account) -> Amount:
        share = self._share()
        octets = share.octets >> account.halvings if account.halvings < MOST_HALVINGS else 0
        return Amount(share.batches, octets)

    def _reach(self, account: _Account, wanted: Amount, *, whole: bool) -> Amount:
        """The window nearest to the wanted one that the free part of the budget allows.

        With `whole`, a window that cannot grow by a quarter stays as it is: small change is not worth a
        message, and more will be free.
        """
        reached = []
        # Not up to the charge: the part of it that results have grown to is in use.
        for now, promised, want, budget, charged in zip(
            account.granted, account.promised(), wanted, self._budget, self._charged, strict=True
        ):
            most = min(want, promised + max(0, budget - charged))
            worthwhile = want <= now or most == want or most - now >= want // 4
            reached.append(most if worthwhile or not whole else now)
        return Amount(*reached)

    def _round(self, now: float) -> list[tuple[C, Offer]]:
        for client in list(self._halved):
            self._give_back(client, now)
        if not self._stale or now < self._round_at + ROUND_S:
            return []
        self._round_at, self._stale = now, False
        # Those who shrink first: nothing is free by it yet, but the order then plays no part.
        offers = []
        for client, account in self._accounts.items():
            if account.offered is not None:
                continue
            window = self._reach(account, self._wanted(account), whole=True)
            if window != account.granted:
                offers.append((client, self._offer(client, account, window)))
        return offers

    def _offer(self, client: C, account: _Account, window: Amount) -> Offer:
        account.serial += 1
        account.offered = window
        self._told[client] = None
        self._recharge(account)
        return Offer(account.serial, window.batches, window.octets)

    def _obeys(self, client: C) -> None:
        self._owing.pop(client, None)
        self._told.pop(client, None)

    def _recharge(self, account: _Account) -> None:
        old, new = account.charge, account.due()
        account.charge = new
        account.most = max(account.most, account.held())
        if old == new:
            return
        self._charged = Amount(
            self._charged.batches + new.batches - old.batches, self._charged.octets + new.octets - old.octets
        )
        # What was in use beyond the window has become free, and may be what another waits for.
        self._stale = self._stale or new.octets < old.octets or new.batches < old.batches

    # --- results that outgrow ------------------------------------------------------------------------------

    def _step(self, client: C, account: _Account, by: int, now: float) -> None:
        halvings = min(MOST_HALVINGS, account.halvings + by)
        if halvings == account.halvings:
            return
        account.halvings, account.stepped_at, account.most = halvings, now, account.held()
        if halvings:
            self._halved.add(client)
        else:
            self._halved.discard(client)
        self._stale = True

    def _give_back(self, client: C, now: float) -> None:
        account = self._accounts[client]
        if now < account.stepped_at + STEP_S:
            return
        if 2 * account.most <= self._share().octets:
            self._step(client, account, -1, now)
        else:
            account.stepped_at, account.most = now, account.held()
