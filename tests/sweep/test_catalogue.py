"""That the catalogues name all there is, and what building augmenters leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sweep.catalogue import AUGMENTERS, NEVER_SENT, name_of, public_classes
from sweep.parameters import PARAMETERS, public_parameters


def test_every_public_augmenter_has_an_entry() -> None:
    assert public_classes().keys() <= AUGMENTERS.keys() | NEVER_SENT.keys()
    assert len(AUGMENTERS) >= 187


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:AffineCv2 is deprecated")
def test_every_entry_builds_its_class() -> None:
    for name, make in AUGMENTERS.items():
        assert name_of(type(make())) == name


def test_every_public_parameter_has_an_entry() -> None:
    assert public_parameters().keys() <= PARAMETERS.keys()
    for name, cls in public_parameters().items():
        assert type(PARAMETERS[name]()) is cls


BUILD_ALL = """
import sys, warnings
warnings.simplefilter("ignore")
from augfarm.protocol.pipelines import _fill_class_caches
from sweep.catalogue import AUGMENTERS

def shared():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("imgaug") and not name.startswith("imgaug.random"):
            holders = [module, *(c for c in vars(module).values() if isinstance(c, type))]
            for holder in holders:
                if not getattr(holder, "__module__", name).startswith("imgaug"):
                    continue
                for attribute, value in vars(holder).items():
                    if not attribute.startswith(("__", "_abc_")):
                        size = len(value) if isinstance(value, (dict, list, set)) else 0
                        found[f"{holder.__name__}.{attribute}"] = (value, size)
    return found

if sys.argv[1:] == ["fill"]:
    _fill_class_caches()
before = shared()
for make in AUGMENTERS.values():
    make()
after = shared()
same = lambda one, other: one[0] is other[0] and one[1] == other[1]
print(*(name for name in after if name not in before or not same(before[name], after[name])))
"""


def _left_behind(*arguments: str) -> list[str]:
    command = [sys.executable, "-c", BUILD_ALL, *arguments]
    tests = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=tests, capture_output=True, text=True, timeout=100, check=True)
    return done.stdout.split()


def test_what_a_class_remembers_of_its_first_object_is_there_without_one() -> None:
    """A worker builds no object, so what a constructor keeps in its class must be made for it."""
    assert _left_behind() == ["AddToHueAndSaturation._LUT_CACHE"]
    assert _left_behind("fill") == []
