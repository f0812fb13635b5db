"""Kernels that serve exact pipelines: they must give imgaug's results bit for bit."""

import numpy as np
import pytest

from augfarm.worker import kernels
from kernel_cases import ANNOTATIONS, KINDS, annotated, augmenter, difference, name_of, picture

pytestmark = pytest.mark.skipif(
    not kernels.replaced("fast"), reason="this imgaug is not the one kernels are for"
)

EQUAL = [name_of(module, name) for module, name, equal in kernels.known() if equal]
#: Of each kernel, in a normal run and in the slow one: 25 kernels of 150 cases are thousands.
FEW, MANY = 3, 150


def check_equal(name, number):
    """One random case, which `name` and `number` name."""
    rng = np.random.default_rng([number, len(name), sum(name.encode())])
    count = int(rng.integers(1, 4))
    height, width = (int(each) for each in rng.integers(1 if number % 10 == 9 else 6, 70, 2))
    channels = (
        int(rng.choice([1, 3, 3, 3, 4, 6])) if not name.startswith("pillike") else int(rng.choice([1, 3, 3]))
    )
    images = [picture(KINDS[int(rng.integers(3))], rng, height, width, channels) for _ in range(count)]
    if _takes_more(name) and number % 3 == 1:
        dtype = str(rng.choice(["bool", "uint16", "int8", "int16", "float32", "float64"]))
        if name == "arithmetic.Multiply" and dtype == "float64":  # which it refuses
            dtype = "float32"
        images = [image > 100 if dtype == "bool" else (image / 2).astype(dtype) for image in images]
    columns = tuple(each for each in ANNOTATIONS if rng.random() < 0.2) if height > 5 and width > 5 else ()
    batch = annotated(np.array(images) if rng.random() < 0.5 else images, columns, rng)
    found = difference(augmenter(name, rng), batch, number, "exact")
    assert found.largest == 0, f"case {number}: {found.largest} grey levels"
    assert found.points == found.heatmaps == found.segmaps == 0, f"case {number}: {found}"


def _takes_more(name):
    """Whether it takes other dtypes than uint8."""
    return name.startswith(("geometric", "arithmetic", "blur", "pooling"))


@pytest.mark.parametrize("number", range(FEW))
@pytest.mark.parametrize("name", EQUAL)
def test_a_kernel_of_exact_pipelines_gives_the_same_bytes(name, number):
    check_equal(name, number)


@pytest.mark.slow
@pytest.mark.parametrize("name", EQUAL)
def test_many_cases_give_the_same_bytes(name):
    for number in range(FEW, MANY if "oronoi" not in name else MANY // 5):
        check_equal(name, number)
