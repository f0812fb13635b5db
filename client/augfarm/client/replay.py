"""`augfarm replay`: a failed batch once more, from its dump, in a process of its own.

A crash of the augmenter ends that process (:mod:`.rerun`) and not this one, which says what came of it.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from augfarm.protocol import pipelines
from augfarm.protocol.batches import Keep
from augfarm.protocol.codec import decode_body
from augfarm.protocol.dumps import MAX_DUMP_BYTES, Dump, decode_dump
from augfarm.protocol.errors import InvalidPipeline, ProtocolError

from .service import software

__all__ = ["read_dump", "replay", "replay_dump"]

#: What `augfarm replay` exits with, besides 2 for a file that cannot be run here.
EXIT_PASSED, EXIT_FAILED = 0, 1
#: How long a process that was told to abort may take to print its stack, in seconds.
ABORT_TIMEOUT_S = 5.0
#: Errors are the same where their texts agree so far; workers cut long ones in the middle.
TEXT_COMPARED = 1000


def read_dump(path: str | os.PathLike[str]) -> Dump:
    """The dump in a file.

    Raises:
        ValueError: where there is no such file, or it is no dump; the text is one line that names the file.
    """
    name = os.fspath(path)
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):  # before it is opened: a pipe would wait for its writer
            raise ValueError(f"{name} is no file")
        with open(name, "rb") as file:
            octets = file.read(MAX_DUMP_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot read {name}: {error.strerror}") from None
    try:
        return decode_dump(octets)
    except ProtocolError as error:
        raise ValueError(f"{name} {error}") from None


def replay_dump(path: str | os.PathLike[str], *, allow_imports: Sequence[str] = ()) -> dict[str, Any]:
    """Augment a dumped batch again in this process, for a debugger; a crash of it is a crash here.

    Args:
        path: the file, as ``dump_dir`` has it.
        allow_imports: modules besides imgaug's that its pipeline may name. Allow only what you would import.

    Returns:
        The augmented fields by imgaug's names, if it passes now.

    Raises:
        ValueError: for a file that is no dump.
        InvalidPipeline: for a pipeline that cannot be made here.
        ImportError: where there is no imgaug here.
        Exception: whatever the augmenter raises.
    """
    from augfarm.protocol.augment import Recipe

    dump = read_dump(path)
    request = decode_body(dump.body)
    result = Recipe(dump.spec, allow_imports=tuple(allow_imports)).augment(request, dump.seed)
    columns = tuple(request["columns"])
    fields: dict[str, Any] = Keep(columns, dict.fromkeys(columns)).restore(result)
    return fields


def replay(path: str, allow_imports: Sequence[str] = (), timeout: float | None = None) -> int:
    """Run a dump again in a child process, and print what it is and what came of it.

    Args:
        path: the dump.
        allow_imports: modules besides imgaug's that its pipeline may name.
        timeout: seconds that the batch may take, or None.

    Returns:
        The code to exit with: 0 where it passes now, 1 where it fails again.

    Raises:
        ValueError: for a file that is no dump, or cannot be run here; the text says why.
    """
    dump = read_dump(path)
    _check_modules(dump, path, allow_imports)
    command = [sys.executable, "-m", "augfarm.client.rerun", path, *allow_imports]
    # Unbuffered: after one line is read the rest is still in the pipe, for communicate().
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0) as child:
        try:
            return _follow(child, dump, timeout)
        finally:
            child.kill()


def _follow(child: subprocess.Popen[bytes], dump: Dump, timeout: float | None) -> int:
    assert child.stdout is not None
    first = _said(child.stdout.readline())
    if "refused" in first:
        raise ValueError(first["refused"])
    _show(dump, first.get("ready", {}))
    try:
        rest, _ = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return _stop(child, timeout)
    return _tell(_said(rest), child.returncode, dump)


def _check_modules(dump: Dump, path: str, allowed: Sequence[str]) -> None:
    needed = [name for name in pipelines.imports(dump.spec) if name not in allowed]
    if needed:
        options = " ".join(f"--allow-import {shlex.quote(ascii(name)[1:-1])}" for name in needed)
        raise InvalidPipeline(
            f"its pipeline names modules other than imgaug's, which would be imported; if you trust them: "
            f"augfarm replay {shlex.quote(path)} {options}"
        )


def _said(line: bytes) -> dict[str, Any]:
    """What the child said, or nothing where it ended before."""
    try:
        said: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return said


# --- in words ----------------------------------------------------------------------------------------------


def _show(dump: Dump, ready: dict[str, Any]) -> None:
    what = f"batch {dump.seed.index}" + ("" if dump.image is None else f", its image {dump.image} alone")
    print(f"{what}, seeded by {dump.seed}")
    kernels = ready.get("kernels", "exact")
    print("pipeline:" if kernels == "exact" else f"pipeline, by {kernels} kernels:")
    for line in ready.get("pipeline", "(it could not be made)").splitlines():
        print(f"  {line}")
    for difference in _differences(dump, ready.get("versions", {})):
        print(f"differs: {difference}")
    print(f"then: {_in_words(dump)}", flush=True)


def _differences(dump: Dump, now: dict[str, str]) -> list[str]:
    """Versions that are not what they were, such as "numpy 2.2.0 then, 2.3.1 now"."""
    found = [] if dump.software == software() else [f"{dump.software} then, {software()} now"]
    for name, here in now.items():
        then = sorted({worker[name] for worker in dump.workers if name in worker})
        if then and then != [here]:
            label = "" if name in ("imgaug", "platform") else f"{name} "  # these two say what they are
            found.append(f"{label}{' or '.join(then)} then, {here} now")
    return found


def _in_words(dump: Dump) -> str:
    if dump.kind == "poisoned":
        return f"it ended {dump.attempts} worker processes"
    return f"{dump.exception_type}: {dump.exception_text}"


def _tell(outcome: dict[str, Any], code: int, dump: Dump) -> int:
    if "passed" in outcome:
        print("now: it passes")
        return EXIT_PASSED
    if "failed" not in outcome:
        return _tell_death(code, dump)
    failed = outcome["failed"]
    text = failed["text"][:TEXT_COMPARED]
    if failed["type"] != dump.exception_type:
        print("now: it fails by another error")
    elif text == dump.exception_text[:TEXT_COMPARED] or text in dump.exception_text:
        print("now: it fails by the same error")
    else:
        print("now: it fails by an error of the same type, with another text")
    print(failed["traceback"], end="")
    return EXIT_FAILED


def _tell_death(code: int, dump: Dump) -> int:
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; was memory short?" if name == "SIGKILL" else ""
        print(f"now: its process was killed by {name}{hint}")
    else:
        print(f"now: it ended its process, with code {code}")
    return EXIT_FAILED


def _stop(child: subprocess.Popen[bytes], timeout: float | None) -> int:
    print(f"now: it has not ended after {timeout:g} s, and is stopped here:", flush=True)
    child.send_signal(signal.SIGABRT)  # faulthandler prints the stack, also where C code holds the GIL
    try:
        child.communicate(timeout=ABORT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        print("(its stack cannot be had)")
    return EXIT_FAILED
