"""What is done around each test of behaviors."""

import faulthandler
import os

import pytest
from behaviours_common import LONG
from pysync import boc


@pytest.fixture(autouse=True)
def runtime(request):
    """End the test run with all stacks if a test hangs, and stop the runtime after each."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        stderr = os.dup(2)
    faulthandler.dump_traceback_later(8 * LONG, exit=True, file=stderr)
    boc.wait(LONG)
    yield
    boc.set_pump_watchdog(None)
    boc.strict(False)
    boc.wait(LONG)
    faulthandler.cancel_dump_traceback_later()
    os.close(stderr)
