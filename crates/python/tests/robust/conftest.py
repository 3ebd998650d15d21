"""Fixtures of the tests of the mutex."""

import faulthandler
import gc
import mmap

import pytest
from pysync.robust import Mutex
from robust_common import CHILDREN, kill


@pytest.fixture(autouse=True)
def watchdog():
    faulthandler.dump_traceback_later(120, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
    for pid in list(CHILDREN):
        kill(pid)


@pytest.fixture
def buf():
    """Memory that the children of a fork share."""
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    yield memory
    gc.collect()
    try:
        memory.close()
    except BufferError:
        pass  # A test has left it exported on purpose.


@pytest.fixture
def mutex(buf):
    mutex = Mutex(buf, recursive=False)
    mutex.initialize()
    return mutex


@pytest.fixture
def recursive(buf):
    mutex = Mutex(buf)
    mutex.initialize()
    return mutex
