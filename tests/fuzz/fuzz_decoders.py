"""Fuzz one decoder with atheris::

    cd tests && python -m fuzz.fuzz_decoders TARGET DIRECTORY [-max_total_time=60]

TARGET is a function of targets.py. DIRECTORY gets the valid inputs of corpus.py and what libFuzzer finds. It
ends with 0 when the time is over, and otherwise with the exception and the input that made it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

import augfarm.compat

with atheris.instrument_imports(include=["augfarm"]):
    import augfarm.protocol.batches
    import augfarm.protocol.pipelines  # noqa: F401
    from fuzz.targets import TARGETS


def main() -> None:
    target, directory = sys.argv[1], Path(sys.argv[2])
    from fuzz.corpus import CORPUS

    for number, octets in enumerate(CORPUS[target]):
        (directory / f"valid-{number}").write_bytes(octets)
    # A batch may have 1 GiB; what no valid batch of this size costs is a bug.
    limits = ["-rss_limit_mb=2048", "-malloc_limit_mb=512", "-timeout=20", "-max_len=65536"]
    atheris.Setup([sys.argv[0], str(directory), *limits, *sys.argv[3:]], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
