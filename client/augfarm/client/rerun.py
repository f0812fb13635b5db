"""A dumped batch once more, in this process: ``python -m augfarm.client.rerun``, a child of `augfarm replay`.

It may be killed by what it runs, so all it says goes at once to the parent, each a line of JSON on standard
output: ``ready``, then ``passed`` or ``failed``; or ``refused``, where it cannot be run here. What the
augmenter prints goes to standard error, as the stack of a crash does.
"""

from __future__ import annotations

import ctypes
import faulthandler
import io
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from augfarm.protocol import limits
from augfarm.protocol.codec import decode_body, encode_body
from augfarm.protocol.dumps import Dump
from augfarm.protocol.errors import InvalidPipeline

from .replay import read_dump

__all__ = ["main"]

#: <linux/prctl.h>
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the dump of the first argument; the other arguments are modules that its pipeline may name."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a crash would lose what the augmenter has printed
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is looked for here: no file of it is left
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    path, *modules = sys.argv[1:]
    run(read_dump(path), tuple(modules), lambda **said: print(json.dumps(said), file=channel))
    os._exit(0)  # whatever threads the augmenter has left


def run(dump: Dump, modules: tuple[str, ...], tell: Callable[..., None]) -> None:
    """Augment the batch as a worker does, and tell what came of it."""
    try:
        from augfarm.protocol.augment import Recipe, versions

        recipe = Recipe(dump.spec, allow_imports=modules)
    except (ImportError, InvalidPipeline) as error:
        tell(refused=str(error))
        return
    tell(ready={"pipeline": _pipeline(recipe), "kernels": recipe.kernels, "versions": versions()})
    try:
        result = recipe.augment(decode_body(dump.body), dump.seed)
        encode_body(result, frame_bytes=limits.MAX_IPC_FRAME_BYTES)
    except BaseException as error:  # also SystemExit: it is what the batch came to
        tell(failed=_described(error))
    else:
        tell(passed=True)


def _pipeline(recipe: Any) -> str:
    try:
        return str(recipe)
    except Exception as error:  # a user's own __str__
        return f"(it cannot be shown: {error!r})"


def _described(error: BaseException) -> dict[str, Any]:
    name = type(error).__name__
    try:
        return {"type": name, "text": str(error), "traceback": "".join(traceback.format_exception(error))}
    except BaseException as other:  # its __str__ is somebody's code
        return {"type": name, "text": "", "traceback": f"{name} (its text cannot be read: {other!r})\n"}


if __name__ == "__main__":
    main()
