"""What docs/reliability.md says of containers and keys."""

from __future__ import annotations

from faults import Row

__all__ = ["CONTAINERS", "KEYS"]

COMPOSE = "tests/compose/test_farm.py"
CURVE = "tests/integration/test_curve.py"

CONTAINERS = (
    Row(
        "A worker's container crashes, is killed, paused, or cut off from its network",
        "As for a worker's process; one that crashed is started again, one that `docker kill` ended is not",
        "The bytes of the whole stream are those of an undisturbed run",
        (
            f"{COMPOSE}::test_containers_are_killed_and_come_back",
            f"{COMPOSE}::test_one_is_paused_and_goes_on_later",
            f"{COMPOSE}::test_one_is_cut_off_from_the_network_and_connected_again",
        ),
    ),
    Row(
        "The broker's container is restarted, or crashes",
        "As for a broker's process; it is started again",
        "The bytes of the whole stream are those of an undisturbed run",
        (f"{COMPOSE}::test_the_broker_is_restarted_and_crashes",),
    ),
    Row(
        "`docker compose up --scale`: 8 workers, 2, 8",
        "Those that go finish the batch at work and give the rest back",
        "The same, and no attempt is counted",
        (f"{COMPOSE}::test_scaling_down_and_up_loses_nothing",),
    ),
)
KEYS = (
    Row(
        "Somebody with a wrong key, without keys, or with one of another role, on the farm's network",
        "The handshake fails; who holds a refused key is told, and the log is. HTTP gives health alone",
        "No job, no place as a worker, no report; others lose nothing",
        (
            CURVE,
            f"{COMPOSE}::test_a_stranger_on_the_farms_network_gets_nothing_and_harms_nothing",
        ),
    ),
    Row(
        "The key of a peer is revoked while it works",
        "The broker compares keys and sessions every half second; new sessions at once",
        "Its session ends within a second. Its batches go to others, and no attempt is counted",
        (
            f"{CURVE}::test_a_key_that_is_revoked_ends_its_open_session_and_no_other",
            f"{CURVE}::test_a_worker_waits_until_its_key_is_let_in_and_ends_when_it_is_revoked",
        ),
    ),
)
