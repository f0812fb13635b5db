"""Writes docs/reliability.md: every fault, what happens, how long until work goes on, and the test that shows it.

    python bench/reliability.py              # from the results that are there
    python bench/reliability.py --measure    # runs tests/chaos first (some minutes), which takes the times

The times are those that the chaos suite took between a fault, or its repair, and the first batch after it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from typing import Any

import scaffold
from faults import Row
from faults_of_deployment import CONTAINERS, KEYS
from faults_of_memory import SHARED_MEMORY

DOCUMENT = scaffold.ROOT / "docs" / "reliability.md"
CHAOS = "tests/chaos"
HANGS = "tests/integration/test_nothing_hangs.py"


WORKERS = (
    Row(
        "A worker process is killed (`kill -9`, a crash)",
        "The kernel closes its connection; its batches go back to the head of the queue; the pool forks another",
        "Each batch once. The batch at work counts one attempt",
        (f"{CHAOS}/test_killed_worker.py::test_the_only_worker_killed_in_the_middle_of_a_batch",),
        (
            ("the only worker killed (local farm)", "the only worker of a local farm"),
            ("the only worker killed (tcp)", "the only worker, over tcp"),
        ),
    ),
    Row(
        "Workers are killed every 0.3 s at random",
        "The same, again and again",
        "The bytes of the whole stream are those of an undisturbed run",
        (f"{CHAOS}/test_killed_worker.py::test_killed_at_random_moments",),
    ),
    Row(
        "All workers are gone, and others come later",
        "The client says after 3 s that there are no workers, and waits",
        "Each batch once",
        (f"{CHAOS}/test_killed_worker.py::test_all_workers_killed_and_later_others_come",),
    ),
    Row(
        "A worker freezes (SIGSTOP) while it augments",
        "Ordered calls hedge; without that its heartbeats stop, and its batches go to others. Thawed, it joins again; "
        "its late answer is dropped",
        "Each batch once; no attempt is counted",
        (
            f"{CHAOS}/test_frozen_worker.py::test_frozen_while_augmenting_and_thawed_after_its_batch_was_redone",
            "tests/integration/test_hedging.py::test_a_frozen_worker_is_not_waited_for",
        ),
        (
            ("worker frozen while augmenting, with hedging", "hedged"),
            ("worker frozen while augmenting, without hedging", "`hedge=False`"),
        ),
    ),
    Row(
        "A worker freezes while a result or a batch is on its way",
        "Heartbeats wait behind what is being sent; the broker sees that nobody takes the bytes",
        "Each batch once; no attempt is counted",
        (
            f"{CHAOS}/test_frozen_worker.py::test_frozen_while_sending_a_large_result",
            f"{CHAOS}/test_frozen_worker.py::test_frozen_while_a_large_batch_is_sent_to_it",
        ),
        (
            ("worker frozen while sending a result", "sending"),
            ("worker frozen while a batch is sent to it (tcp)", "receiving, tcp"),
            ("worker frozen while a batch is sent to it (local farm)", "receiving, local farm"),
        ),
    ),
    Row(
        "Workers cannot start (a module that raises, processes that die at once)",
        "The pool gives up after four in a row in each slot; a local farm's client raises `FarmUnavailable`",
        "An error that says why, within seconds; nothing is left",
        ("tests/integration/test_failing_starts.py",),
    ),
    Row(
        "A worker is ten times as slow as the others",
        "The batch that an ordered call waits for is tried by a second worker",
        "Each batch once; see the table below",
        ("tests/integration/test_hedging.py::test_a_stuck_worker_holds_nobody_up",),
    ),
    Row(
        "Workers are told to stop (SIGTERM, `maxtasksperchild`, scaling down)",
        "Each finishes the batch at work and gives the rest back",
        "No batch is done twice",
        (
            f"{CHAOS}/test_scaling.py::test_from_one_worker_to_eight_and_back",
            f"{CHAOS}/test_scaling.py::test_processes_that_are_replaced_after_a_few_batches",
        ),
    ),
)
NETWORK = (
    Row(
        "The broker is killed and started again",
        "Clients and workers connect again, and clients send what is unanswered once more",
        "Each batch once; attempts are carried over",
        (
            f"{CHAOS}/test_killed_broker.py::test_killed_in_mid_run_again_and_again",
            f"{CHAOS}/test_killed_broker.py::test_killed_for_long_while_a_batch_is_at_work",
            f"{CHAOS}/test_poison.py::test_the_count_outlives_the_broker",
        ),
        (
            ("broker back at once after kill -9", "after it is back"),
            ("broker back seconds after kill -9", "after it is back, gone for seconds"),
        ),
    ),
    Row(
        "Broker or pool of a local farm is killed",
        "The client starts it again",
        "Each batch once",
        (f"{CHAOS}/test_killed_broker.py::test_of_a_local_farm",),
        (
            ("broker of a local farm killed", "broker, with its start"),
            ("pool of workers of a local farm killed", "pool, with its start"),
        ),
    ),
    Row(
        "Broker and workers are started after the client",
        "The client says after 3 s what is missing, and waits",
        "Each batch once",
        (f"{CHAOS}/test_killed_broker.py::test_broker_and_workers_started_after_the_client",),
    ),
    Row(
        "The link to a worker is cut (20 ms, 1 % loss otherwise)",
        "Heartbeats stop; its batches go to others; mended, it joins again under its old id",
        "Each batch once; no attempt is counted",
        (
            f"{CHAOS}/test_cut_link.py::test_between_a_worker_and_the_broker",
            f"{CHAOS}/test_cut_link.py::test_between_the_only_worker_and_the_broker",
        ),
        (
            ("link to a worker cut", "others go on"),
            ("worker back after its link was mended", "it is back, after the repair"),
            ("link to the only worker mended", "the only worker, after the repair"),
        ),
    ),
    Row(
        "The link to the client is cut",
        "It connects again and sends what is unanswered once more",
        "Each batch once",
        (f"{CHAOS}/test_cut_link.py::test_between_a_client_and_the_broker",),
        (
            ("link to a client mended, after 1.5 s", "after the repair, cut for 1.5 s"),
            ("link to a client mended, after 4 s", "after the repair, cut for 4 s"),
        ),
    ),
    Row(
        "A host vanishes without a word (half-open connection), or one direction of a link is dead",
        "Heartbeats tell",
        "Each batch once",
        (
            f"{CHAOS}/test_cut_link.py::test_a_workers_host_vanishes",
            f"{CHAOS}/test_cut_link.py::test_a_clients_host_vanishes",
            f"{CHAOS}/test_cut_link.py::test_the_broker_vanishes_and_another_comes",
            f"{CHAOS}/test_cut_link.py::test_one_direction_of_the_link_is_dead",
        ),
        (
            ("host of a worker vanished", "a worker's"),
            ("broker restarted while the link was cut, mended", "the broker's, after the repair"),
            ("no packet from the worker arrives", "nothing comes from a worker"),
            ("no packet from the broker arrives", "nothing reaches a worker"),
        ),
    ),
)
CLIENTS = (
    Row(
        "A client is killed, frozen, cut off, or leaves without closing",
        "The broker forgets all it had; batches at work are finished and dropped",
        "Nothing of it is left: no batch, no process, no socket file",
        (
            f"{CHAOS}/test_gone_client.py",
            f"{CHAOS}/test_leaks.py",
            f"{CHAOS}/test_cut_link.py::test_a_clients_host_vanishes",
        ),
        (
            ("client killed, forgotten", "forgotten, killed"),
            ("client frozen, forgotten", "forgotten, frozen"),
            ("client frozen for 4 s, thawed, back", "thawed, it goes on"),
        ),
    ),
    Row(
        "A client takes no results",
        "It holds its own window and no more",
        "Others keep their share; the broker's memory is bounded",
        (
            f"{CHAOS}/test_fair_share.py::test_all_that_read_get_their_share",
            f"{CHAOS}/test_fair_share.py::test_the_brokers_memory_is_bounded",
        ),
    ),
    Row(
        "The loop is left, raises, or is interrupted; the generator raises or never ends; two calls at once",
        "The call ends, or goes on, at once",
        "Nothing hangs; Ctrl-C ends a trainer within 2 s and leaves nothing",
        (HANGS, "tests/integration/test_interrupts.py"),
    ),
    Row(
        "A client is used in a forked child",
        "ClosedError in the child",
        "The parent goes on",
        (f"{CHAOS}/test_gone_client.py::test_forked_in_mid_iteration",),
    ),
)
BATCHES = (
    Row(
        "An augmenter raises",
        "`AugmentationFailed` with the batch's number, worker, seed and traceback",
        "All other batches come",
        (f"{CHAOS}/test_poison.py::test_an_error_is_told_once_with_all_that_it_takes_to_see_it_again",),
    ),
    Row(
        "A batch kills its process (os._exit, SIGSEGV), never ends (`--task-timeout`), or takes all memory "
        "(`--max-rss`)",
        "It is tried by `--max-attempts` (3) processes, then `BatchPoisoned`; what numpy is refused is a MemoryError "
        "of the batch",
        "All other batches come; those that waited behind it are not blamed",
        (
            f"{CHAOS}/test_poison.py::test_what_kills_its_process_is_given_up_after_three_and_nothing_else_is",
            f"{CHAOS}/test_poison.py::test_memory_that_python_misses_is_an_error_of_the_batch",
        ),
    ),
    Row(
        "Some images of a batch are bad (`isolate=True`)",
        "The batch is halved until they are named: `PartialBatch`",
        "The other images come",
        ("tests/integration/test_isolate.py",),
    ),
)
PEERS = (
    Row(
        "Garbage, cut-off greetings, forged or out-of-place messages on either port",
        "Dropped and counted, or refused by name; logged at a bounded rate",
        "Nothing crashes; others lose nothing",
        ("tests/attack",),
    ),
    Row(
        "A worker answers what it was not given, twice, or in other shapes",
        "Dropped, or an error of that batch",
        "Others lose nothing. Wrong pixels of the right shape go unnoticed: workers are trusted with that",
        ("tests/attack",),
    ),
    Row(
        "Everything at once, as a model: any message delayed, any connection cut, any process dead, at any point",
        "Hypothesis joins the broker's core with clients' and workers' sessions over such links",
        "Exactly once, every law after every step, and an end once faults stop",
        ("tests/model",),
    ),
)
SECTIONS = (
    ("Workers", WORKERS),
    ("Broker and network", NETWORK),
    ("Clients", CLIENTS),
    ("Batches", BATCHES),
    ("Shared memory", SHARED_MEMORY),
    ("Containers", CONTAINERS),
    ("Keys", KEYS),
    ("Hostile peers, and all together", PEERS),
)

TEXT = """# What happens when something fails

This file is written by `python bench/reliability.py --measure`; do not edit it by hand.

Each line of the tables is shown by the tests named in it, on real processes and real sockets. The judge of the
chaos suite (`tests/chaos`) is the SHA-256 of the whole stream: with `seeding="batch"` it must equal that of an
undisturbed run on one core; with `seeding="worker"` every number comes once, and every batch equals its own replay.
`make test` runs one of each kind of them, `make slow` all.

The times are those until the first batch came that had waited for the fault or for its repair: the median, and in
brackets the longest, of the runs on {machine}. They are no promise; a loaded machine takes longer. Batches there take
5 to 20 ms.

![Batches a second over time, with workers being killed]({picture})

The same job twice, on two workers: from second 8 to 16 a worker of augfarm's is killed every 0.3 s on average;
of imgaug's Pool one, at second 8 (`bench/kills.py`, on {kills_machine}).

{tables}

## One slow worker

{hedging}

## What is not covered

- Frames that never end, and sessions that are opened, filled and left in a loop, bound the broker's memory by time
  only (docs/protocol.md, section 13). Let only peers near the ports that you trust so far.
- A process that somebody kills from outside while it augments looks like one that its batch killed: after
  `--max-attempts` such kills of one batch it is given up.
- The broker keeps nothing on disk. If broker and client are lost together, the client's run is lost with it.
- A failing disk, a wrong clock, flipped bits in memory or on the way beyond what TCP sees.
- Linux is tested; macOS is not.
"""


def times_of(row: Row, recovery: dict[str, list[float]]) -> str:
    parts = []
    for name, called in row.times:
        seconds = recovery.get(name)
        if not seconds:
            parts.append(f"{called}: not measured here")
            continue
        longest = f" ({max(seconds):.1f})" if len(seconds) > 1 else ""
        parts.append(f"{called}: {statistics.median(seconds):.2f} s{longest}")
    return "<br>".join(parts)


def table(rows: tuple[Row, ...], recovery: dict[str, list[float]]) -> str:
    lines = ["| fault | what happens | until work goes on | guaranteed | shown by |", "|---|---|---|---|---|"]
    for row in rows:
        tests = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in row.tests)
        cells = [row.fault, row.happens, times_of(row, recovery), row.guaranteed, tests]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def hedging_table(found: dict[str, Any]) -> str:
    """The rates with and without hedging, where one worker is slow."""
    rates = {(r["slow"], r["buffer"], r["how"]): r for r in found["rows"]}
    buffers = sorted({row["buffer"] for row in found["rows"]})
    lines = [
        f"{found['workers']} workers, one of them ten times as slow; batches take {1000 * found['seconds']:.0f} ms on the"
        f" others (`bench/hedging.py`, on {found['machine']}). In batches a second:",
        "",
        "| `output_buffer_size` | ordered, `hedge=False` | ordered | gain | batches tried twice | unordered |",
        "|---|---|---|---|---|---|",
    ]
    for buffer in buffers:
        without, hedged = rates[1, buffer, "ordered, hedge=False"], rates[1, buffer, "ordered"]
        unordered = rates[1, buffer, "unordered"]
        gain = hedged["rate"] / without["rate"]
        lines.append(
            f"| {buffer} | {without['rate']:.0f} | {hedged['rate']:.0f} | {gain:.1f} times | {hedged['hedged']:.0f} of 300"
            f" | {unordered['rate']:.0f} |"
        )
    same = [rates[0, b, "ordered"]["rate"] / rates[0, b, "ordered, hedge=False"]["rate"] for b in buffers]
    lines += [
        "",
        f"Where no worker is slow it changes nothing: {min(same):.2f} to {max(same):.2f} times the rate.",
    ]
    return "\n".join(lines)


def measure() -> None:
    path = scaffold.RESULTS / "recovery.json"
    scaffold.RESULTS.mkdir(exist_ok=True)
    environment = {**os.environ, "AUGFARM_RECOVERY": str(path)}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", CHAOS], cwd=scaffold.ROOT, env=environment, check=True
    )
    scaffold.save("recovery", {"seconds": scaffold.load("recovery")["seconds"]})


def document() -> str:
    """The file's text, from the results that are there."""
    recovery = scaffold.load("recovery")
    tables = "\n\n".join(f"## {name}\n\n{table(rows, recovery['seconds'])}" for name, rows in SECTIONS)
    return TEXT.format(
        machine=recovery["machine"],
        kills_machine=scaffold.load("kills")["machine"],
        picture="images/kills.png",
        tables=tables,
        hedging=hedging_table(scaffold.load("hedging")),
    )


def main() -> None:
    if "--measure" in sys.argv[1:]:
        measure()
    DOCUMENT.write_text(document())
    print(f"wrote {DOCUMENT.relative_to(scaffold.ROOT)}")


if __name__ == "__main__":
    main()
