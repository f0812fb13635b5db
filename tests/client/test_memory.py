"""What a client shares: where its batches lie, what its results are copied from, and what ends with what."""

import gc

import numpy as np
import pytest

from augfarm.client.memory import SharedMemory
from augfarm.protocol import batches
from augfarm.protocol.bodies import placement_of
from augfarm.protocol.codec import decode_body, encode_parts
from augfarm.protocol.errors import ProtocolError
from augfarm.protocol.memory import Arena, can_share
from augfarm.protocol.sharing import Attachment

pytestmark = pytest.mark.skipif(not can_share(), reason="needs Linux's memory files")
MIB = 1 << 20


@pytest.fixture
def memory():
    memory = SharedMemory(4 * MIB)
    yield memory
    memory.close()


@pytest.fixture
def lent():
    arena = Arena(4 * MIB)
    yield arena
    arena.close()


def hear(memory, requests=()):
    for _ in range(2):  # a connection, and what it says
        memory.hear(memory.descriptors(), requests)


def attach(memory, arena, offer=None):
    """A worker that sees the memory, and lends its own."""
    offer = offer or memory.open(7)
    attachment = Attachment(offer.name, offer.secret, arena)
    hear(memory)
    assert attachment.receive() == []
    assert attachment.view is not None
    memory.attached()
    return attachment


def parts_of(*arrays):
    return encode_parts({"images": list(arrays)})


def images(value=1):
    return np.full((3, 100, 100, 3), value, np.uint8)


def test_nothing_is_placed_before_the_broker_sees_it(memory):
    assert memory.place(parts_of(images())) is None
    assert memory.open(7).session == 7
    assert memory.place(parts_of(images())) is None
    memory.attached()
    assert memory.place(parts_of(images())) is not None
    memory.end()
    assert memory.place(parts_of(images())) is None


def test_little_travels_as_frames(memory):
    memory.open(7)
    memory.attached()
    assert memory.place(parts_of(np.zeros(5000, np.uint8))) is None


def test_where_it_is_turned_off_nothing_is_offered():
    memory = SharedMemory(0)
    assert memory.open(7) is None
    memory.attached()
    assert memory.place(parts_of(images())) is None
    assert type(memory.empty((2, 100, 100, 3), np.dtype(np.uint8))) is np.ndarray


def test_a_result_is_copied_and_its_place_is_free(memory, lent):
    worker = attach(memory, lent)
    region = lent.place(parts_of(images(5)))
    (array,) = memory.read(region.body)["images"]
    memory.release()
    assert worker.receive() == [region.placement.start]
    lent.memory[region.placement.offsets[0]] = 9
    assert (array == 5).all()
    assert array.flags.writeable
    worker.close()


def test_what_nobody_wants_is_free_too(memory, lent):
    worker = attach(memory, lent)
    region = lent.place(parts_of(images()))
    memory.discard(region.body)
    memory.release()
    assert worker.receive() == [region.placement.start]
    memory.discard([b"garbage"])
    memory.discard([])
    worker.close()


def test_a_result_in_unknown_memory_is_an_error(memory, lent):
    with pytest.raises(ProtocolError, match="not shared"):
        memory.read(lent.place(parts_of(images())).body)


def test_what_a_worker_sent_before_it_ended_is_read(memory, lent):
    worker = attach(memory, lent)
    first, second = lent.place(parts_of(images(1))), lent.place(parts_of(images(2)))
    worker.close()
    lent.close()
    hear(memory, requests=[10, 11])
    assert (memory.read(first.body)["images"][0] == 1).all()
    memory.answered([10])
    assert (memory.read(second.body)["images"][0] == 2).all()
    memory.answered([11])
    with pytest.raises(ProtocolError):
        memory.read(second.body)


def test_with_the_connection_all_attachments_end(memory, lent):
    worker = attach(memory, lent)
    memory.end()
    assert worker.receive() is None
    worker.close()
    assert memory.descriptors() == set()
    attach(memory, lent).close()


# --- arrays that lie there already -------------------------------------------------------------------------


def test_an_array_made_in_place_is_not_copied(memory):
    memory.open(7)
    memory.attached()
    array = memory.empty((4, 100, 100, 3), np.dtype(np.uint8))
    array[:] = 3
    region = memory.place(batches.encode_parts(batches.pack(array, 0).tree, 0))
    place = placement_of(region.body)
    array[:] = 4
    assert bytes(memory._arena.memory[place.offsets[0] :][:10]) == bytes([4] * 10)
    assert (decode_body(region.frames())["columns"]["images"] == 4).all()


def test_views_of_it_and_others_beside_it_work_too(memory):
    memory.open(7)
    memory.attached()
    array = memory.empty((4, 100, 100, 3), np.dtype(np.uint8))
    array[:] = np.arange(4)[:, None, None, None]
    parts = parts_of(array[2], images(7), array[1:3], array[:, ::2])
    region = memory.place(parts)
    found = decode_body(region.body, lambda number: memory._arena.memory)["images"]
    assert (found[0] == 2).all()
    assert (found[1] == 7).all()
    np.testing.assert_array_equal(found[2], array[1:3])
    np.testing.assert_array_equal(found[3], array[:, ::2])


def test_its_memory_comes_back_when_nobody_holds_it(memory):
    kept = [memory.empty((MIB,), np.dtype(np.uint8)) for _ in range(4)]
    addresses = {array.ctypes.data for array in kept}
    ordinary = memory.empty((MIB,), np.dtype(np.uint8))
    assert ordinary.flags.owndata, "no room: an ordinary array"
    row = kept[0][5:10]
    del kept
    gc.collect()
    again = [memory.empty((MIB,), np.dtype(np.uint8)) for _ in range(3)]
    assert {array.ctypes.data for array in again} < addresses
    assert row.ctypes.data - 5 not in {array.ctypes.data for array in again}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, ">u2", bool])
def test_any_dtype_that_may_travel(memory, dtype):
    array = memory.empty((30, 40, 50), np.dtype(dtype))
    array[:] = 1
    assert array.dtype == np.dtype(dtype)
    assert array.shape == (30, 40, 50)
    assert array.flags.c_contiguous
    assert array.sum() == 60_000


def test_a_batch_under_way_keeps_it(memory):
    memory.open(7)
    memory.attached()
    given = [memory.empty((MIB,), np.dtype(np.uint8))]
    address = given[0].ctypes.data
    region = memory.place(parts_of(*given))
    given.clear()  # the caller may do with its list what it likes
    gc.collect()
    taken = [memory.empty((MIB,), np.dtype(np.uint8)) for _ in range(3)]
    assert address not in {array.ctypes.data for array in taken}
    del region
    gc.collect()
    assert memory.empty((MIB,), np.dtype(np.uint8)).ctypes.data == address
