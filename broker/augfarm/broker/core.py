"""The broker's core: every decision of the broker, and nothing else. Pure.

It has one door: `handle(event, now)` gives what to do. `deadline()` says when `expire(now)` has something to
do although nothing happened. `check()` raises where a law is broken. It knows no sockets, clock or log.

Rules:

- Whose key is not among those last read is refused; the shell reads them anew before it asks about one.
- The first command on a connection is HELLO or JOIN with a session's token (STATUS alone needs none). A
  known token takes the session up on the new connection; the old one is refused. A connection that was
  refused or has said GOODBYE is silent from then on: whatever it sends is dropped.
- A client that is gone, or comes on a new connection, has nothing here: it submits again what it misses.
- A worker's leases end by RESULT, FAILED, GOODBYE or its end. Then they go back to the heads of the queues.
- An attempt counts where a worker's process died: for its oldest lease alone, since the others only waited.
  If the same session joins again, the process had not died, and the count is taken back.
- After every step no batch waits beside a worker with credit.
- A client that does not say ADJUSTED in time is refused: what it keeps others do not get.
- What a peer sends may be anything: what its state does not allow is refused by name, or dropped and
  counted. It never raises.

This file holds connections and sessions. The commands of an open session are in :mod:`.clients` and
:mod:`.workers`; where each batch is, in :mod:`.ledger`; who is next, in :mod:`.dispatch`; how much a client
may send, in :mod:`.windows`; who holds which pipeline, in :mod:`.pipelines`; what clients hear of the farm,
in :mod:`.farm`; who misbehaves, in :mod:`.manners`; what is reported, in :mod:`.status`.
"""

from __future__ import annotations

from collections.abc import Mapping

from augfarm.protocol import limits
from augfarm.protocol import messages as m

from .clients import ClientDesk
from .events import (
    Action,
    CommandReceived,
    ConnectionLost,
    Event,
    GarbageReceived,
    KeysRead,
    MemoryAttached,
    Retire,
    Send,
    Side,
    StopRequested,
)
from .floor import Floor, Key, LastWord, key_of
from .jobs import Client, SessionKey, Worker
from .ledger import Ledger
from .status import report
from .windows import ADJUST_TIMEOUT_S, Windows
from .workers import WorkerDesk

__all__ = ["Core"]

#: Changes of the farm within this time are told to clients together, in seconds.
FARM_PAUSE_S = 0.1
#: All windows together, in batches. A job and its command cost 0.6 KiB here, and 2.5 KiB with its frames as
#: pyzmq and libzmq hold them (bench/core_scale.py): these cost 320 MiB besides what is in the bodies.
WINDOW_BATCHES = 128 * 1024
_REVOKED = m.Refused("revoked", "the key of this session was revoked")
#: What comes only from who mixed up the broker's two addresses, by the side that the port is for.
_STRANGERS: dict[Side, tuple[type[m.Command], ...]] = {"client": (m.Join,), "worker": (m.Hello, m.Status)}
_WRONG_PORT: dict[Side, str] = {
    "client": "this is the broker's port for clients: workers need its other address (by default port 5556)",
    "worker": "this is the broker's port for workers: clients need its other address (by default port 5555)",
}


class Core:
    """The state of a broker.

    Args:
        frame_bytes: the longest frame that peers may send, in bytes.
        max_attempts: processes that may die of a batch before it is given up.
        memory_bytes: the budget of all windows together, in bytes.
        max_open_batches: the most batches in one client's window.
        software: what the broker calls itself to its peers.
        secret: what receipts are made with, at most 64 bytes that no peer knows.
        now: the time at which it starts, in seconds.
    """

    def __init__(
        self,
        *,
        frame_bytes: int,
        max_attempts: int = limits.DEFAULT_MAX_ATTEMPTS,
        memory_bytes: int = limits.DEFAULT_MEMORY_BYTES,
        max_open_batches: int = limits.MAX_OPEN_BATCHES,
        software: str = "augfarm",
        secret: bytes = b"",
        now: float = 0.0,
    ) -> None:
        windows: Windows[Client] = Windows(
            octets=memory_bytes, batches=WINDOW_BATCHES, most_batches=max_open_batches
        )
        self._floor = Floor(software, frame_bytes, max_attempts, windows, Ledger(windows, secret))
        self._clients = ClientDesk(self._floor)
        self._workers = WorkerDesk(self._floor)
        self._peers: dict[Key, Client | Worker] = {}
        #: Who may speak on each side, as last read; without an entry everybody may.
        self._user_ids: dict[Side, frozenset[str]] = {}
        self._memory_bytes = memory_bytes
        self._started_at = now
        #: What all clients were last told, or None where they were told different things.
        self._told_farm: m.Farm | None = self._workers.census.farm()
        self._farm_changed = False
        self._farm_at = float("-inf")

    # --- the door ------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Action]:
        """What to do about this event, in order. `now` is in seconds and never goes back."""
        match event:
            case CommandReceived():
                self._hear((event.side, event.connection), event, now)
            case GarbageReceived(side, connection, reason):
                self._hear_garbage((side, connection), reason, now)
            case ConnectionLost(side, connection, closed_by_peer):
                self._lose((side, connection), closed_by_peer, now)
            case KeysRead(side, user_ids):
                self._user_ids[side] = user_ids
                revoked = [key_of(p) for (user, _), p in self._sessions(side).items() if user not in user_ids]
                for key in revoked:
                    self._end(key, _REVOKED, now)
            case MemoryAttached(connection):
                client = self._peers.get(("client", connection))
                if isinstance(client, Client):
                    self._clients.attached(client)
            case StopRequested():
                for key in list(self._peers):
                    self._end(key, m.Goodbye(), now)
        return self.expire(now)

    def admits(self, side: Side, user_id: str) -> bool:
        """Whether this key is among those last read, or none ever were."""
        return side not in self._user_ids or user_id in self._user_ids[side]

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to do, or None. It may be in the past: then at once."""
        times = [self._farm_at + FARM_PAUSE_S] if self._farm_changed else []
        others = (self._floor.windows.deadline(), self._floor.manners.deadline())
        times += [time for time in others if time is not None]
        return min(times) if times else None

    def expire(self, now: float) -> list[Action]:
        """What to do because time has passed."""
        floor = self._floor
        for client in floor.windows.overdue(now):
            late = f"no ADJUSTED within {ADJUST_TIMEOUT_S:.0f} s of WINDOW"
            self._end(key_of(client), m.Refused("late", late), now)
        self._workers.dispatch(now)
        for client, offer in floor.windows.rebalance(now):
            floor.tell(client, m.Window(*offer))
        if self._farm_changed and now >= self._farm_at + FARM_PAUSE_S:
            self._tell_farm(now)
        for key in floor.manners.reports_due(now):
            floor.actions.append(Send(*key, m.Report(self.status(now))))
        return floor.take_actions(now)

    def status(self, now: float) -> dict[str, object]:
        """The state as plain data, small enough for a command; docs/protocol.md names its keys."""
        floor = self._floor
        return report(
            clients=self._clients.sessions.values(),
            workers=self._workers.sessions.values(),
            totals=floor.totals,
            window=floor.windows.window,
            software=floor.software,
            uptime=now - self._started_at,
            now=now,
            queued=floor.ledger.lines.queued,
            memory={"held": floor.ledger.held + floor.library.octets, "budget": self._memory_bytes},
        )

    def check(self) -> None:
        """Raise AssertionError where a law is broken."""
        floor = self._floor
        clients = list(self._clients.sessions.values())
        workers = list(self._workers.sessions.values())
        floor.ledger.check(clients, workers)
        floor.windows.check()
        floor.library.check(clients)
        self._workers.check()
        peers: list[Client | Worker] = [*clients, *workers]
        here = {key_of(peer): peer for peer in peers}
        assert here == self._peers, "a session has one connection and a connection one session"
        assert not any(floor.manners.is_silenced(key) for key in self._peers)
        for side in self._user_ids:
            assert all(self.admits(side, user_id) for user_id, _ in self._sessions(side))
        waiting = [job for c in clients for line in (c.retried, c.fresh) for job in line.values()]
        assert all(0 <= job.attempts < floor.max_attempts for job in waiting)
        assert not floor.actions, "all that was decided was handed out"
        assert not floor.said

    # --- connections ---------------------------------------------------------------------------------------

    def _hear(self, key: Key, event: CommandReceived, now: float) -> None:
        if self._floor.manners.is_silenced(key):
            return
        if not self.admits(event.side, event.user_id):
            self._end(key, _REVOKED, now)
            return
        peer, command = self._peers.get(key), event.command
        if isinstance(command, _STRANGERS[event.side]):
            self._end(key, m.Refused("wrong-port", _WRONG_PORT[event.side]), now)
            return
        if isinstance(command, m.Status):
            self._floor.manners.asked(key)
            return
        last_word: LastWord | None
        if isinstance(peer, Client):
            last_word = self._clients.hear(peer, event, now)
        elif isinstance(peer, Worker):
            last_word = self._workers.hear(peer, event, now)
        else:
            last_word = self._open(key, event, now)
        if last_word is not None:
            self._end(key, last_word, now)

    def _open(self, key: Key, event: CommandReceived, now: float) -> LastWord | None:
        side, connection = key
        greeting, greeting_type = event.command, m.Hello if side == "client" else m.Join
        if not isinstance(greeting, (m.Hello, m.Join)) or not isinstance(greeting, greeting_type):
            return m.Refused("expected-hello", f"the first command is {greeting_type.__name__.upper()}")
        if greeting.version != limits.PROTOCOL_VERSION:
            ours = f"the broker ({self._floor.software}) speaks protocol {limits.PROTOCOL_VERSION}"
            return m.Refused("version", f"{ours}, the peer {greeting.version}")
        session_key = (event.user_id, greeting.token)
        old = self._sessions(side).get(session_key)
        if old is not None:
            self._end(key_of(old), m.Refused("replaced", "this session is on another connection now"), now)
        most = limits.MAX_CLIENTS if side == "client" else limits.MAX_WORKERS
        if len(self._sessions(side)) >= most:
            return m.Refused("full", f"{most} {side}s are here already")
        if isinstance(greeting, m.Hello):
            farm = self._workers.census.farm()
            if farm != self._told_farm:
                self._told_farm = None  # this client hears of a change before the others
            resumed = old if isinstance(old, Client) else None
            self._peers[key] = self._clients.open(session_key, connection, greeting, farm, resumed, now)
        else:
            self._peers[key] = self._workers.open(session_key, connection, greeting, now)
            self._farm_changed = True
        return None

    def _hear_garbage(self, key: Key, reason: str, now: float) -> None:
        manners = self._floor.manners
        if manners.is_silenced(key):
            return
        self._floor.totals.garbage += 1
        peer = self._peers.get(key)
        # What a worker with leases sent may have been the answer to one, which would be waited for for ever.
        if manners.misbehaved(key) or (isinstance(peer, Worker) and peer.leases):
            self._end(key, m.Refused("malformed", reason[:1000]), now)
        else:
            self._floor.log("WARNING", f"{self._name(key)} sent what is no message: {reason}")

    def _lose(self, key: Key, closed_by_peer: bool, now: float) -> None:
        peer = self._peers.get(key)
        if peer is not None:
            how = "closed its connection" if closed_by_peer else "is gone"
            had = f"; it had {len(peer.leases)} batches" if isinstance(peer, Worker) else ""
            self._floor.log("INFO", f"{self._name(key)} {how}{had}")
            self._drop(key, died=closed_by_peer, now=now)
        self._floor.manners.forget(key)

    def _end(self, key: Key, last_word: LastWord, now: float) -> None:
        """The last word on this connection; what its peer had here is dropped or goes back."""
        if isinstance(last_word, m.Refused):
            name = self._name(key)
            self._floor.log("WARNING", f"{name} is refused ({last_word.code}): {last_word.text}")
        else:
            self._floor.log("INFO", f"{self._name(key)} leaves")
        unread = _unread(self._peers.get(key))
        self._drop(key, died=False, now=now)
        self._floor.manners.silence(key)
        self._floor.actions += [Send(*key, last_word), Retire(*key, unread)]

    def _drop(self, key: Key, *, died: bool, now: float) -> None:
        peer = self._peers.pop(key, None)
        if isinstance(peer, Client):
            self._clients.drop(peer)
            self._workers.forget_memory(peer)
        elif isinstance(peer, Worker):
            self._workers.drop(peer, died=died, now=now)
            self._farm_changed = True

    def _sessions(self, side: Side) -> Mapping[SessionKey, Client | Worker]:
        if side == "client":
            return self._clients.sessions
        return self._workers.sessions

    # --- words ---------------------------------------------------------------------------------------------

    def _tell_farm(self, now: float) -> None:
        self._farm_changed, self._farm_at = False, now
        farm = self._workers.census.farm()
        if farm != self._told_farm:
            self._told_farm = farm
            for client in self._clients.sessions.values():
                self._floor.tell(client, farm)

    def _name(self, key: Key) -> str:
        peer = self._peers.get(key)
        if isinstance(peer, Client):
            return f"client {peer.session}"
        if isinstance(peer, Worker):
            return f"worker {peer.worker_id}"
        return f"a stranger at the port for {key[0]}s"


def _unread(peer: Client | Worker | None) -> int:
    """What the peer was sent and may not have read, in bytes."""
    jobs = {} if peer is None else peer.answers if isinstance(peer, Client) else peer.leases
    return sum(job.held for job in jobs.values())
