"""What docs/reliability.md says of memory that processes of one host share."""

from __future__ import annotations

from faults import Row

__all__ = ["SHARED_MEMORY"]

FARMS = "tests/integration/test_shared_memory.py"
MEMORY = "tests/protocol/test_memory.py"
SHARING = "tests/protocol/test_sharing.py"

SHARED_MEMORY = (
    Row(
        "Workers are killed while pixels lie in the client's memory and in theirs",
        "The client's batches stay where they are; a worker's memory lives until its results are taken out",
        "The bytes of the whole stream are those of an undisturbed run",
        (f"{FARMS}::test_killed_workers_take_nothing_with_them",),
    ),
    Row(
        "A worker freezes, and wakes when its batch was redone and the memory is used for others",
        "It writes into memory of its own, and only reads the client's; its late answer is dropped",
        "No result is touched",
        (
            f"{FARMS}::test_a_frozen_worker_that_wakes_changes_nothing",
            f"{MEMORY}::test_the_reader_cannot_write",
        ),
    ),
    Row(
        "The memory is full, or none can be had",
        "Batches and results go through sockets",
        "The same results",
        (
            f"{FARMS}::test_a_full_memory_means_frames",
            f"{MEMORY}::test_memory_that_cannot_be_had_is_none",
        ),
    ),
    Row(
        "A worker that merely looks local: another container, another network namespace",
        "It cannot reach the client's memory, and gets frames; `augfarm status` says `relay`",
        "The same results",
        (f"{FARMS}::test_a_worker_that_only_looks_local_gets_frames",),
    ),
    Row(
        "The broker is killed and started again",
        "Workers let go of the client's memory, and attach to it anew",
        "The bytes of the whole stream are those of an undisturbed run",
        (f"{FARMS}::test_a_restarted_broker_finds_it_again",),
    ),
    Row(
        "The client is killed",
        "The memory has no name and no file: the kernel frees it when the last process lets go",
        "Nothing is left",
        (f"{FARMS}::test_a_killed_client_leaves_no_memory",),
    ),
    Row(
        "A peer lends memory that it could shrink later, or knows no secret",
        "It is not attached: memory must be sealed against shrinking and growing",
        "Nobody dies of SIGBUS; strangers see no pixels",
        (
            f"{MEMORY}::test_anything_else_is_refused_and_closed",
            f"{SHARING}::test_who_lends_what_is_no_sealed_memory_gets_nothing",
            f"{SHARING}::test_who_does_not_know_the_secret_gets_nothing",
        ),
    ),
)
