"""Ctrl-C in a trainer: it ends within 2 s, whatever it waits for, and leaves nothing.

Each trainer is a process of its own, and the signal goes to its process group, as from a terminal.
"""

import signal

import pytest
from imgaug import augmenters as iaa

from augfarm.protocol import pipelines
from farms import free_port, wait_until
from trainers import Trainer

#: What the trainer is promised, in seconds, from the signal to its end.
PROMISE_S = 2.0
#: A busy machine may keep any process from running for longer than that, now and then. A fault of ours would
#: do so each time.
TRIES = 6

TRAINER = """
import sys, time
import numpy as np
from augfarm.client import Client, Pool

IMAGE = np.zeros((1, 8, 8, 3), np.uint8)
SPEC, ADDRESS = sys.argv[1:]

def ready():
    print("ready", flush=True)

def endless():
    while True:
        yield IMAGE

def endless_after(count):
    for _ in range(count):
        yield IMAGE
    ready()
    yield from endless()

def blocking():
    yield IMAGE
    ready()
    time.sleep(600)

"""

WAITS = """
with Client(SPEC, ADDRESS) as client:
    next(client.imap_batches(endless_after(2), 4))
"""
WHERE = {
    "in a loop": """
with Client(SPEC, processes=2) as client:
    for number, batch in enumerate(client.imap_batches(endless(), 8)):
        if number == 5:
            ready()
""",
    "in the body of a loop": """
with Client(SPEC, processes=2) as client:
    for batch in client.imap_batches_unordered(endless()):
        ready()
        time.sleep(600)
""",
    "in a loop without `with`": """
for number, batch in enumerate(Client(SPEC, processes=2).imap_batches(endless())):
    if number == 5:
        ready()
""",
    "in Pool": """
with Pool(SPEC, processes=2) as pool:
    for number, batch in enumerate(pool.imap_batches(endless(), output_buffer_size=4)):
        if number == 5:
            ready()
""",
    "in map_batches": """
with Client(SPEC, processes=2) as client:
    client.map_batches(endless_after(50))
""",
    "while its source blocks": """
with Client(SPEC, processes=2) as client:
    for batch in client.imap_batches(blocking()):
        pass
""",
    "while its farm starts": """
with Client(SPEC, processes=2) as client:
    client.map_batches(endless_after(0))
""",
    "while it waits for a broker": WAITS,
    "while it waits for workers": WAITS,
    "while close() waits": """
with Client(SPEC, processes=1) as client:
    client.map_batches_async(endless_after(50))
""",
}

#: Much like others, and a second or two each.
MORE = ("in the body of a loop", "in a loop without `with`", "while close() waits")

WITHOUT = "client = Client(SPEC, processes=2)\nif True:"
EXITS = """
    for batch in client.imap_batches(endless(), 8):
        ready()
        sys.exit(3)
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """A pipeline as a file: so the trainer needs no imgaug, and starts sooner."""
    path = tmp_path_factory.mktemp("spec") / "identity.json"
    path.write_bytes(pipelines.encode(iaa.Identity()))
    return str(path)


@pytest.fixture
def trainer_of(spec):
    trainers = []

    def start(code, address=""):
        trainers.append(Trainer(TRAINER + code, spec, address))
        trainers[-1].wait_until_ready()
        return trainers[-1]

    yield start
    for trainer in trainers:
        trainer.clean_up()


@pytest.mark.parametrize(
    "where", [pytest.param(where, marks=pytest.mark.slow) if where in MORE else where for where in WHERE]
)
def test_an_interrupted_trainer_ends_and_leaves_nothing(trainer_of, farm_of, where):
    address = farm_of(0).clients if where.endswith("workers") else f"tcp://127.0.0.1:{free_port()}"
    for attempt in range(1, TRIES + 1):
        trainer = trainer_of(WHERE[where], address)
        if WHERE[where] is not WAITS:
            assert len(trainer.pids()) > 2, "the judge knows whose processes they are"
            assert trainer.remains() != trainer.pids(), "and files"
        trainer.interrupt()
        seconds, said = trainer.end()
        assert trainer.process.returncode == -signal.SIGINT, said
        assert said.splitlines()[-1] == "KeyboardInterrupt"
        assert "ignored" not in said
        wait_until(lambda t=trainer: not t.remains(), "nothing is left")
        if seconds <= PROMISE_S:
            return
        assert attempt < TRIES, f"it took {seconds:.1f} s"


def test_a_trainer_that_is_interrupted_again_and_again_leaves_nothing(trainer_of):
    trainer = trainer_of(WHERE["in a loop"])

    def hammer():
        trainer.interrupt()
        return trainer.process.poll() is not None

    wait_until(hammer, "it ends")
    assert trainer.process.returncode != 0
    wait_until(lambda: not trainer.remains(), "nothing is left")


@pytest.mark.parametrize("opening", ["with Client(SPEC, processes=2) as client:", WITHOUT])
def test_sys_exit_in_the_loop_ends_the_trainer_and_leaves_nothing(trainer_of, opening):
    trainer = trainer_of(opening + EXITS)
    trainer.end()
    assert trainer.process.returncode == 3
    wait_until(lambda: not trainer.remains(), "nothing is left")
