"""Commands for tests: any that is valid, or one valid sample of each."""

from dataclasses import fields

from hypothesis import strategies as st

from augfarm.protocol import limits, messages
from augfarm.protocol.messages import BY_CODE
from augfarm.protocol.seeds import SEED_MAX

EVERY = frozenset(BY_CODE.values())
CODES = {kind: code for code, kind in BY_CODE.items()}

#: For each field name what it admits. Others: any whole number from 0.
SHORT = st.text(max_size=20)
ENVIRONMENT = st.dictionaries(SHORT, SHORT, max_size=3)
REQUEST = st.integers(0, SEED_MAX)
ADMITTED = {
    "version": st.integers(0, 2**16),
    "attempts": st.integers(0, 2**16),
    "token": st.binary(min_size=16, max_size=16),
    "digest": st.binary(min_size=32, max_size=32),
    "name": st.binary(min_size=16, max_size=16),
    "secret": st.binary(min_size=16, max_size=16),
    "placed": st.booleans(),
    "software": SHORT,
    "seeding": st.sampled_from(["worker", "batch"]),
    "receipts": st.lists(REQUEST, min_size=1, max_size=5).map(tuple),
    "frame_bytes": st.integers(0, limits.MAX_IPC_FRAME_BYTES),
    "batch_bytes": st.integers(0, limits.MAX_BATCH_BYTES),
    "advice": st.integers(0, limits.ADVICE_MAX_BATCHES),
    "environments": st.lists(ENVIRONMENT, max_size=3).map(tuple),
    "environment": ENVIRONMENT,
    "seconds_queued": st.floats(0, 1e9),
    "seconds_augmenting": st.floats(0, 1e9),
    "kind": st.sampled_from(messages.FAILURE_KINDS),
    "code": st.sampled_from(messages.REFUSAL_CODES),
    "exception_type": SHORT,
    "exception_text": SHORT,
    "traceback": SHORT,
    "text": SHORT,
    "status": st.dictionaries(SHORT, st.integers(0, 9) | SHORT | st.none(), max_size=3),
    "credit": st.integers(0, limits.MAX_WORKER_CREDIT),
}
BATCHES = {messages.Credit: st.integers(0, limits.MAX_WORKER_CREDIT), messages.Window: REQUEST}


def strategy(kind, name):
    return BATCHES[kind] if name == "batches" else ADMITTED.get(name, REQUEST)


def commands(kind):
    return st.builds(kind, **{f.name: strategy(kind, f.name) for f in fields(kind)})


def sample(kind):
    """A valid command, the same each time."""
    values = {
        "token": bytes(16),
        "digest": bytes(32),
        "name": bytes(16),
        "secret": bytes(16),
        "placed": False,
        "seeding": "batch",
        "receipts": (1, 2),
        "environments": ({"a": "b"},),
        "environment": {"a": "b"},
        "kind": "raised",
        "code": "full",
        "status": {"a": 1},
        **dict.fromkeys(["software", "exception_type", "exception_text", "traceback", "text"], "words"),
        **dict.fromkeys(["seconds_queued", "seconds_augmenting"], 0.5),
    }
    return kind(**{f.name: values.get(f.name, 3) for f in fields(kind)})
