"""`docker compose up --scale worker=8`, with a real engine: jobs, what happens to containers, and keys."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from augfarm.client import Client, FarmRefused
from augfarm.client.report import ask
from augfarm.protocol.keys import make_keys
from compose import job
from engine import PATIENCE_WITH_CONTAINERS, ROOT, TAG
from farms import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.compose, pytest.mark.timeout(900)]

TUTORIAL = ROOT / "examples" / "09_without_imgaug.py"
SHORT = ("--batches", "24", "--images", "1")

#: The same job by plain imgaug, to be run in a worker's container after the source of the example.
PLAIN = """
import augfarm.compat, hashlib, imgaug, numpy as np
from imgaug.augmentables.batches import UnnormalizedBatch
from augfarm.protocol import pipelines
from augfarm.protocol.seeds import Seed
augmenter, digest = pipelines.decode(spec.encode()), hashlib.sha256()
for number, batch in enumerate(example["batches"](24, 1)):
    seed = Seed("batch", 1, number)
    imgaug.random.seed(seed.global_generator())
    augmenter.seed_(seed.augmenter())
    result = augmenter.augment_batch_(UnnormalizedBatch(**batch))
    for part in (result.images_aug, result.keypoints_aug, result.bounding_boxes_aug):
        for each in part:
            digest.update(np.asarray(each).tobytes())
print("sha256", digest.hexdigest())
"""


def sha256_of(output):
    return re.search(r"sha256 ([0-9a-f]{64})", output)[1]


def test_it_is_up_and_healthy_and_each_service_has_the_keys_of_its_role_alone(farm):
    states = [json.loads(line) for line in farm.compose("ps", "-a", "--format", "json").stdout.splitlines()]
    seen = sorted((state["Service"], state["State"], state["Health"], state["ExitCode"]) for state in states)
    up = [("broker", "running", "healthy", 0)], [("worker", "running", "healthy", 0)] * 8
    assert seen == [*up[0], ("keys", "exited", "", 0), *up[1]]
    assert len(farm.hosts()) == len(set(farm.hosts())) == 8
    look = "find / -name '*.key_secret' -o -name http.token 2>/dev/null; id -u; touch /here 2>&1"
    for service in ("broker", "worker"):
        done = farm.compose("exec", "-T", service, "sh", "-c", look, check=False)
        *files, user, error = done.stdout.split("\n")[:-1]
        own = {"broker": ["broker.key_secret", "http.token"], "worker": ["worker.key_secret"]}[service]
        assert sorted(Path(file).name for file in files) == own
        assert int(user) > 0
        assert "Read-only" in error


def test_the_tutorials_job_gives_the_same_from_this_host_and_from_a_container(farm):
    environment = os.environ | {"AUGFARM_BROKER": farm.address, "AUGFARM_KEYS": str(farm.keys)}
    command = [sys.executable, TUTORIAL, *SHORT]
    here = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    trainer = ("run", "--rm", "-T", "trainer", "python", f"/examples/{TUTORIAL.name}", *SHORT)
    there = farm.compose(*trainer).stdout
    assert "by 8 workers" in here
    assert "by 8 workers" in there
    spec = TUTORIAL.with_suffix(".json").read_text()
    source = (
        f"spec, example = {spec!r}, {{'__name__': 'example', '__file__': '/x.py'}}\n"
        f"exec(compile({TUTORIAL.read_text()!r}, 'x', 'exec'), example)\n{PLAIN}"
    )
    container = ("run", "--rm", "-i", "--network", "none", "-e", "OPENBLAS_NUM_THREADS=1")
    container += (f"augfarm-worker:{TAG}", "python", "-")
    plain = farm.docker(*container, input=source).stdout
    assert sha256_of(here) == sha256_of(there) == sha256_of(plain)


def test_containers_are_killed_and_come_back(farm, run):
    crashed, killed = farm.containers("worker")[:2]
    infos = run(lambda: farm.crash(crashed), lambda: farm.docker("kill", killed))
    assert len({info.worker_id for info in infos}) >= 8
    # Who is killed by `docker kill` stays away, as somebody has told it to; the other one is back.
    farm.wait_for_workers(7)
    assert crashed[:12] in farm.hosts()
    farm.docker("start", killed)
    farm.wait_for_workers(8)


def test_one_is_paused_and_goes_on_later(farm, run):
    paused = farm.containers("worker")[3]
    try:
        run(lambda: farm.docker("pause", paused), lambda: farm.wait_for_workers(7))
        assert paused[:12] not in farm.hosts()
    finally:
        farm.docker("unpause", paused)
    farm.wait_for_workers(8)


def test_one_is_cut_off_from_the_network_and_connected_again(farm, run):
    """Its health check says so while it is."""
    network, container = f"{farm.name}_farm", farm.containers("worker")[5]

    def is_healthy():
        done = farm.docker("exec", container, "python", "-m", "augfarm.worker.health", check=False)
        assert done.stdout.startswith(f"{1 - done.returncode} of 1 worker processes")
        return done.returncode == 0

    def is_cut_off():
        wait_until(lambda: not is_healthy(), "it is not healthy", PATIENCE_WITH_CONTAINERS)
        farm.wait_for_workers(7)

    assert is_healthy()
    try:
        run(lambda: farm.docker("network", "disconnect", network, container), is_cut_off)
    finally:
        farm.docker("network", "connect", network, container)
    farm.wait_for_workers(8)
    assert container[:12] in farm.hosts()
    wait_until(is_healthy, "it is healthy again", PATIENCE_WITH_CONTAINERS)


def test_the_broker_is_restarted_and_crashes(farm, run):
    (broker,) = farm.containers("broker")
    run(lambda: farm.compose("restart", "broker"), lambda: farm.crash(broker))
    farm.wait_for_workers(8)
    assert farm.containers("broker") == [broker]


def test_scaling_down_and_up_loses_nothing(farm, run):
    infos = run(lambda: farm.scale(2), lambda: farm.wait_for_workers(2), lambda: farm.scale(8))
    assert {info.attempts for info in infos} == {0}
    farm.wait_for_workers(8)
    totals = farm.status()["totals"]
    assert (totals["failed"], totals["poisoned"]) == (0, 0)


def test_a_stranger_on_the_farms_network_gets_nothing_and_harms_nothing(farm, run):
    """A container without keys: no job, no status, no metric, no place as a worker."""
    before, started = set(farm.hosts()), farm.started()
    script = (Path(__file__).parent / "stranger.py").read_text()
    stranger = ("run", "--rm", "-i", "--network", f"{farm.name}_farm", "-e", "AUGFARM_KEYS=")
    said = []
    run(lambda: said.append(farm.docker(*stranger, f"augfarm-worker:{TAG}", "python", "-", input=script)))
    answers = json.loads(said[0].stdout.splitlines()[-1])
    for what in ("job", "report"):
        assert answers[what].startswith("FarmUnavailable")
    assert "waiting for the broker" in answers["worker"]
    for what in ("job", "report", "worker"):
        assert "handshake failed" in answers[what]
    assert answers["/healthz"] == 200
    assert answers["/status.json"] == 401
    assert answers["/metrics"] in (401, 404)
    assert (set(farm.hosts()), farm.started()) == (before, started)
    totals = farm.status()["totals"]
    assert (totals["garbage"], totals["failed"], totals["poisoned"]) == (0, 0, 0)


def test_wrong_keys_are_refused_and_told_so(farm, run, tmp_path):
    make_keys(tmp_path)
    (tmp_path / "client" / "broker.key").write_bytes((farm.keys / "broker.key").read_bytes())

    def of_another_farm():
        with (
            pytest.raises(FarmRefused, match="refused the key"),
            Client(job.pipeline(), farm.address, keys=tmp_path) as client,
        ):
            client.map_batches([job.batch(0)])

    def of_another_role():
        worker = ("run", "--rm", "-T", "--no-deps", "-v", f"{farm.name}_client-keys:/other:ro")
        done = farm.compose(*worker, "-e", "AUGFARM_KEYS=/other", "worker", check=False)
        assert (done.returncode, "no keys of a worker in /other" in done.stderr + done.stdout) == (2, True)

    run(of_another_farm, of_another_role)
    refused = farm.compose("logs", "broker").stdout
    assert "was refused at the port for clients: no folder has it" in refused


def test_a_key_is_added_and_revoked_by_the_keys_service(farm, tmp_path):
    def in_keys(*command):
        farm.compose("run", "--rm", "-T", "keys", *command)

    in_keys("augfarm", "keys", "/keys", "--client", "ann")
    farm.compose("cp", "keys:/keys/ann", str(tmp_path / "ann"))
    assert ask(farm.address, 30, str(tmp_path / "ann"))["workers"]
    in_keys("rm", "/keys/broker/clients/ann.key")
    with pytest.raises(FarmRefused, match="refused the key"):
        ask(farm.address, 30, str(tmp_path / "ann"))


def test_the_page_is_at_this_host_and_asks_for_the_token(farm):
    def get(path, token=""):
        request = urllib.request.Request(farm.page + path, headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    token = farm.compose("exec", "-T", "broker", "cat", "/keys/http.token").stdout.strip()
    assert get("/healthz") == 200
    assert get("/status.json") == 401
    assert get("/status.json", token) == 200


def test_ports_are_published_on_loopback_alone(farm):
    (broker,) = farm.containers("broker")
    ports = json.loads(farm.docker("inspect", "-f", "{{json .NetworkSettings.Ports}}", broker).stdout)
    bound = {port: [place["HostIp"] for place in places or []] for port, places in ports.items()}
    assert bound == {"5555/tcp": ["127.0.0.1"], "5556/tcp": [], "8780/tcp": ["127.0.0.1"]}


def test_a_second_start_finds_the_keys_of_the_first(farm):
    before = (farm.keys / "broker.key").read_bytes()
    assert farm.compose("run", "--rm", "-T", "keys").stdout == ""
    assert farm.compose("exec", "-T", "broker", "cat", "/keys/broker.key").stdout.encode() == before


def test_down_ends_within_5_s_and_leaves_nothing(farm):
    assert len(farm.containers("worker")) == 8
    began = time.monotonic()
    farm.compose("down", "-v")
    took = time.monotonic() - began
    # On a machine that has time for it; others may be at work here.
    assert took < 5 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), f"{took:.1f} s"
    mine = ("--filter", f"label=com.docker.compose.project={farm.name}")
    assert farm.docker("ps", "-aq", *mine).stdout == ""
    assert farm.docker("network", "ls", "-q", *mine).stdout == ""
    assert farm.docker("volume", "ls", "-q", *mine).stdout == ""
