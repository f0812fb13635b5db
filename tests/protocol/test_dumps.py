"""Dumps of failed batches: what is written is read, and whatever else a file holds is refused."""

import hashlib
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augfarm.protocol import limits
from augfarm.protocol.batches import encode, pack
from augfarm.protocol.codec import decode_body
from augfarm.protocol.dumps import DUMP_FORMAT, Dump, decode_dump, encode_dump
from augfarm.protocol.errors import ProtocolError
from augfarm.protocol.messages import FAILURE_KINDS
from augfarm.protocol.seeds import SEED_MAX, SEEDINGS, Seed

SPEC = b'{"augfarm":1,"imgaug":{"distribution":"imgaug","version":"0.4.0"},"pipeline":{"object":"a:B"}}'
IMAGES = np.arange(2 * 40 * 40 * 3, dtype=np.uint8).reshape(2, 40, 40, 3)
BODY = encode(pack({"images": IMAGES, "keypoints": [[(1, 2)]] * 2}, 0).tree, 0, 1 << 30)
DUMP = Dump(
    software="augfarm 0.1.0",
    spec=SPEC,
    seed=Seed("worker", 1, 12, 3),
    image=None,
    body=BODY,
    kind="raised",
    exception_type="ValueError",
    exception_text="too dark",
    traceback="Traceback ...",
    attempts=0,
    client={"python": "3.11"},
    workers=({"numpy": "2.2.0"}, {"numpy": "1.26.4"}),
)


def octets(dump=DUMP, **changes):
    return b"".join(encode_dump(replace(dump, **changes)))


def values(**changes):
    """A dump's map with other values."""
    return msgpack.packb(msgpack.unpackb(octets()) | changes)


@given(
    seed=st.builds(
        Seed, st.sampled_from(SEEDINGS), st.integers(0, SEED_MAX), st.integers(0, SEED_MAX), st.integers(0, 9)
    ),
    image=st.none() | st.integers(0, 10**6),
    kind=st.sampled_from(FAILURE_KINDS),
    texts=st.tuples(st.text(max_size=256), st.text(), st.text()),
    attempts=st.integers(0, 2**16),
    workers=st.lists(st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3), max_size=3),
)
def test_what_is_written_is_read(seed, image, kind, texts, attempts, workers):
    changes = {"seed": seed, "image": image, "kind": kind, "attempts": attempts, "workers": tuple(workers)}
    changes |= dict(zip(("exception_type", "exception_text", "traceback"), texts, strict=True))
    found = decode_dump(octets(**changes))
    assert replace(found, body=[]) == replace(DUMP, body=[], **changes)
    tree = decode_body(found.body)
    assert np.array_equal(tree["columns"]["images"], IMAGES)
    assert tree["columns"]["keypoints"] == [[(1, 2)]] * 2


def test_a_dump_is_one_msgpack_map_that_begins_with_its_format():
    found = msgpack.unpackb(octets())
    assert list(found)[:2] == ["augdump", "digest"]
    assert found["augdump"] == DUMP_FORMAT == 1
    assert found["digest"] == hashlib.sha256(SPEC).digest()


def test_large_buffers_are_written_as_they_are():
    assert any(piece is BODY[-1] for piece in encode_dump(DUMP))


@pytest.mark.parametrize("length", [0, 1, 7, 15, 16, 17, 100, 1000, -1])
def test_a_truncated_one_says_so(length):
    expected = "is no dump" if 0 <= length < 9 else "is truncated or damaged"
    with pytest.raises(ProtocolError, match=expected):
        decode_dump(octets()[:length])


@pytest.mark.parametrize(
    "octets", [b"", b"hello" * 99, b"\x80", b"\x93\x01\x02\x03", b"\xff\xd8\xff", b"\0" * 99]
)
def test_another_file_is_no_dump(octets):
    with pytest.raises(ProtocolError, match="is no dump of augfarm's"):
        decode_dump(octets)


@pytest.mark.parametrize("number", [0, 2, 99])
def test_another_format_is_named(number):
    with pytest.raises(ProtocolError, match=f"of format {number}, and this augfarm reads format 1"):
        decode_dump(values(augdump=number))


def test_another_format_may_have_other_fields():
    with pytest.raises(ProtocolError, match="of format 2"):
        decode_dump(msgpack.packb({"augdump": 2, "everything": "else"}))


BAD = {
    "software": 1,
    "spec": "text",
    "seed": ["worker", 1, 2],
    "image": -1,
    "body": b"bytes",
    "kind": "bored",
    "exception_type": "x" * 257,
    "exception_text": None,
    "traceback": "x" * (limits.MAX_TRACEBACK_LENGTH + 1),
    "attempts": 2**17,
    "client": {"a": 1},
    "workers": {},
}


@pytest.mark.parametrize("name", BAD)
def test_each_field_is_checked(name):
    with pytest.raises(ProtocolError, match=f"is damaged: {name}: expected"):
        decode_dump(values(**{name: BAD[name]}))


@pytest.mark.parametrize(
    "seed",
    [["epoch", 1, 2, 3], ["batch", -1, 2, 3], ["batch", 2**63, 2, 3], ["batch", True, 2, 3], [1, 2, 3, 4]],
)
def test_seeds_are_checked(seed):
    with pytest.raises(ProtocolError, match="is damaged: seed"):
        decode_dump(values(seed=seed))


def test_a_pipeline_that_is_not_the_one_that_was_written():
    other = SPEC.replace(b"a:B", b"a:C")
    with pytest.raises(ProtocolError, match="its digest"):
        decode_dump(values(spec=other))
    with pytest.raises(ProtocolError, match=r"is damaged: .*JSON"):
        decode_dump(values(spec=b"{", digest=hashlib.sha256(b"{").digest()))


@pytest.mark.parametrize("body", [[], [b"\x91\x01"], [b"\xc1"], [*map(bytes, BODY), b"more"]])
def test_a_body_that_is_none(body):
    with pytest.raises(ProtocolError, match="is damaged"):
        decode_dump(values(body=body))


def test_no_extension_type_is_read():
    with pytest.raises(ProtocolError, match="is truncated or damaged"):
        decode_dump(values(image=msgpack.ExtType(5, b"x")))


@given(st.data())
def test_any_damage_is_a_dump_or_a_protocol_error(data):
    damaged = bytearray(octets())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position] = data.draw(st.integers(0, 255))
    try:
        found: object = decode_dump(bytes(damaged))
    except ProtocolError as error:
        found = error
    assert isinstance(found, Dump) or "\n" not in str(found)
