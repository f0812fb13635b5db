"""Memory that two processes share: what the reader may do, and what the writer cannot take away."""

import fcntl
import gc
import mmap
import os

import numpy as np
import pytest

from augfarm.protocol import memory as memories
from augfarm.protocol.codec import decode_body, encode_parts
from augfarm.protocol.errors import ProtocolError
from augfarm.protocol.memory import Arena, View, can_share, size_from_environment
from augfarm.protocol.space import GRAIN

pytestmark = pytest.mark.skipif(not can_share(), reason="needs Linux's memory files")
PARTS = encode_parts({"a": np.arange(10_000), "b": np.zeros(700), "c": [1, "x"]})


@pytest.fixture
def arena():
    arena = Arena(1 << 20)
    yield arena
    arena.close()


def view_of(arena):
    return View(os.dup(arena.descriptor))


def test_what_one_places_the_other_reads(arena):
    region = arena.place(PARTS)
    view = view_of(arena)
    tree = decode_body(region.body, {arena.number: view.memory}.get)
    np.testing.assert_array_equal(tree["a"], np.arange(10_000))
    assert tree["c"] == [1, "x"]
    assert all(offset % 64 == 0 for offset in region.placement.offsets)
    assert decode_body(region.frames())["a"].sum() == np.arange(10_000).sum(), "the same body without memory"


def test_what_was_put_aside_is_read_again(arena):
    region = arena.place(PARTS)
    view = view_of(arena)
    end = region.placement.offsets[-1] + region.placement.lengths[-1]
    view.put_aside(region.placement.start, end)
    view.put_aside(0, 1 << 40)  # as a peer may say
    tree = decode_body(region.body, {arena.number: view.memory}.get)
    np.testing.assert_array_equal(tree["a"], np.arange(10_000))


def test_a_region_lives_as_long_as_somebody_holds_it(arena):
    regions = [arena.place(PARTS) for _ in range(20)]
    held = [region for region in regions if region is not None]
    assert 2 < len(held) < 20, "there is no room for all"
    starts = {region.placement.start for region in held}
    assert len(starts) == len(held)
    kept = held.pop()
    del regions, held
    gc.collect()
    again = [arena.place(PARTS) for _ in range(len(starts) - 1)]
    assert all(again)
    assert kept.placement.start not in {region.placement.start for region in again}


def test_the_reader_cannot_write(arena):
    view = view_of(arena)
    assert view.memory.readonly
    with pytest.raises(PermissionError):
        mmap.mmap(arena.descriptor, GRAIN)


def test_the_writer_cannot_take_it_away(arena):
    for change in (
        lambda: os.ftruncate(arena.descriptor, 0),
        lambda: os.ftruncate(arena.descriptor, 1 << 30),
    ):
        with pytest.raises(PermissionError):
            change()
    with pytest.raises(PermissionError):
        fcntl.fcntl(arena.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


def test_the_reader_keeps_it_when_the_writer_has_gone(arena):
    region = arena.place(PARTS)
    view = view_of(arena)
    tree = decode_body(region.body, {arena.number: view.memory}.get)
    arena.close()
    del view
    gc.collect()
    assert tree["a"][-1] == 9999


def _unsealed():
    descriptor = os.memfd_create("test")
    os.ftruncate(descriptor, GRAIN)
    return descriptor


def _half_sealed():
    descriptor = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, GRAIN)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
    return descriptor


def _empty():
    descriptor = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return descriptor


@pytest.mark.parametrize(
    "other",
    [_unsealed, _half_sealed, _empty, lambda: os.open("/dev/zero", os.O_RDWR), lambda: os.pipe()[0]],
    ids=["unsealed", "half sealed", "empty", "device", "pipe"],
)
def test_anything_else_is_refused_and_closed(other):
    descriptor = other()
    with pytest.raises(ProtocolError):
        View(descriptor)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


def test_memory_that_cannot_be_had_is_none(arena, monkeypatch):
    first = arena.place(PARTS)

    def full(descriptor, offset, length):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(memories.os, "posix_fallocate", full)
    assert arena.place(PARTS) is None
    start = first.placement.start
    del first
    gc.collect()
    assert arena.place(PARTS).placement.start == start, "what the system has given is used again"


def test_nothing_is_placed_in_what_is_closed():
    arena = Arena(1 << 20)
    arena.close()
    assert arena.place(PARTS) is None


@pytest.mark.parametrize(("text", "octets"), [("", 512 << 20), ("0", 0), ("3", 3 << 20)])
def test_its_size_is_set_in_the_environment(monkeypatch, text, octets):
    monkeypatch.setenv("AUGFARM_SHARED_MEMORY", text)
    assert size_from_environment() == octets


@pytest.mark.parametrize("text", ["-1", "1.5", "512M", "99999999"])
def test_another_size_is_an_error(monkeypatch, text):
    monkeypatch.setenv("AUGFARM_SHARED_MEMORY", text)
    with pytest.raises(ValueError, match="AUGFARM_SHARED_MEMORY: expected MiB"):
        size_from_environment()
