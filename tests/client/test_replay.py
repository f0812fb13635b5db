"""`augfarm replay` and `replay_dump` on dumps made by hand: what is said, and what the exit code is."""

import os
import shlex
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import numpy as np
import pytest
from imgaug import augmenters as iaa

from augfarm.client.replay import _differences, _tell, read_dump, replay, replay_dump
from augfarm.client.service import software
from augfarm.protocol import pipelines
from augfarm.protocol.augment import versions
from augfarm.protocol.batches import encode, pack
from augfarm.protocol.dumps import Dump, encode_dump
from augfarm.protocol.errors import InvalidPipeline, ProtocolError
from augfarm.protocol.seeds import Seed

AUGFARM = Path(sys.executable).with_name("augfarm")
PICKY = iaa.AssertShape((None, 8, None, 3))
WRONG = np.zeros((1, 9, 8, 3), np.uint8)
SAID = "Expected dim 0 (entry index: 0) to have value 8, got 9."
POISONED = {"kind": "poisoned", "exception_type": "", "exception_text": "", "attempts": 3}

MODULE = """
import ctypes, os, signal, sys
from imgaug import augmenters as iaa

class Mine(iaa.Identity):
    def _augment_batch_(self, batch, random_state, parents, hooks):
        print("at work")
        act(batch)
        return batch

def act(batch):
    {action}
"""


def dump_of(augmenter=PICKY, batch=WRONG, **changes):
    body = encode(pack(batch, 12).tree, 12, 1 << 30)
    dump = Dump(
        software=software(),
        spec=augmenter if isinstance(augmenter, bytes) else pipelines.encode(augmenter),
        seed=Seed("worker", 1, 12, 3),
        image=None,
        body=body,
        kind="raised",
        exception_type="AssertionError",
        exception_text=SAID,
        traceback="Traceback ...",
        attempts=0,
        client={},
        workers=(versions(),),
    )
    return replace(dump, **changes)


@pytest.fixture
def written(tmp_path):
    """Writes a dump and gives its path."""

    def write(dump):
        path = tmp_path / "batch.augdump"
        path.write_bytes(b"".join(encode_dump(dump)))
        return path

    return write


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A dump of an augmenter of the user's own that does `action`."""

    def make(action, **changes):
        (tmp_path / "my_own.py").write_text(MODULE.format(action=textwrap.indent(action, "    ").strip()))
        monkeypatch.syspath_prepend(tmp_path)
        sys.modules.pop("my_own", None)
        import my_own

        path = tmp_path / "batch.augdump"
        path.write_bytes(b"".join(encode_dump(dump_of(my_own.Mine(), **changes))))
        return path

    yield make
    sys.modules.pop("my_own", None)


def typed(*arguments, **environment):
    """A finished `augfarm replay`, run beside the dump as its user does."""
    return subprocess.run(
        [AUGFARM, "replay", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=Path(arguments[0]).parent,
        env={k: v for k, v in os.environ.items() if not k.startswith("AUGFARM_")} | environment,
        check=False,
    )


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """The same without the command line: the exit code, and what went to both outputs."""
    monkeypatch.chdir(tmp_path)

    def run(path, *modules, timeout=None):
        code = replay(str(path), modules, timeout)
        return code, *capfd.readouterr()

    return run


# --- what is said ------------------------------------------------------------------------------------------


def test_the_same_error_again_with_its_whole_traceback(written):
    done = typed(written(dump_of(image=4)))
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "batch 12, its image 4 alone, seeded by Seed(seeding='worker', base_seed=1, index=12, worker_id=3)"
    )
    assert lines[1:3] == ["pipeline:", "  AssertShape(parameters=[])"]
    assert lines[3] == f"then: AssertionError: {SAID}"
    assert lines[4] == "now: it fails by the same error"
    assert lines[5].startswith("Traceback")
    assert "meta.py" in done.stdout
    assert lines[-1] == f"AssertionError: {SAID}"


def test_what_passes_now_exits_with_0(run, written):
    code, out, _ = run(written(dump_of(batch=np.zeros((1, 8, 8, 3), np.uint8))))
    assert (code, out.splitlines()[-1]) == (0, "now: it passes")


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "by the same error"),
        ({"exception_type": "ValueError"}, "by another error"),
        ({"exception_text": "another"}, "by an error of the same type, with another text"),
        ({"kind": "too-large", "exception_text": f"the result cannot travel: {SAID}"}, "by the same error"),
        (POISONED, "by another error"),
    ],
)
def test_another_error_is_told_from_the_same(capsys, changes, verdict):
    failed = {"type": "AssertionError", "text": SAID, "traceback": "Traceback ..."}
    assert _tell({"failed": failed}, 0, dump_of(**changes)) == 1
    assert capsys.readouterr().out == f"now: it fails {verdict}\nTraceback ..."


def test_a_long_text_that_the_worker_cut_is_the_same(capsys):
    failed = {"type": "AssertionError", "text": "x" * 20_000, "traceback": ""}
    _tell({"failed": failed}, 0, dump_of(exception_text="x" * 4000 + "[...]" + "x" * 4000))
    assert "by the same error" in capsys.readouterr().out


def test_differing_versions_are_named():
    now = {"imgaug": "imgaug 0.4.0", "numpy": "2.2.0", "python": "3.11.1"}
    then = (now | {"numpy": "1.2"}, now | {"numpy": "1.3"})
    assert _differences(dump_of(software="augfarm 0.0.1", workers=then), now) == [
        f"augfarm 0.0.1 then, {software()} now",
        "numpy 1.2 or 1.3 then, 2.2.0 now",
    ]
    assert _differences(dump_of(workers=(now | {"imgaug": "imaug 0.4.3"},)), now) == [
        "imaug 0.4.3 then, imgaug 0.4.0 now"
    ]
    assert _differences(dump_of(workers=(now,)), now) == []
    assert _differences(dump_of(workers=()), now) == [], "nobody knows what they were"


# --- what ends its process ---------------------------------------------------------------------------------


def test_a_crash_is_told_with_the_stack(mine):
    done = typed(mine("ctypes.string_at(0)", **POISONED), "--allow-import", "my_own")
    assert done.returncode == 1
    assert "then: it ended 3 worker processes" in done.stdout
    assert done.stdout.splitlines()[-1] == "now: its process was killed by SIGSEGV"
    assert 'my_own.py", line 12 in act' in done.stderr
    assert "at work" in done.stderr, "what an augmenter prints is no word of ours"


@pytest.mark.parametrize(
    ("action", "verdict"),
    [
        ("os.kill(os.getpid(), 9)", "now: its process was killed by SIGKILL; was memory short?"),
        ("os._exit(3)", "now: it ended its process, with code 3"),
        ("os._exit(0)", "now: it ended its process, with code 0"),
        ("sys.exit(0)", "SystemExit: 0"),
    ],
)
def test_what_ends_its_process_is_told(run, mine, action, verdict):
    code, out, _ = run(mine(action, **POISONED), "my_own")
    assert (code, out.splitlines()[-1]) == (1, verdict)


def test_one_that_never_ends_is_stopped_and_shows_where_it_was(run, mine):
    """Also where it holds the GIL, as PyDLL does around a call."""
    code, out, err = run(mine("ctypes.PyDLL(None).sleep(600)"), "my_own", timeout=0.2)
    assert (code, out.splitlines()[-1]) == (1, "now: it has not ended after 0.2 s, and is stopped here:")
    assert 'my_own.py", line 12 in act' in err


def test_threads_that_an_augmenter_leaves_do_not_keep_it(run, mine):
    path = mine("import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()")
    assert run(path, "my_own")[0] == 0


# --- what cannot be run ------------------------------------------------------------------------------------


def refused(path, *arguments, **environment):
    done = typed(path, *arguments, **environment)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("augfarm: ")
    return done.stderr


def test_a_module_that_was_not_allowed_is_named_with_what_to_type(mine):
    path = mine("pass")
    text = refused(path)
    assert "if you trust them" in text
    command = text.rpartition(": ")[2]
    assert shlex.split(command) == ["augfarm", "replay", str(path), "--allow-import", "my_own"]
    assert typed(*shlex.split(command)[2:]).returncode == 0


def test_a_module_that_is_not_here_is_named(run, mine):
    path = mine("pass")
    (path.parent / "my_own.py").unlink()
    with pytest.raises(ValueError, match="No module named 'my_own'"):
        run(path, "my_own")


def test_a_pipeline_of_another_imgaug_is_named(run, written):
    spec = pipelines.encode(PICKY).replace(b'"version":"', b'"version":"9.')
    with pytest.raises(ValueError, match=r"made with 'imgaug 9\."):
        run(written(dump_of(spec)))


def test_without_imgaug_the_line_that_installs_it(written, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['imgaug'] = None\n")
    text = refused(written(dump_of()), PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    assert "pip install --no-deps imgaug==0.4.0" in text


def test_files_that_are_no_dumps_are_one_line(tmp_path, written):
    dump = written(dump_of()).read_bytes()
    broken = tmp_path / "broken.augdump"
    for content, text in (
        (b"", "is no dump"),
        (b"hello", "is no dump"),
        (dump[:-9], "is truncated or damaged"),
    ):
        broken.write_bytes(content)
        with pytest.raises(ValueError, match=f"{broken} {text}"):
            read_dump(broken)
    os.mkfifo(tmp_path / "pipe")
    for path, text in (
        (tmp_path, "is no file"),
        (tmp_path / "pipe", "is no file"),
        ("none", "cannot read none: No"),
    ):
        with pytest.raises(ValueError, match=text):
            read_dump(path)
    text = refused(broken)
    assert text.count("\n") == 1
    assert "is truncated or damaged" in text


def test_a_broken_file_of_an_image_fails_as_on_the_worker(written):
    with pytest.raises(ProtocolError, match=r"^images\[0\]: an image file that cannot be decoded"):
        replay_dump(written(dump_of(iaa.Identity(), [b"\xff\xd8\xff no JPEG"])))


# --- from Python -------------------------------------------------------------------------------------------


def test_from_python_it_raises_what_it_raised_or_gives_the_fields(written):
    with pytest.raises(AssertionError, match="to have value 8, got 9"):
        replay_dump(written(dump_of()))
    batch = {"images": np.zeros((1, 8, 8, 3), np.uint8), "keypoints": [[(1, 2)]]}
    fields = replay_dump(written(dump_of(iaa.Fliplr(1.0), batch)))
    assert fields["images"].shape == (1, 8, 8, 3)
    assert fields["keypoints"] == [[(7, 2)]]


def test_from_python_modules_must_be_allowed_too(mine):
    path = mine("pass")
    with pytest.raises(InvalidPipeline, match="my_own"):
        replay_dump(path)
    assert "images" in replay_dump(path, allow_imports=["my_own"])
