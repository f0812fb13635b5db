"""The command line: what it refuses, in one line each."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from augfarm.compat import INSTALL


def run(*arguments: str, before: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """The finished ``python -m augfarm.worker``, after these lines of code."""
    code = f"{before}\nimport runpy; runpy.run_module('augfarm.worker', run_name='__main__', alter_sys=True)"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AUGFARM_")} | variables
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, timeout=100
    )


def test_where_imgaug_is_missing_it_says_how_to_install_it() -> None:
    done = run(before="import sys; sys.modules['imgaug'] = None")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].strip() == INSTALL
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        (("--broker", "broker:5556"), {}, "tcp://HOST:PORT"),
        ((), {"AUGFARM_BROKER": "udp://broker:1"}, "udp://broker:1"),
        (("--processes", "0"), {}, "other than 0"),
        ((), {"AUGFARM_PROCESSES": "many"}, "--processes"),
        ((), {"AUGFARM_MAXTASKSPERCHILD": "0"}, "maxtasksperchild"),
        (("--allow-import", "no_such_module"), {}, "--allow-import no_such_module: ModuleNotFoundError"),
        (("--allow-import", "json.py"), {}, "not my_augs.py"),
        (("--allow-import", "no_such_module"), {}, os.getcwd()),
        ((), {"AUGFARM_ALLOW_IMPORT": "json no_such_module"}, "--allow-import no_such_module"),
    ],
)
def test_what_cannot_work_is_refused(
    arguments: tuple[str, ...], variables: dict[str, str], expected: str
) -> None:
    done = run(*arguments, **variables)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
