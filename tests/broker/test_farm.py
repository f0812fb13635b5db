"""What clients are told about the farm."""

import pytest

from augfarm.broker.farm import Census
from augfarm.broker.jobs import Worker
from augfarm.protocol import limits
from augfarm.protocol import messages as m


def worker(credit=2, **environment):
    return Worker(0, ("", b""), b"", "", environment, 0.0, credit, credit)


def test_an_empty_farm():
    assert Census().farm() == m.Farm(0, 0, 4, ())


def test_workers_come_and_go():
    census = Census()
    workers = [worker(numpy="1", pid=str(n), host="a") for n in range(3)] + [worker(credit=5, numpy="2")]
    for each in workers:
        census.add(each)
    assert census.farm() == m.Farm(4, 11, 26, ({"numpy": "1"}, {"numpy": "2"}))
    census.remove(workers[-1])
    census.remove(workers[0])
    assert census.farm() == m.Farm(2, 4, 12, ({"numpy": "1"},))


@pytest.mark.parametrize("length", [1, 4000])
def test_whatever_workers_say_the_command_fits_its_frame(length):
    census = Census()
    for number in range(200):
        census.add(worker(credit=64, text="\N{GRINNING FACE}" * length, number=str(number)))
    farm = census.farm()
    frame = m.encode(farm)
    assert m.decode(frame, m.TO_CLIENT) == farm
    assert farm.advice == limits.ADVICE_MAX_BATCHES
    assert 1 <= len(farm.environments) <= 16
