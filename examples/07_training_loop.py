"""A training loop fed by a farm: a small network in numpy learns circles, squares and triangles.

    python examples/07_training_loop.py [--batches 600] [--spec examples/07_training_loop.json]

The 60 pictures to learn from stand upright in the middle; those of the test are turned, moved and of other
sizes. The network is trained twice: on the pictures as they are, and on augmented ones. At the end the script
says what the farm was waiting for.
With --spec the trainer needs no imgaug: the file was written by
`augfarm spec examples/07_training_loop.py:augmenter`.
The farm is one of this script's own; or, with AUGFARM_BROKER=tcp://HOST:5555, one that runs.
Writes 07_training_loop.png: the loss of both runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from augfarm.client import BatchInfo, Client

SIZE = 24
BATCH = 64
Array = np.ndarray[Any, np.dtype[Any]]


def augmenter() -> Any:
    import augfarm.compat  # isort: skip  # noqa: F401  before imgaug, which needs it on numpy 2
    from imgaug import augmenters as iaa

    return iaa.Sequential(
        [
            iaa.Affine(
                rotate=(-30, 30), scale=(0.7, 1.2), translate_px={"x": (-3, 3), "y": (-3, 3)}, mode="edge"
            ),
            iaa.AdditiveGaussianNoise(scale=(0, 10)),
        ]
    )


def shape(label: Any, rng: np.random.Generator, moved: bool) -> Array:
    """A picture (SIZE,SIZE,1) of a circle, a square or a triangle; upright in the middle unless moved."""
    corners = (60, 4, 3)[label]
    turn = (0, np.pi / 4, np.pi / 2)[label] + (rng.uniform(-0.5, 0.5) if moved else 0)
    x, y = SIZE / 2 + (rng.uniform(-3, 3, 2) if moved else np.zeros(2))
    radius = SIZE * (rng.uniform(0.25, 0.4) if moved else 0.35)
    angles = turn + np.arange(corners) * 2 * np.pi / corners
    picture = Image.new("L", (SIZE, SIZE), int(rng.integers(0, 60)))
    outline = [(x + radius * np.cos(a), y - radius * np.sin(a)) for a in angles]
    ImageDraw.Draw(picture).polygon(outline, fill=int(rng.integers(150, 255)))
    return np.asarray(picture)[:, :, np.newaxis]


def dataset(count: int, seed: int, moved: bool) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return np.stack([shape(label, rng, moved) for label in labels]), labels


def batches(images: Array, labels: Array, count: int) -> Iterator[dict[str, Array]]:
    rng = np.random.default_rng(1)
    for _ in range(count):
        chosen = rng.integers(len(images), size=BATCH)
        # "labels" is no name of imgaug's, so they are not sent but put back in the result.
        yield {"images": images[chosen], "labels": labels[chosen]}


class Network:
    """Two layers, trained by gradient descent with momentum."""

    def __init__(self) -> None:
        rng = np.random.default_rng(2)
        inner, classes = 128, 3
        self.weights = [
            rng.normal(0, SIZE**-1, (SIZE * SIZE, inner)),
            np.zeros(inner),
            rng.normal(0, inner**-0.5, (inner, classes)),
            np.zeros(classes),
        ]
        self.momentum = [np.zeros_like(w) for w in self.weights]

    def forward(self, images: Array) -> tuple[Array, Array, Array]:
        w1, b1, w2, b2 = self.weights
        pixels = images.reshape(len(images), -1) / 127.5 - 1
        hidden = np.maximum(pixels @ w1 + b1, 0)
        scores = hidden @ w2 + b2
        exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
        return pixels, hidden, exponents / exponents.sum(axis=1, keepdims=True)

    def train(self, images: Array, labels: Array) -> float:
        """One step; returns the loss before it."""
        pixels, hidden, chances = self.forward(images)
        rows = np.arange(len(labels))
        loss = -np.log(chances[rows, labels] + 1e-12).mean()
        error = chances.copy()
        error[rows, labels] -= 1
        error /= len(labels)
        back = (error @ self.weights[2].T) * (hidden > 0)
        slopes = [pixels.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]
        for weight, momentum, slope in zip(self.weights, self.momentum, slopes, strict=True):
            momentum *= 0.9
            momentum -= 0.02 * slope
            weight += momentum
        return float(loss)

    def accuracy(self, images: Array, labels: Array) -> float:
        return float((self.forward(images)[2].argmax(axis=1) == labels).mean())


def bottleneck(infos: list[BatchInfo], requesting: float, training: float) -> str:
    """Who held the run up, also from the seconds that the trainer waited for batches and worked on them."""
    queued = sum(info.seconds_queued for info in infos)
    at_work = sum(info.seconds_augmenting + info.seconds_wire for info in infos)
    if requesting < training:
        return "trainer"  # batches were there before it asked for them
    # Batches that wait for a worker longer than they are worked on: there are too few workers.
    return "farm" if queued > at_work else "loader"


def train_on_farm(network: Network, pipeline: Any, source: Iterable[dict[str, Array]]) -> list[float]:
    losses: list[float] = []
    infos: list[BatchInfo] = []
    requesting = training = 0.0
    with Client(pipeline, seed=1, seeding="batch") as client:
        asked = time.perf_counter()
        for batch, info in client.imap_batches(source, with_info=True):
            got = time.perf_counter()
            losses.append(network.train(batch["images"], batch["labels"]))
            done = time.perf_counter()
            if infos:  # the first batch waits for the farm to start
                requesting += got - asked
                training += done - got
            infos.append(info)
            asked = done
    for name in ("queued", "wire", "augmenting", "waiting"):
        mean = np.mean([getattr(info, f"seconds_{name}") for info in infos[1:]])
        print(f"{name:>12}: {mean * 1000:7.2f} ms a batch")
    print(f"the trainer asked for {requesting:.2f} s and trained for {training:.2f} s")
    print(f"bottleneck: the {bottleneck(infos[1:], requesting, training)}")
    return losses


def draw(curves: dict[str, list[float]], path: str) -> None:
    """The curves, each a mean over 10 batches, as a PNG."""
    width, height, left, bottom = 640, 360, 50, 330
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    top = max(max(losses) for losses in curves.values())
    pen.line([(left, 20), (left, bottom), (width - 20, bottom)], fill="black")
    pen.text((left - 8, 20), f"{top:.1f}", fill="black", anchor="rm")
    pen.text((left - 8, bottom), "0", fill="black", anchor="rm")
    pen.text((width - 20, bottom + 8), "batches", fill="black", anchor="ra")
    for number, (name, losses) in enumerate(curves.items()):
        colour = ("firebrick", "steelblue")[number % 2]
        smooth = [np.mean(losses[max(0, i - 9) : i + 1]) for i in range(len(losses))]
        x = np.linspace(left, width - 20, len(smooth))
        y = bottom - np.asarray(smooth) / top * (bottom - 20)
        pen.line(list(zip(x, y, strict=True)), fill=colour, width=2)
        pen.text((width - 20, 20 + 18 * number), name, fill=colour, anchor="ra")
    picture.save(path)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, default=600)
    parser.add_argument("--spec", help="the augmenter as a file, for a trainer without imgaug")
    arguments = parser.parse_args()
    count = arguments.batches

    images, labels = dataset(60, seed=3, moved=False)
    test = dataset(600, seed=4, moved=True)
    plain, augmented = Network(), Network()
    curves = {"as they are": [plain.train(**batch) for batch in batches(images, labels, count)]}
    curves["augmented"] = train_on_farm(
        augmented, arguments.spec or augmenter(), batches(images, labels, count)
    )
    print(f"right in the test, trained on pictures as they are: {plain.accuracy(*test):.0%}")
    print(f"right in the test, trained on augmented pictures:   {augmented.accuracy(*test):.0%}")
    draw(curves, "07_training_loop.png")


if __name__ == "__main__":
    main()
