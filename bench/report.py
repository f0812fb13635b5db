"""Writes docs/performance.md and its plots from bench/results: measure first, with `make bench` or one by one.

python bench/report.py
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import ratios
import scaffold
from ratios import Ratio

DOCUMENT = scaffold.ROOT / "docs" / "performance.md"
IMAGES = scaffold.ROOT / "docs" / "images"
#: The results that the page is made of.
NAMES = ("throughput", "scale", "wire", "client")

JOBS = {
    "flip": "`Fliplr(0.5)`: next to nothing to do, and on one core a view without a copy",
    "middle": "`Fliplr(0.5)`, `Affine(rotate=(-20, 20), scale=(0.8, 1.2))`, `Multiply((0.8, 1.2))`, "
    "`GaussianBlur((0, 1.0))`",
    "tutorial": "the imgaug tutorial's: `PiecewiseAffine`, `Fliplr`, `CropAndPad`",
    "tiny": "`Identity` on small images: what a batch costs apart from its pixels",
}
HOW_TO_GET = {
    "torch": "`pip install torch --index-url https://download.pytorch.org/whl/cpu`",
    "ray": "`pip install ray`",
}

HEAD = """# Performance

Written by `make bench` ([bench/README.md](../bench/README.md)); `python bench/report.py` makes it again from what
was measured. Compare numbers of one section only, and take ratios with you rather than times: each section was
measured in one run, in which contenders took turns, so that whatever else the machine did met all of them.
"""


def results() -> dict[str, Any]:
    """What was measured, by name."""
    return {name: scaffold.load(name) for name in NAMES if (scaffold.RESULTS / f"{name}.json").exists()}


def document(found: dict[str, Any]) -> str:
    """The page."""
    parts = [HEAD, _machine(found), _targets(found), _losses(found)]
    for name, write in (("throughput", _throughput), ("scale", _scale), ("wire", _wire), ("client", _client)):
        if name in found:
            parts.append(write(found[name]))
    return "\n".join(parts).rstrip() + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; numbers are on the right."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def spread(values: Iterable[float], digits: int = 3) -> str:
    """The median of these, and the least and the most."""
    found = Ratio.of(values)
    return f"{_short(found.median, digits)} ({_short(found.least, digits)} to {_short(found.most, digits)})"


def _short(value: float, digits: int = 3) -> str:
    """The number with so many digits that count, and no exponent."""
    if value >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:#.{digits}g}".rstrip(".")


# --- sections ----------------------------------------------------------------------------------------------


def _machine(found: dict[str, Any]) -> str:
    any_of_them = next(iter(found.values()))
    versions = ", ".join(f"{name} {version}" for name, version in any_of_them["versions"].items())
    days = sorted({each["date"] for each in found.values()})
    loads = ", ".join(f"{each['load'][0]:.1f} after {name}" for name, each in found.items())
    return (
        f"The machine: {any_of_them['machine']}, {any_of_them['memory_gib']} GiB, {any_of_them['kernel']}; "
        f"{versions}. Measured {' to '.join(days)}; its load average, which counts the contenders too, was {loads}.\n"
    )


def _targets(found: dict[str, Any]) -> str:
    rows = []
    for target in ratios.targets(found):
        verdict = "**no**" if not target.met else "yes"
        rows.append(
            (
                target.what,
                target.wanted,
                target.measured or "not measured",
                verdict if target.measured else "",
            )
        )
    return "## What was wanted\n\n" + table(("what", "wanted", "measured", "met"), rows)


def _losses(found: dict[str, Any]) -> str:
    lost = ratios.losses(found)
    text = "## Where augfarm loses\n\n"
    if not lost:
        return text + "Nowhere in this run: nobody needed less time, CPU or memory for any job.\n"
    text += "Everybody who needed less than augfarm, and how many times as much augfarm needed (medians):\n\n"
    kinds = ("time", "CPU", "memory")
    rows = [(f"`{job}`", who, *(f"{m[k]:.2f}" if k in m else "" for k in kinds)) for job, who, m in lost]
    return text + table(("job", "who", *kinds), rows)


def _throughput(found: dict[str, Any]) -> str:
    text = (
        f"## Batches on one machine\n\n{found['processes']} processes; all contenders get the same distinct batches of "
        "noisy images. Time is what a batch takes while the contender is busy all the time, the median of its rounds "
        '(the least to the most). "Times one core" is how many times as fast it is as a plain loop in one process '
        "whose BLAS has one thread. CPU is of all its processes, for 1,000 images, and memory the most that they had "
        "together, of what is shared each its share. torch's DataLoader is given batches that its workers have "
        "already; all others move them in.\n\n"
        "![Batches a second of each contender](images/performance-throughput.png)\n"
    )
    missing: set[str] = set()
    for job, data in found["jobs"].items():
        text += f"\n### {job}\n\n{JOBS[job]}; {' x '.join(map(str, data['shape']))} uint8.\n\n"
        able = {n: row for n, row in data["contenders"].items() if "left out" not in row}
        one_core = able.get(ratios.ONE_CORE)
        rows = [_contender(name, row, one_core, data["shape"][0]) for name, row in able.items()]
        text += table(("contender", "ms a batch", "times one core", "CPU s: sum", "by process", "MB"), rows)
        for name, row in data["contenders"].items():
            if "left out" in row:
                text += f"\nLeft out: {name} ({row['left out']}).\n"
                missing.add(row["left out"].rpartition(" ")[2])
    for name in sorted(missing & HOW_TO_GET.keys()):
        text += f"\nTo have {name} measured: {HOW_TO_GET[name]} in `.venv`, and `make bench` again.\n"
    return text


def _contender(name: str, row: dict[str, Any], one_core: dict[str, Any] | None, images: int) -> list[str]:
    for_1000 = 1000 / images
    kinds = [
        kind
        for kind in ("client", "broker", "servers", "worker")
        if any(kind in c for c in row["cpu_seconds"])
    ]
    by_kind = [
        f"{kind} {_short(for_1000 * statistics.median(c.get(kind, 0.0) for c in row['cpu_seconds']), 2)}"
        for kind in kinds
    ]
    cpu = for_1000 * statistics.median(sum(each.values()) for each in row["cpu_seconds"])
    times = ""
    if one_core is not None:
        times = spread(a / b for a, b in zip(one_core["seconds"], row["seconds"], strict=True))
    return [
        f"**{name}**" if name.startswith(ratios.US) else name,
        spread(1000 * value for value in row["seconds"]),
        times,
        _short(cpu, 2),
        ", ".join(by_kind),
        f"{row['peak_bytes'] / 1e6:.0f}",
    ]


def _scale(found: dict[str, Any]) -> str:
    core = [
        (f"{row['workers']:,}", f"{row['clients']:,}", f"{row['queued']:,}", spread(row["us"]))
        for row in found["core"]
    ]
    broker = [(f"{row['workers']:,}", f"{row['clients']:,}", spread(row["us"])) for row in found["broker"]]
    return (
        "## The broker with many workers\n\n"
        "CPU that one batch costs, from its submission until its client has said that the result is there. The core "
        "is what decides; simulated peers surround it. A whole broker also has its sockets, here over ipc, and its "
        "peers are all in one process, so it is told more at a time where there are more. Bodies are small: moving "
        "pixels is measured elsewhere.\n\n"
        "![Microseconds for a batch over workers, clients and queued batches](images/performance-scale.png)\n\n"
        + table(("workers", "clients", "queued batches", "µs in the core"), core)
        + "\n"
        + table(("workers", "clients", "µs of a whole broker"), broker)
        + f"\nA queued batch takes {_short(found['core_bytes_a_batch'])} bytes in the core besides its frames, and "
        f"{_short(found['broker_bytes_a_batch'], 2)} bytes of a broker's memory with frames of 300 bytes.\n"
    )


def _wire(found: dict[str, Any]) -> str:
    text = "## Over a link\n\n"
    if "left out" in found:
        return text + f"Not measured: {found['left out']}.\n"
    rows = []
    for link in found["links"]:
        shares = {name: [8e-6 * v / link["mbit"] for v in values] for name, values in link["rates"].items()}
        rows.append(
            (
                f"{link['mbit']:,} Mbit/s, {link['delay_ms']} ms",
                *(_percent(Ratio.of(shares[name])) for name in ("bare", "bare in frames", "augfarm")),
                _percent(ratios.link_share(link)),
                _percent(ratios.link_share(link, "bare in frames")),
            )
        )
    text += (
        f"A client on one side; a broker and {found['workers']} workers, which leave batches of "
        f"{found['batch_octets'] / 1e6:.1f} MB as they are, on the other. Each batch crosses the link there and back at "
        "the same time as others. Bare ZeroMQ is a PUSH and PULL pair in each direction with the same batches, whole, "
        "and cut into frames of 256 KiB as augfarm cuts them, so that heartbeats pass in between. The delay is one "
        "way.\n\n![Share of the link used, and how busy a worker far away is](images/performance-wire.png)\n\n"
        + table(
            ("link", "bare", "bare, in frames", "augfarm", "augfarm to bare", "augfarm to bare in frames"),
            rows,
        )
    )
    text += (
        "\n"
        + "".join(_bound_of(link, found["send_buffer"]) for link in found["links"] if link["delay_ms"])
        + "### Is a worker idle for a round trip?\n\nOne worker, and the share of the time that its augmenter works, by "
        "what a batch takes and by the delay to the worker, one way:\n\n"
    )
    paces = [row["batch_s"] for row in next(iter(found["idleness"].values()))]
    head = ("delay", *(f"{1000 * pace:g} ms a batch" for pace in paces))
    lines = [
        (f"{delay} ms", *(f"{row['busy']:.0%}" for row in each)) for delay, each in found["idleness"].items()
    ]
    return text + table(head, lines)


def _bound_of(link: dict[str, Any], send_buffer: int) -> str:
    """What one connection can carry at most over a long link, in words."""
    bound = send_buffer / (2e-3 * link["delay_ms"]) * 8e-6
    text = (
        f"Over {link['delay_ms']} ms the kernel lets {send_buffer / 1e6:.1f} MB of each connection be under way "
        f"(`net.ipv4.tcp_wmem`), its own bookkeeping among them: at most {bound:,.0f} Mbit/s"
    )
    if bound >= link["mbit"]:
        return text + ".\n\n"
    share = statistics.median(link["rates"]["bare in frames"]) / statistics.median(link["rates"]["bare"])
    return text + f", less than the link has. Frames of 256 KiB alone take bare ZeroMQ to {share:.0%}.\n\n"


def _percent(found: Ratio) -> str:
    return f"{found.median:.0%} ({found.least:.0%} to {found.most:.0%})"


def _client(found: dict[str, Any]) -> str:
    memory = [
        (
            row["route"],
            str(row["buffer"]),
            f"{row['above_base'] / 1e6:.0f} MB",
            f"{(2 * row['buffer'] * row['batch_bytes'] + ratios.MEMORY_BESIDES) / 1e6:.0f} MB",
        )
        for row in found["memory"]
    ]
    return (
        "## Start, and the client's memory\n\n"
        f"`Client(pipeline, processes={found['processes']})` to its first result, in a new process that has imported "
        f"imgaug: {spread(found['cold'])} s. A client of a farm that runs already: "
        f"{spread(1000 * value for value in found['warm'])} ms.\n\n"
        "What a call needs at most above what the process had before the client was made, for batches of "
        f"{found['memory'][0]['batch_bytes'] / 1e6:.1f} MB of which the caller keeps none. What workers share with the "
        "client counts as theirs.\n\n"
        + table(("route", "output_buffer_size", "most", "twice the batches, and 20 MB"), memory)
    )


def main() -> None:
    import figures

    found = results()
    figures.draw_all(found, IMAGES)
    DOCUMENT.write_text(document(found))
    print(f"wrote {DOCUMENT.relative_to(scaffold.ROOT)}")


if __name__ == "__main__":
    main()
