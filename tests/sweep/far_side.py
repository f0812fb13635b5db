"""A process that augments as a worker does and has never built an augmenter.

``python -m sweep.far_side DIRECTORY`` reads specs and batches, in frames, from DIRECTORY/jobs, and writes
DIRECTORY/results. The last batch of each pipeline comes first.
"""

# ruff: noqa: E402  numpy reads its thread limits when it is loaded.
from __future__ import annotations

from augfarm.worker.environment import check_threads, limit_threads

limit_threads()

import pickle
import sys
import warnings
from pathlib import Path

from augfarm.compat import hush, import_imgaug
from augfarm.protocol.augment import Recipe
from augfarm.protocol.codec import decode_body, encode_body
from augfarm.protocol.seeds import Seed

__all__ = ["Job", "Result"]

#: A spec, and for each batch its frames.
Job = tuple[bytes, list[list[bytes]]]
#: For each batch its frames, or the name of the exception that there was instead.
Result = list["list[bytes] | str"]

#: The client's seed; the batch's number is added.
BASE_SEED = 20


def run(job: Job) -> Result:
    """The batches of one pipeline, augmented in the opposite order."""
    spec, bodies = job
    recipe = Recipe(spec, allow_imports=("sweep.my_augs",))
    results: Result = []
    for number in reversed(range(len(bodies))):
        try:
            tree = recipe.augment(decode_body(bodies[number]), Seed("batch", BASE_SEED, number))
        except Exception as error:
            results.append(type(error).__name__)
        else:
            results.append([bytes(frame) for frame in encode_body(tree, frame_bytes=1 << 18)])
    return results[::-1]


def main(directory: Path) -> None:
    hush()
    warnings.simplefilter("ignore")
    import_imgaug()
    check_threads()
    jobs: dict[str, Job] = pickle.loads((directory / "jobs").read_bytes())
    results = {name: run(job) for name, job in jobs.items()}
    (directory / "results").write_bytes(pickle.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
