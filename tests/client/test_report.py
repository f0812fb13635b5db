"""`augfarm status` for people."""

from augfarm.client import report

STATUS = {
    "version": "0.1.0",
    "uptime": 12.3,
    "totals": {"done": 7, "failed": 0},
    "memory": {"held": 2**20, "budget": 2**31},
    "workers": [
        {
            "id": 0,
            "leases": 2,
            "credit": 0,
            "done": 7,
            "route": "relay",
            "seconds": 3.0,
            "environment": {"host": "anvil", "pid": "42", "imgaug": "imgaug 0.4.0", "numpy": "2.2.0"},
        }
    ],
    "clients": [],
}


def test_it_names_workers_batches_memory_and_versions(capsys):
    report.show(STATUS, "tcp://b:5555")
    text = capsys.readouterr().out
    for word in ("tcp://b:5555", "7 done", "1.0 of 2048 MiB", "anvil", "42", "relay"):
        assert word in text
    assert "imgaug 0.4.0, numpy 2.2.0" in text
    assert "no clients" in text


def test_a_report_that_lacks_an_environment_is_still_shown(capsys):
    workers = [STATUS["workers"][0] | {"environment": {}}]
    report.show(STATUS | {"workers": workers}, "tcp://b:5555")
    assert "relay" in capsys.readouterr().out
