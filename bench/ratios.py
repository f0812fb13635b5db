"""What the numbers say: ratios, whether they are what was wanted, and where others are ahead. Pure.

`results` are the files of bench/results by name, as plain data; a file that is missing makes its targets "not
measured".
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["US", "Ratio", "Target", "broker_growth", "link_share", "losses", "ratio", "targets"]

Results = dict[str, Any]

#: The contender that is ours.
US = "augfarm"
ONE_CORE = "one core"
POOL = "imgaug's Pool"
POOL_LIMITED = "imgaug's Pool, BLAS on one thread"
TORCH = "torch's DataLoader"
#: Bare ZeroMQ fills a link if it reaches this part of its rate.
FILLS = 0.9
#: What a client may have besides its batches, in bytes.
MEMORY_BESIDES = 20e6


#: What a contender needs for a job: the medians of its rounds, and its peak.
_NEEDS: dict[str, Callable[[dict[str, Any]], float]] = {
    "time": lambda row: statistics.median(row["seconds"]),
    "CPU": lambda row: statistics.median(sum(each.values()) for each in row["cpu_seconds"]),
    "memory": lambda row: float(row["peak_bytes"]),
}


@dataclass(frozen=True)
class Ratio:
    """The median of a ratio over rounds, and the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Ratio:
        values = list(values)
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Target:
    """Something that was wanted.

    Attributes:
        what: in words.
        wanted: the bound, and maybe what was aimed at, in words.
        measured: in words; "" where it was not measured.
        met: whether the bound is kept.
    """

    what: str
    wanted: str
    measured: str = ""
    met: bool = False


def ratio(results: Results, job: str, other: str) -> Ratio | None:
    """How many times as fast as this contender augfarm is, round by round; None without either."""
    found = results.get("throughput", {}).get("jobs", {}).get(job, {}).get("contenders", {})
    ours, others = (found.get(name, {}).get("seconds") for name in (US, other))
    if not ours or not others:
        return None
    return Ratio.of(b / a for a, b in zip(ours, others, strict=True))


def broker_growth(rows: Sequence[dict[str, Any]], few: int = 4, many: int = 512) -> Ratio | None:
    """A batch's cost with many workers in times of that with few, all else equal, round by round."""
    for row in rows:
        if row["workers"] != many:
            continue
        same = {**row, "workers": few}
        for other in rows:
            if all(other[key] == same[key] for key in same if key != "us"):
                return Ratio.of(a / b for a, b in zip(row["us"], other["us"], strict=True))
    return None


def link_share(link: dict[str, Any], of: str = "bare") -> Ratio:
    """Of what bare ZeroMQ reaches on this link, which part augfarm does."""
    rates = link["rates"]
    return Ratio.of(a / b for a, b in zip(rates[US], rates[of], strict=True))


def fills(link: dict[str, Any]) -> float:
    """Which part of the link's rate bare ZeroMQ reaches."""
    rate: float = statistics.median(link["rates"]["bare"]) * 8 / (link["mbit"] * 1e6)
    return rate


def targets(results: Results) -> list[Target]:
    """All that was wanted, with what was measured."""
    return [
        _times(results, "flip", POOL, 5, "5 times"),
        _times(results, "flip", TORCH, 1, "ahead"),
        _times(results, "middle", ONE_CORE, 1.6, "1.6 times; 1.8 aimed at"),
        _times(results, "tutorial", ONE_CORE, 1.8, "1.8 times; 1.9 aimed at"),
        _times(results, "tutorial", POOL, 3, "3 times"),
        _times(results, "tiny", POOL, 1, "ahead; 1.5 times aimed at"),
        _times(results, "tiny", POOL_LIMITED, 1, "ahead; 1.5 times aimed at"),
        *_of_the_broker(results.get("scale", {})),
        *_of_the_wire(results.get("wire", {})),
        *_of_the_client(results.get("client", {})),
    ]


def losses(results: Results) -> list[tuple[str, str, dict[str, float]]]:
    """Who needs less than augfarm: the job, who, and of what, with how many times as much augfarm needs."""
    found = []
    for job, data in results.get("throughput", {}).get("jobs", {}).items():
        able = {name: row for name, row in data["contenders"].items() if "left out" not in row}
        for name, row in able.items():
            if US not in able or name.startswith(US):
                continue
            times = {what: need(able[US]) / need(row) for what, need in _NEEDS.items()}
            if more := {what: value for what, value in times.items() if value > 1}:
                found.append((job, name, more))
    return found


def _times(results: Results, job: str, other: str, least: float, wanted: str) -> Target:
    what = f"`{job}`: as fast as {other}"
    found = ratio(results, job, other)
    if found is None:
        return Target(what, wanted)
    text = f"{found.median:.2f} times ({found.least:.2f} to {found.most:.2f})"
    return Target(what, wanted, text, found.median >= least)


def _of_the_broker(scale: dict[str, Any]) -> list[Target]:
    said = []
    for key, name in (("core", "the broker's core"), ("broker", "the whole broker")):
        what = f"CPU of {name} for a batch, 512 workers to 4"
        found = broker_growth(scale.get(key, []))
        if found is None:
            said.append(Target(what, "at most 1.3 times"))
        else:
            text = f"{found.median:.2f} times ({found.least:.2f} to {found.most:.2f})"
            said.append(Target(what, "at most 1.3 times", text, found.median <= 1.3))
    return said


def _of_the_wire(wire: dict[str, Any]) -> list[Target]:
    links = [link for link in wire.get("links", []) if not link["delay_ms"]]
    links.sort(key=lambda link: -link["mbit"])
    # The fastest link that bare ZeroMQ fills here, or the slowest there is.
    link = next((each for each in links if fills(each) >= FILLS), links[-1] if links else None)
    if link is None:
        return [Target("Of what bare ZeroMQ reaches on the same link", "90 %")]
    share = link_share(link)
    what = f"Of what bare ZeroMQ reaches on the same link, {link['mbit']:,} Mbit/s"
    text = f"{share.median:.0%} ({share.least:.0%} to {share.most:.0%})"
    return [Target(what, "90 %", text, share.median >= 0.9)]


def _of_the_client(client: dict[str, Any]) -> list[Target]:
    said = []
    for key, what, bound, unit, scale in (
        ("cold", "`Client(pipeline, processes=2)` to its first result", 2.0, "s", 1.0),
        ("warm", "A client of a farm that runs, to its first result", 50.0, "ms", 1000.0),
    ):
        wanted = f"under {bound:g} {unit}"
        if not client.get(key):
            said.append(Target(what, wanted))
            continue
        found = Ratio.of(scale * value for value in client[key])
        text = f"{found.median:.3g} {unit} ({found.least:.3g} to {found.most:.3g})"
        said.append(Target(what, wanted, text, found.median < bound))
    for row in client.get("memory", []):
        bound = 2 * row["buffer"] * row["batch_bytes"] + MEMORY_BESIDES
        what = f"The client's memory, {row['route']}, `output_buffer_size={row['buffer']}`"
        text = f"{row['above_base'] / 1e6:.0f} MB"
        said.append(
            Target(
                what,
                f"at most {bound / 1e6:.0f} MB: twice its batches, and 20 MB",
                text,
                row["above_base"] <= bound,
            )
        )
    return said
