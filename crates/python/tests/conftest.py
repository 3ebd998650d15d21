"""What is done around the tests of each file."""

import gc
import sys

import pytest
from pysync import _pysync, boc
from pysync.robust import Mutex

KINDS = (boc.Cown, boc.PinnedCown, Mutex)

#: The free-threaded 3.13 keeps each function and class for ever that is made once there is a
#: thread, and with it what a function closes over.
KEEPS_FUNCTIONS = sys.version_info < (3, 14) and not getattr(sys, "_is_gil_enabled", lambda: True)()


def alive():
    """Lists the package's own objects that are there once all garbage is collected."""
    for _ in range(4):
        gc.collect()
    return [it for it in gc.get_objects() if type(it) in KINDS]


@pytest.fixture(scope="module", autouse=True)
def leaks(request):
    """Expects that the tests of a file leave no cown, mutex, behavior or message."""
    before = {id(it) for it in alive()}
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed == failed:
        # A test that has failed is kept, with all that its functions have. Of the last test its fixtures are.
        tests = [test for test in request.session.items if getattr(test, "funcargs", None)]
        kept = {id(it) for test in tests for it in test.funcargs.values()}
        left = [it for it in alive() if id(it) not in before | kept]
        assert KEEPS_FUNCTIONS or [repr(it) for it in left] == []
        assert _pysync.pending() == 0
        assert sum(queue["length"] for queue in _pysync.queue_stats()) == 0
