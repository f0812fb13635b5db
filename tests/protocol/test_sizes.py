"""Sizes as people write them."""

import pytest

from augfarm.protocol.sizes import parse_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("2GiB", 2**31),
        ("512MiB", 2**29),
        ("1.5 GiB", 3 * 2**29),
        ("10k", 10240),
        ("3GB", 3 * 2**30),
    ],
)
def test_sizes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "GiB", "2 XiB", "1e9", "nan"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="expected a size"):
        parse_bytes(text)
