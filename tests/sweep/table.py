"""What the sweep found in several environments, as docs/augmenters.md. ``write_table.py`` runs it."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

from augfarm.compat import imgaug_distribution
from sweep.judging import Verdict

__all__ = [
    "DOCUMENT",
    "LANES",
    "REASONS",
    "environment",
    "read_lanes",
    "recorded_here",
    "render",
    "write_lane",
]

DOCUMENT = Path(__file__).parents[2] / "docs" / "augmenters.md"
LANES = Path(__file__).parent / "lanes.json"

#: Why an augmenter is not equal in some environment.
REASONS = {
    "imgcorruptlike.ImpulseNoise": "the package imagecorruptions takes its noise from a generator of"
    " scikit-image's that no seed reaches, so imgaug gives other pixels each time",
    "blend.BlendAlphaFrequencyNoise": "imaug keeps numbers that it drew for one batch for the next, so its"
    " result depends on the batches before; on a farm it depends on the seed alone",
}

OPENING = """\
# imgaug's augmenters on a farm

*Written by `cd tests && python -m sweep.write_table`; do not edit.*

Each public augmenter of `imgaug.augmenters`, with arguments as users give them, was sent as a spec to a
process that had never built an augmenter. There it augmented three batches, the last one first: images and
every kind of annotation that it takes. The results were compared, to the bit, with those of imgaug in the
process that sent it, and with those of `imgaug.multicore.Pool(augmenter, processes=1)`, all by one seed
(`seeding="batch"`).

"""

#: What an augmenter needs before it is equal.
CONDITIONS = """\
- `Lambda` and `AssertLambda` were given functions from a module that the worker allows (`augfarm worker
  --allow-import my_augs`). Functions made in place (`lambda`) are refused; the error says where.
- All of `imgcorruptlike` needs `imagecorruptions` and `numba` on the workers (`pip install numba` and `pip
  install --no-deps imagecorruptions`). Without them they raise, as in imgaug.
- Polygons need the package `Shapely` on the workers in `ElasticTransformation`, `PerspectiveTransform`,
  `Lambda`, `ClipCBAsToImagePlanes` and `RemoveCBAsByOutOfImageFraction`, as in imgaug.
- `SaveDebugImageEveryNBatches` writes files, which a worker does for nobody: it is refused, and not counted.
"""

_PACKAGES = {
    "numpy": "numpy",
    "opencv": "opencv-python-headless",
    "scikit-image": "scikit-image",
    "scipy": "scipy",
    "pillow": "Pillow",
}
_OUTCOMES = {
    "equal": "equal",
    "unrepeatable": "imgaug does not repeat itself",
    "fails": "imgaug raises",
    "differs": "**differs**",
}


def environment() -> dict[str, str]:
    """The versions that shape what augmenters give, here."""
    return {
        "imgaug": " ".join(imgaug_distribution()),
        **{name: _version(package) for name, package in _PACKAGES.items()},
        "python": platform.python_version(),
    }


def read_lanes() -> list[dict[str, Any]]:
    """What was found in each environment."""
    lanes: list[dict[str, Any]] = json.loads(LANES.read_text()) if LANES.exists() else []
    return lanes


def write_lane(verdicts: dict[str, Verdict], unlike_the_pool: list[str]) -> None:
    """Record what was found here, in place of what was recorded for the same imgaug and numpy."""
    here = {
        "environment": environment(),
        "augmenters": sorted(verdicts),
        "unlike_the_pool": unlike_the_pool,
        "exceptions": {
            name: {"outcome": verdict.outcome, "refuses": list(verdict.refuses), "note": verdict.note}
            for name, verdict in sorted(verdicts.items())
            if verdict.outcome != "equal" or verdict.refuses
        },
    }
    lanes = [lane for lane in read_lanes() if _key(lane["environment"]) != _key(environment())]
    lanes = sorted([*lanes, here], key=lambda lane: _key(lane["environment"]), reverse=True)
    LANES.write_text(json.dumps(lanes, indent=1) + "\n")


def recorded_here() -> dict[str, Verdict] | None:
    """What was recorded for this imgaug and numpy, or None."""
    for lane in read_lanes():
        if _key(lane["environment"]) == _key(environment()):
            plain = {name: Verdict("equal") for name in lane["augmenters"]}
            return plain | {
                name: Verdict(each["outcome"], tuple(each["refuses"]), each["note"])
                for name, each in lane["exceptions"].items()
            }
    return None


def render(lanes: list[dict[str, Any]]) -> str:
    """The document."""
    return "\n".join(
        [*_opening(), *_environments(lanes), *_exceptions(lanes), *_refusals(lanes), *_all(lanes)]
    )


def _opening() -> list[str]:
    return OPENING.splitlines()


def _environments(lanes: list[dict[str, Any]]) -> list[str]:
    rows = ["## Result", "", "| environment | augmenters | equal | not equal |", "|---|---|---|---|"]
    for lane in lanes:
        bad = [name for name, each in lane["exceptions"].items() if each["outcome"] != "equal"]
        bad += lane["unlike_the_pool"]
        total = len(lane["augmenters"])
        names = ", ".join(f"`{name}`" for name in bad) or "none"
        rows.append(f"| {_in_words(lane['environment'])} | {total} | {total - len(bad)} | {names} |")
    return [*rows, "", *CONDITIONS.splitlines(), ""]


def _exceptions(lanes: list[dict[str, Any]]) -> list[str]:
    rows = ["## Not equal, and why", "", "| augmenter | where | what | why |", "|---|---|---|---|"]
    for lane in lanes:
        for name, each in lane["exceptions"].items():
            if each["outcome"] != "equal":
                what, where = _OUTCOMES[each["outcome"]], _key(lane["environment"])
                why = each["note"] if each["outcome"] == "fails" else REASONS.get(name, each["note"])
                rows.append(f"| `{name}` | {', numpy '.join(where)} | {what} | {why} |")
        rows += [f"| `{name}` | | unlike imgaug's Pool | |" for name in lane["unlike_the_pool"]]
    return [*rows, ""]


def _refusals(lanes: list[dict[str, Any]]) -> list[str]:
    rows = [
        "## Annotations that imgaug itself refuses",
        "",
        "These raise in imgaug on some annotations, and so they do on a farm (`AugmentationFailed`). All",
        "others take images and all annotations: heatmaps, segmentation maps, keypoints, bounding boxes,",
        "polygons and line strings.",
        "",
        "| augmenter | refuses |",
        "|---|---|",
    ]
    refused: dict[str, list[str]] = {}
    for lane in lanes:
        for name, each in lane["exceptions"].items():
            if each["outcome"] != "fails" and each["refuses"]:
                refused[name] = each["refuses"]
    for name, columns in sorted(refused.items()):
        words = "all" if len(columns) == 6 else ", ".join(columns).replace("_", " ")
        rows.append(f"| `{name}` | {words} |")
    return [*rows, ""]


def _all(lanes: list[dict[str, Any]]) -> list[str]:
    rows = ["## All that were compared", "", "| `imgaug.augmenters.` | augmenters |", "|---|---|"]
    modules: dict[str, list[str]] = {}
    for name in sorted({name for lane in lanes for name in lane["augmenters"]}):
        module, _, cls = name.partition(".")
        modules.setdefault(module, []).append(cls)
    return [*rows, *(f"| `{module}` | {', '.join(names)} |" for module, names in modules.items()), ""]


def _in_words(environment: dict[str, str]) -> str:
    return ", ".join(
        text if name == "imgaug" else f"{name.capitalize() if name == 'python' else name} {text}"
        for name, text in environment.items()
    )


def _key(environment: dict[str, str]) -> tuple[str, str]:
    return environment["imgaug"], environment["numpy"].partition(".")[0]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
