"""How many processes a number asks for, as in imgaug."""

import pytest

from augfarm.protocol import processes


@pytest.mark.parametrize(
    ("cores", "asked", "expected"),
    [(1, -1, 1), (3, -1, 2), (4, -2, 2), (4, -100, 1), (4, None, 4), (4, 7, 7), (None, None, 1)],
)
def test_processes_mean_what_they_do_in_imgaug(monkeypatch, cores, asked, expected):
    monkeypatch.setattr(processes.os, "cpu_count", lambda: cores)
    assert processes.resolve_processes(asked) == expected


@pytest.mark.parametrize("asked", [0, 1.5, True, "2"])
def test_other_values_are_refused(asked):
    with pytest.raises(ValueError, match="processes"):
        processes.resolve_processes(asked)
