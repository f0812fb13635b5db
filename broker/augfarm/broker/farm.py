"""What clients are told about the farm: workers, slots, advice and environments. Pure."""

from __future__ import annotations

from augfarm.protocol import limits
from augfarm.protocol.messages import Farm

from .jobs import Worker

__all__ = ["Census"]

#: What differs between processes of one machine: it says nothing about what a batch will look like.
_OF_THE_PROCESS = ("host", "pid")
#: Environments in one Farm, the most that the protocol allows, and the characters in all of them: four bytes
#: each at most, so that the command fits its frame.
_MOST_ENVIRONMENTS = 16
_MOST_CHARACTERS = 32 * 1024
#: The least advice in batches, so that a farm that is still empty keeps its first workers busy.
_LEAST_ADVICE = 4


class Census:
    """The workers that are here, counted as they come and go."""

    def __init__(self) -> None:
        self._workers = 0
        self._slots = 0
        self._environments: dict[frozenset[tuple[str, str]], int] = {}

    def add(self, worker: Worker) -> None:
        """The worker has joined."""
        self._count(worker, +1)

    def remove(self, worker: Worker) -> None:
        """The worker has gone."""
        self._count(worker, -1)

    def farm(self) -> Farm:
        """What to tell clients now."""
        # One batch at work or waiting for each slot, one more of each on its way, and some in hand.
        advice = min(limits.ADVICE_MAX_BATCHES, max(_LEAST_ADVICE, 2 * self._slots + 4))
        return Farm(self._workers, self._slots, advice, self._distinct())

    def _count(self, worker: Worker, by: int) -> None:
        self._workers += by
        self._slots += by * worker.capacity
        kind = frozenset(item for item in worker.environment.items() if item[0] not in _OF_THE_PROCESS)
        count = self._environments.get(kind, 0) + by
        if count:
            self._environments[kind] = count
        else:
            del self._environments[kind]

    def _distinct(self) -> tuple[dict[str, str], ...]:
        told: list[dict[str, str]] = []
        characters = 0
        for kind in self._environments:
            characters += sum(len(name) + len(value) for name, value in kind)
            if len(told) == _MOST_ENVIRONMENTS or characters > _MOST_CHARACTERS:
                break
            told.append(dict(sorted(kind)))
        return tuple(told)
