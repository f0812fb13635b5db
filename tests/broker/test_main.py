"""The broker's process: its options, its exit codes, its end."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

PATIENCE_S = 20
ANY = ["--clients", "tcp://127.0.0.1:*", "--workers", "tcp://127.0.0.1:*"]


def start(*arguments, **options):
    command = [sys.executable, "-m", "augfarm.broker", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


@pytest.fixture
def broker():
    """Starts brokers that end with the test."""
    processes = []

    def begin(*arguments, **options):
        processes.append(start(*arguments, **options))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_ready_and_ends_well_when_told(broker, number):
    process = broker(*ANY, "--http", "127.0.0.1:0")
    line = process.stderr.readline()
    assert re.search(
        r"ready: clients at tcp://127\.0\.0\.1:\d+, workers at tcp://127\.0\.0\.1:\d+, http at ", line
    )
    address = re.search(r"http at (\S+)", line)[1]
    with urllib.request.urlopen(f"http://{address}/status.json", timeout=PATIENCE_S) as answer:
        assert json.load(answer)["memory"]["budget"] == 2**31
    process.send_signal(number)
    assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--clients", "tcp://0.0.0.0:*"], "without keys whoever reaches it may use the farm"),
        (["--clients", "tcp://0.0.0.0:*"], "--keys DIR"),
        (["--workers", "tcp://*:*"], "--insecure"),
        (["--http", "0.0.0.0:0"], "--insecure"),
        (["--clients", "here"], "--clients: expected an address"),
        (["--http", "here"], "--http"),
        (["--memory", "much"], "expected a size"),
        (["--workers", "ipc:///nowhere/at/all"], "cannot listen"),
    ],
)
def test_settings_that_cannot_work_are_one_line_and_exit_code_2(broker, arguments, words):
    process = broker(*ANY, "--http", "", *arguments)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert words in errors
    assert len(errors.splitlines()) == 1


def test_a_port_in_use_is_one_line_and_exit_code_2(broker):
    first = broker(*ANY, "--http", "")
    place = re.search(r"clients at (\S+),", first.stderr.readline())[1]
    second = broker("--workers", "tcp://127.0.0.1:*", "--http", "", "--clients", place)
    _, errors = second.communicate(timeout=PATIENCE_S)
    assert (second.returncode, len(errors.splitlines())) == (2, 1)
    assert "another process does already" in errors


def test_options_may_come_from_the_environment(broker):
    names = {"AUGFARM_CLIENTS": "tcp://127.0.0.1:*", "AUGFARM_WORKERS": "tcp://*:*", "AUGFARM_INSECURE": "1"}
    process = broker("--http", "", env={**os.environ, **names})
    assert "workers at tcp://[::]:" in process.stderr.readline()


def test_a_farm_that_is_open_to_all_says_what_that_means(broker):
    process = broker("--clients", "tcp://127.0.0.1:*", "--workers", "tcp://*:*", "--http", "", "--insecure")
    process.stderr.readline()
    warning = process.stderr.readline()
    assert "--insecure: --workers tcp://*:* is open: whoever reaches it may use the farm" in warning
    assert "--clients" not in warning


def test_it_ends_with_its_parent_and_leaves_nothing(broker, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    reader, writer = os.pipe()
    process = broker(
        *("--clients", f"ipc://{scratch}/clients", "--workers", f"ipc://{scratch}/workers"),
        *("--http", "", "--parent-fd", str(reader), "--scratch", str(scratch)),
        pass_fds=[reader],
    )
    assert "ready" in process.stderr.readline()
    assert (scratch / "clients").exists()
    os.close(reader)
    os.close(writer)
    assert process.wait(PATIENCE_S) == 0
    assert not scratch.exists()


def test_a_broker_that_is_started_again_finds_its_directory(broker, tmp_path):
    (tmp_path / "workers").touch()
    reader, writer = os.pipe()
    arguments = ["--http", "", "--parent-fd", str(reader), "--scratch", str(tmp_path)]
    process = broker(*ANY, *arguments, pass_fds=[reader])
    assert "ready" in process.stderr.readline()
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    assert (tmp_path / "workers").exists(), "the worker pool and the next broker use it"
    os.close(writer)
    broker(*ANY, *arguments, pass_fds=[reader]).wait(PATIENCE_S)
    assert not tmp_path.exists(), "the parent is gone"
    os.close(reader)


def test_quiet_says_nothing_when_all_is_well(broker, tmp_path):
    process = broker(*ANY, "--http", "127.0.0.1:0", "--quiet", "--parent-fd", "0", stdin=subprocess.PIPE)
    process.stdin.close()
    assert process.wait(PATIENCE_S) == 0
    assert process.stderr.read() == ""


def test_it_imports_nothing_heavy():
    code = "import augfarm.broker.__main__, augfarm.broker.service, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "rich", "imgaug", "http.server", "asyncio"} & set(loaded.split())
