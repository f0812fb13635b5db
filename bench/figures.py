"""The plots of docs/performance.md, from the results that are there. Needs matplotlib."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import ratios

__all__ = ["draw_all"]

_OURS, _OTHERS, _BARE, _MARK = "#1b7837", "#9aa5b1", "#40679e", "#b2182b"


def draw_all(results: dict[str, Any], directory: Path) -> None:
    """Write all plots of which there are results."""
    import matplotlib

    matplotlib.use("Agg")
    for name, draw in (("throughput", _throughput), ("scale", _scale), ("wire", _wire)):
        if name in results and "left out" not in results[name]:
            figure = draw(results[name])
            figure.savefig(directory / f"performance-{name}.png", dpi=110)


def _figure(columns: int, size: tuple[float, float], rows: int = 1) -> Any:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes.flat)


def _throughput(found: dict[str, Any]) -> Any:
    jobs = found["jobs"]
    figure, axes = _figure(2, (10, 1.2 + 2.3 * ((len(jobs) + 1) // 2)), (len(jobs) + 1) // 2)
    for axis in axes[len(jobs) :]:
        axis.set_visible(False)
    for axis, (job, data) in zip(axes, jobs.items(), strict=False):
        able = {n: row for n, row in data["contenders"].items() if "left out" not in row}
        rates = {name: [1 / value for value in row["seconds"]] for name, row in able.items()}
        names = sorted(rates, key=lambda name: statistics.median(rates[name]))
        middles = [statistics.median(rates[name]) for name in names]
        axis.barh(names, middles, color=[_OURS if n.startswith(ratios.US) else _OTHERS for n in names])
        for place, name in enumerate(names):
            axis.plot([min(rates[name]), max(rates[name])], [place, place], color="black", linewidth=1)
            axis.annotate(
                f" {middles[place]:,.4g}",
                (max(rates[name]), place),
                va="center",
                fontsize=8,
            )
        axis.margins(x=0.15)
        axis.set_title(f"{job}: {' x '.join(map(str, data['shape']))}", fontsize=10)
        axis.tick_params(labelsize=8)
    figure.supxlabel(
        f"batches a second, {found['processes']} processes (median of the rounds; lines: least to most)",
        fontsize=9,
    )
    return figure


def _scale(found: dict[str, Any]) -> Any:
    rows = found["core"]
    figure, axes = _figure(3, (10, 3.2))
    for axis, (key, title, keep) in zip(
        axes,
        (
            ("workers", "workers (4 clients, 1,000 queued)", {"clients": 4, "queued": 1000}),
            ("clients", "clients (64 workers, 1,000 queued)", {"workers": 64, "queued": 1000}),
            ("queued", "queued batches (64 workers, 4 clients)", {"workers": 64, "clients": 4}),
        ),
        strict=True,
    ):
        line = sorted(
            (row for row in rows if all(row[k] == v for k, v in keep.items())), key=lambda row: row[key]
        )
        places = [row[key] for row in line]
        middles = [statistics.median(row["us"]) for row in line]
        axis.plot(places, middles, marker="o", color=_OURS)
        axis.fill_between(
            places, [min(r["us"]) for r in line], [max(r["us"]) for r in line], color=_OURS, alpha=0.2
        )
        axis.set_xscale("log")
        axis.set_ylim(0, 1.3 * max(max(row["us"]) for row in rows))
        axis.set_xlabel(title, fontsize=9)
    figure.supylabel("µs of CPU in the core\nfor a batch", fontsize=9)
    return figure


def _wire(found: dict[str, Any]) -> Any:
    figure, axes = _figure(2, (10, 3.4))
    left, right = axes
    names = {"bare": "bare ZeroMQ", "bare in frames": "bare ZeroMQ, 256 KiB frames", "augfarm": "augfarm"}
    colors = {"bare": _OTHERS, "bare in frames": _BARE, "augfarm": _OURS}
    for number, name in enumerate(names):
        places = [place + 0.27 * (number - 1) for place in range(len(found["links"]))]
        values = [[8e-6 * v / link["mbit"] for v in link["rates"][name]] for link in found["links"]]
        left.bar(places, [statistics.median(v) for v in values], 0.25, color=colors[name], label=names[name])
        for place, each in zip(places, values, strict=True):
            left.plot([place, place], [min(each), max(each)], color="black", linewidth=1)
    labels = [f"{x['mbit']:,} Mbit/s" + f"\n{x['delay_ms']} ms one way" for x in found["links"]]
    left.set_xticks(range(len(labels)), labels, fontsize=8)
    left.axhline(1, color=_MARK, linewidth=1)
    left.set_ylim(0, 1.3)
    left.set_ylabel("share of the link used, each way", fontsize=9)
    left.legend(fontsize=8, ncols=3, loc="upper center", columnspacing=1)
    for delay, rows in found["idleness"].items():
        color = _OTHERS if delay == "0" else _OURS
        label = f"{delay} ms to the worker"
        right.plot(
            [1000 * r["batch_s"] for r in rows], [r["busy"] for r in rows], "o-", color=color, label=label
        )
    right.set_xscale("log")
    ticks = sorted({1000 * row["batch_s"] for rows in found["idleness"].values() for row in rows})
    right.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    right.minorticks_off()
    right.set_ylim(0, 1.1)
    right.set_xlabel("ms that a batch takes", fontsize=9)
    right.set_ylabel("share of time that the worker works", fontsize=9)
    right.legend(fontsize=8)
    return figure
