"""Objects know the process that made them."""

import os

import pytest

from augfarm.client.forks import Maker
from augfarm.protocol.errors import ClosedError


def test_a_maker_is_here_and_not_in_a_child():
    maker = Maker()
    assert maker.is_here()
    maker.check()
    pid = os.fork()
    if pid == 0:
        try:
            maker.check()
        except ClosedError as error:
            os._exit(0 if not maker.is_here() and "forked child" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_the_error_names_both_processes():
    maker = Maker()
    maker._pid = 1
    with pytest.raises(ClosedError, match=rf"process 1 .* {os.getpid()}"):
        maker.check()
