"""Dumps in a folder: whole or not at all, never in place of another, never instead of the batch's error."""

import errno
import os
import resource
import shlex
from contextlib import contextmanager

import numpy as np
import pytest

from augfarm.client import dumping
from augfarm.client.dumping import MAX_DUMPS, Dumper, check_folder, write
from augfarm.client.outcomes import Failure, Outcome, error_of
from augfarm.client.replay import read_dump
from augfarm.protocol.batches import encode, pack
from augfarm.protocol.messages import Fail
from augfarm.protocol.seeds import Seed

SPEC = b'{"augfarm":1,"imgaug":{"distribution":"imgaug","version":"0.4.0"},"pipeline":{"object":"%s"}}'
IMGAUGS = SPEC % b"imgaug.augmenters.flip:Fliplr"
SEED = Seed("worker", 1, 12, 3)
BODY = encode(pack(np.zeros((2, 64, 64, 3), np.uint8), 12).tree, 12, 1 << 30)


def outcome_of(image=None, kind="raised"):
    fail = Fail(0, 0, 3, 1, kind, "ValueError", "too dark", "Traceback ...\nValueError: too dark\n")
    error = error_of(fail, 12, SEED, image)
    return Outcome(12, None, error, failures=(Failure(error, fail, SEED, BODY, image),))


def dumper(folder, spec=IMGAUGS):
    return Dumper(folder, spec, lambda: ({"numpy": "2.2.0"},))


def names(folder):
    return sorted(os.listdir(folder))


def test_the_error_ends_with_the_command_that_runs_the_file_again(tmp_path):
    outcome = outcome_of()
    dumper(tmp_path)(outcome)
    path = tmp_path / "batch-000012.augdump"
    assert outcome.error.dump == str(path)
    assert str(outcome.error).endswith(f"ValueError: too dark\n\nTo run it again here: augfarm replay {path}")
    dump = read_dump(path)
    assert (dump.seed, dump.image, dump.kind, dump.exception_text) == (SEED, None, "raised", "too dark")
    assert dump.workers == ({"numpy": "2.2.0"},)
    assert dump.client["numpy"] == np.__version__


def test_an_image_has_a_name_of_its_own_and_a_poisoned_one_a_command_too(tmp_path):
    outcome = outcome_of(image=5, kind="poisoned")
    dumper(tmp_path)(outcome)
    path = tmp_path / "batch-000012-image-005.augdump"
    assert str(outcome.error).endswith(f"augfarm replay {path}")
    assert read_dump(path).image == 5


def test_the_command_can_be_typed(tmp_path):
    folder = tmp_path / "it's mine"
    folder.mkdir()
    outcome = outcome_of()
    dumper(folder, SPEC % b"my_augs:Mine")(outcome)
    assert shlex.split(outcome.error.replay_command) == [
        "augfarm", "replay", str(folder / "batch-000012.augdump"), "--allow-import", "my_augs",
    ]  # fmt: skip


def test_a_file_that_is_there_stays(tmp_path, monkeypatch):
    for refused in (False, True):
        if refused:  # a file system without hard links
            monkeypatch.setattr(
                os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links"))
            )
        outcomes = [outcome_of(), outcome_of()]
        for outcome in outcomes:
            dumper(tmp_path)(outcome)
    expected = ["batch-000012.2.augdump", "batch-000012.3.augdump", "batch-000012.4.augdump"]
    assert names(tmp_path) == [*expected, "batch-000012.augdump"]
    assert outcomes[1].error.dump.endswith(".4.augdump")
    assert all(read_dump(tmp_path / name).exception_text == "too dark" for name in names(tmp_path))


def test_no_more_than_a_hundred_and_one_warning(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    dump = dumper(tmp_path)
    outcomes = [outcome_of() for _ in range(MAX_DUMPS + 5)]
    for outcome in outcomes:
        dump(outcome)
    assert len(names(tmp_path)) == MAX_DUMPS
    assert [bool(outcome.error.dump) for outcome in outcomes] == [True] * MAX_DUMPS + [False] * 5
    (record,) = caplog.records
    assert "more will not be" in record.getMessage()


@contextmanager
def small_files():
    """Files of this process end after 5,000 bytes, as on a disk that is full then.

    Around the tested call alone, and no fixture: pytest's own report may be going into a file, too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_a_warning_and_leaves_nothing(tmp_path, caplog):
    outcome = outcome_of()
    with small_files():
        dumper(tmp_path)(outcome)
    assert names(tmp_path) == []
    assert outcome.error.dump == outcome.error.replay_command == ""
    assert str(outcome.error).endswith("ValueError: too dark")
    (record,) = caplog.records
    assert "batch 12 could not be dumped: [Errno 27] File too large" in record.getMessage()


def test_a_folder_that_is_gone_is_a_warning(tmp_path, caplog):
    outcome = outcome_of()
    dumper(tmp_path / "gone")(outcome)
    assert "batch 12 could not be dumped: [Errno 2]" in caplog.text
    assert outcome.error.dump == ""


def test_a_defect_of_ours_does_not_hide_the_batchs_error(tmp_path, caplog, monkeypatch):
    def broken(dump):
        raise KeyError("ours")

    monkeypatch.setattr(dumping, "encode_dump", broken)
    dumper(tmp_path)(outcome_of())
    assert "could not be dumped: 'ours'" in caplog.text


def test_what_stops_halfway_leaves_nothing(tmp_path):
    def pieces():
        yield b"half"
        assert names(tmp_path) != []
        assert not any(name.endswith(".augdump") for name in names(tmp_path)), (
            "it has no name before it is whole"
        )
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, "batch", pieces())
    assert names(tmp_path) == []


def test_an_outcome_without_failures_writes_nothing(tmp_path):
    dumper(tmp_path)(Outcome(3, "batch"))
    assert names(tmp_path) == []


def test_a_folder_is_checked(tmp_path, monkeypatch):
    assert check_folder(str(tmp_path)) == tmp_path
    monkeypatch.chdir(tmp_path)
    assert check_folder(".").is_absolute()
    file = tmp_path / "file"
    file.write_text("")
    for bad in (file, tmp_path / "missing"):
        with pytest.raises(ValueError, match=f"expected dump_dir to be a folder, and {bad} is none"):
            check_folder(bad)
    with pytest.raises(ValueError, match="can be written to"):
        check_folder("/proc")
