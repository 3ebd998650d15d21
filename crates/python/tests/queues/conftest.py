"""Fixtures of the tests of the queues."""

import faulthandler
import os

import pytest
from pysync.boc import set_tags


@pytest.fixture(autouse=True)
def watchdog(capfd):
    """Ends the process, with the stacks of all threads where they are seen, if a test hangs."""
    with capfd.disabled():
        stderr = os.dup(2)
    faulthandler.dump_traceback_later(240, exit=True, file=stderr)
    yield
    faulthandler.cancel_dump_traceback_later()
    os.close(stderr)


@pytest.fixture(autouse=True)
def empty_queues(watchdog):
    """Gives each test queues that none has used."""
    set_tags([])
    yield
    set_tags([])
