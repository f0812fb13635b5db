"""Throughput over time while workers are killed: augfarm, and imgaug's own Pool with one worker killed.

    python bench/kills.py          # a minute; writes bench/results/kills.json and docs/images/kills.png

Two workers on either side, the same pipeline and batches. From second 8 to 16 a worker of augfarm's is killed
(kill -9) every 0.3 s on average; of imgaug's Pool one is killed, at second 8.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import scaffold
from imgaug import augmenters as iaa
from imgaug.augmentables.batches import UnnormalizedBatch

from augfarm.client import Client
from farms import quokka_batches, running_farm

BEGIN, END, LENGTH = 8.0, 16.0, 24.0
MEAN_S = 0.3
STEP = 0.5
WORKERS = 2


def pipeline() -> Any:
    return iaa.Sequential([iaa.Fliplr(0.5), iaa.Affine(rotate=(-20, 20)), iaa.GaussianBlur((0, 1.0))])


def source() -> Any:
    (batch,) = quokka_batches(1, images=8, size=225)
    while True:
        yield UnnormalizedBatch(images=batch.images_unaug)


def with_augfarm() -> tuple[list[float], list[float]]:
    """When results came and when a worker was killed, in seconds from the start."""
    times: list[float] = []
    kills: list[float] = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        running_farm(Path(scratch), WORKERS, max_attempts=1000) as farm,
        Client(pipeline(), farm.clients, seed=1, seeding="batch") as client,
    ):
        results = client.imap_batches(source(), 8)
        next(results)
        started = time.monotonic()

        def kill() -> None:
            rng = random.Random(1)
            time.sleep(BEGIN)
            while (now := time.monotonic() - started) < END:
                victims = [w for w in farm.status()["workers"] if w["done"]]
                if victims:
                    with contextlib.suppress(ProcessLookupError):  # killed already, and the report is older
                        os.kill(int(rng.choice(victims)["environment"]["pid"]), signal.SIGKILL)
                        kills.append(now)
                time.sleep(rng.expovariate(1 / MEAN_S))

        killer = threading.Thread(target=kill)
        killer.start()
        while (now := time.monotonic() - started) < LENGTH:
            next(results)
            times.append(now)
        killer.join()
    return times, kills


def with_imgaug() -> list[float]:
    """When results of imgaug's Pool came; in a process of its own, since it hangs."""
    child = subprocess.Popen([sys.executable, __file__, "imgaug"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    times: list[float] = []
    reader = threading.Thread(target=lambda: times.extend(float(line) for line in child.stdout), daemon=True)
    reader.start()
    time.sleep(LENGTH + 5)
    child.kill()
    child.wait()
    reader.join(5)
    return [t for t in times if t < LENGTH]


def imgaug_child() -> None:
    from imgaug import multicore

    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    pool = multicore.Pool(pipeline(), processes=WORKERS, seed=1)
    with pool:
        results = pool.imap_batches(source(), output_buffer_size=8)
        next(results)
        started = time.monotonic()
        victim = pool.pool._pool[0].pid
        threading.Timer(BEGIN, os.kill, (victim, signal.SIGKILL)).start()
        for _ in results:
            print(time.monotonic() - started, flush=True)


def rates(times: list[float]) -> list[float]:
    """Batches a second in each step of STEP seconds."""
    counts = [0] * round(LENGTH / STEP)
    for t in times:
        counts[min(int(t / STEP), len(counts) - 1)] += 1
    return [count / STEP for count in counts]


def draw(data: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 3.6), dpi=120)
    steps = [STEP * (n + 0.5) for n in range(len(data["augfarm"]))]
    axes.axvspan(BEGIN, END, color="#f3e3d3", lw=0)
    axes.plot(steps, data["augfarm"], color="#1f5fa8", lw=2)
    axes.plot(steps, data["imgaug"], color="#888888", lw=2)
    top = 1.25 * max(data["augfarm"] + data["imgaug"])
    axes.vlines(data["kills"], 0, 0.05 * top, color="#c0392b", lw=1)
    axes.text((BEGIN + END) / 2, 0.95 * top, f"{len(data['kills'])} workers killed", ha="center", va="top")
    axes.annotate(
        "augfarm", (steps[6], data["augfarm"][6]), (0, 8), textcoords="offset points", color="#1f5fa8"
    )
    axes.annotate(
        "imgaug's Pool", (steps[6], data["imgaug"][6]), (0, -14), textcoords="offset points", color="#666666"
    )
    axes.annotate(
        "one worker killed: the Pool hangs",
        (steps[-1], 0),
        (0, 16),
        textcoords="offset points",
        ha="right",
        color="#666666",
    )
    axes.set(xlim=(0, LENGTH), ylim=(0, top), xlabel="seconds", ylabel="batches a second")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)
    print(f"wrote {path.relative_to(scaffold.ROOT)}")


def main() -> None:
    if sys.argv[1:] == ["imgaug"]:
        imgaug_child()
        return
    times, kills = with_augfarm()
    data = {"augfarm": rates(times), "imgaug": rates(with_imgaug()), "kills": kills, "step": STEP}
    scaffold.save("kills", data)
    draw(json.loads(json.dumps(data)), scaffold.ROOT / "docs" / "images" / "kills.png")


if __name__ == "__main__":
    main()
