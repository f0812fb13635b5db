"""The report: its keys, and that it fits its frame whatever the farm's size."""

import json

from augfarm.broker.status import MOST_LISTED
from augfarm.protocol import limits
from augfarm.protocol import messages as m


def test_what_a_report_says(rig):
    client, worker = rig.client(), rig.worker()
    for request in range(4):
        client.submit(request)
    worker.answer(worker.tickets[0], 500, credit=0)
    rig.pass_time(5)
    status = rig.core.status(rig.now)
    assert status == {
        "version": "broker",
        "protocol": 1,
        "uptime": 5.0,
        "queued": 2,
        "clients": [
            {
                "session": 0,
                "software": "client",
                "seconds": 5.0,
                "calls": 1,
                "queued": 2,
                "leased": 1,
                "delivered": 1,
                "window": {"batches": limits.MAX_OPEN_BATCHES, "octets": 10_000},
            }
        ],
        "clients_total": 1,
        "clients_unlisted": 0,
        "workers": [
            {
                "id": 0,
                "software": "worker",
                "seconds": 5.0,
                "leases": 1,
                "credit": 0,
                "done": 1,
                "route": "relay",
                "environment": {"python": "3.11", "pid": "1"},
            }
        ],
        "workers_total": 1,
        "workers_unlisted": 0,
        "totals": {
            "done": 1,
            "failed": 0,
            "poisoned": 0,
            "retried": 0,
            "hedged": 0,
            "late": 0,
            "strays": 0,
            "garbage": 0,
        },
        "memory": {"held": 800 + len(rig.SPEC), "budget": 10_000},
    }
    json.dumps(status)


def test_a_report_of_many_loud_peers_fits_its_frame(rig):
    for number in range(MOST_LISTED + 20):
        rig.worker(token=b"%016d" % number, environment={"text": "\N{GRINNING FACE}" * 4000})
        stranger = rig.stranger("client")
        stranger.say(m.Hello(limits.PROTOCOL_VERSION, b"%016d" % number, "\N{GRINNING FACE}" * 256))
    asker = rig.stranger("client")
    asker.say(m.Status())
    status = asker.last(m.Report).status
    assert len(m.encode(m.Report(status))) <= limits.MAX_COMMAND_BYTES
    assert (len(status["workers"]), status["workers_total"]) == (MOST_LISTED, MOST_LISTED + 20)
    assert (len(status["clients"]), status["clients_unlisted"]) == (MOST_LISTED, 20)
