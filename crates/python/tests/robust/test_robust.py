"""The mutex between processes: `pysync.robust`."""

import errno
import gc
import math
import mmap
import os
import pickle
import sys
import threading
import time
import warnings
import weakref
from decimal import Decimal
from fractions import Fraction
from multiprocessing.shared_memory import SharedMemory

import pytest
from pysync.robust import Mutex, SyncError
from robust_common import (
    DEPTH,
    fork,
    has_sleeper,
    join,
    raises,
    run,
    start,
    succeeds,
    until,
)

# The tests of runtime.sync, by their names.


def test_try_acquire_release(mutex):
    for _ in range(100):
        assert mutex.acquire(timeout=0) is None
        assert mutex.release() is None


def test_double_acquire(mutex):
    mutex.acquire()
    for timeout in (0, 0.01, None):
        with raises(errno.EDEADLK):
            mutex.acquire(timeout=timeout)
    mutex.release()


def test_double_release(mutex):
    mutex.acquire()
    mutex.release()
    with raises(errno.EPERM):
        mutex.release()


def test_timeout(mutex):
    mutex.acquire()

    def wait():
        began = time.monotonic()
        with raises(errno.ETIMEDOUT):
            mutex.acquire(timeout=0.5)
        assert 0.5 <= time.monotonic() - began < 10

    run(wait)
    mutex.release()


def test_try_acquire_fail(mutex):
    mutex.acquire()

    def attempt():
        with raises(errno.EBUSY):
            mutex.acquire(timeout=0)

    run(attempt)
    succeeds(fork(attempt))
    mutex.release()


def test_nonowner_release(mutex):
    mutex.acquire()

    def release():
        with raises(errno.EPERM):
            mutex.release()

    run(release)
    succeeds(fork(release))
    mutex.release()
    mutex.acquire(timeout=0)
    mutex.release()


def test_contention(mutex, buf):
    count = slice(256, 264)

    def work():
        for _ in range(50):
            mutex.acquire(timeout=None)
            seen = int.from_bytes(buf[count], "little")
            os.sched_yield()
            buf[count] = (seen + 1).to_bytes(8, "little")
            mutex.release()

    for pid in [fork(work) for _ in range(4)]:
        succeeds(pid)
    assert int.from_bytes(buf[count], "little") == 200


# What a mutex is.


def test_size_and_alignment():
    assert Mutex.SIZE == 128
    assert Mutex.ALIGN == 8
    for size in (0, 1, 127):
        with pytest.raises(ValueError, match=f"{size} bytes"):
            Mutex(bytearray(size))
    memory = memoryview(mmap.mmap(-1, 256))
    for offset in range(1, 8):
        with pytest.raises(ValueError, match="aligned"):
            Mutex(memory[offset:])
    Mutex(memory[8:]).initialize()


@pytest.mark.parametrize("buf", [bytes(128), memoryview(bytes(128))])
def test_read_only_buffers_are_refused(buf):
    with pytest.raises(BufferError):
        Mutex(buf)


@pytest.mark.parametrize("buf", [7, "x" * 128, [0] * 128, object()])
def test_what_is_no_buffer_is_refused(buf):
    with pytest.raises(TypeError, match="bytes-like"):
        Mutex(buf)


def test_arguments():
    with pytest.raises(TypeError):
        Mutex(buf=None)
    with pytest.raises(TypeError):
        Mutex(None, True)
    with pytest.raises(TypeError):
        Mutex(recursive=1)
    mutex = Mutex(None, shared=False, recursive=False)
    mutex.initialize()
    with pytest.raises(TypeError):
        mutex.acquire(1)


def test_what_follows_the_mutex_is_left_alone():
    memory = mmap.mmap(-1, 512)
    memory[:] = b"\xa5" * 512
    mutex = Mutex(memoryview(memory)[128:300])
    mutex.initialize()
    with mutex:
        pass
    mutex.destroy()
    assert memory[:128] == b"\xa5" * 128
    assert memory[256:] == b"\xa5" * 256


def test_without_a_buffer():
    mutex = Mutex()
    assert not mutex.shared
    with raises(errno.EINVAL):
        mutex.acquire()
    mutex.initialize()
    with mutex as entered:
        assert entered is mutex
        assert "held by thread" in repr(mutex)
    assert "free" in repr(mutex)


def test_life(buf):
    mutex = Mutex(buf)
    for call in (mutex.acquire, mutex.release, mutex.destroy, mutex.make_consistent):
        with raises(errno.EINVAL):
            call()
    mutex.initialize()
    with raises(errno.EBUSY):
        mutex.initialize()
    mutex.acquire()
    for call in (mutex.initialize, mutex.destroy):
        with raises(errno.EBUSY):
            call()
    mutex.release()
    mutex.destroy()
    assert "destroyed" in repr(mutex)
    for call in (mutex.acquire, mutex.release, mutex.destroy):
        with raises(errno.EINVAL):
            call()
    mutex.initialize()
    with mutex:
        pass


def test_garbage_is_no_mutex(buf):
    buf[:128] = bytes(range(128))
    with raises(errno.EINVAL):
        Mutex(buf).acquire()


def test_one_of_many_initializes(buf):
    def initialize(mutex, barrier, won):
        barrier.wait(60)
        try:
            mutex.initialize()
            won.append(1)
        except SyncError as error:
            assert error.errno == errno.EBUSY

    for _ in range(20):
        buf[:128] = bytes(128)
        won = []
        common = (Mutex(buf), threading.Barrier(4), won)
        threads = [start(initialize, *common) for _ in range(4)]
        for thread in threads:
            join(thread)
        assert won == [1]


# Recursion.


def test_recursion(recursive):
    for _ in range(20):
        recursive.acquire()

    def attempt():
        with raises(errno.EBUSY):
            recursive.acquire(timeout=0)
        with raises(errno.EPERM):
            recursive.release()

    for _ in range(19):
        recursive.release()
        run(attempt)
    recursive.release()
    run(lambda: recursive.acquire(timeout=0) or recursive.release())
    with raises(errno.EPERM):
        recursive.release()


def test_recursion_overflows(recursive, buf):
    recursive.acquire()
    buf[DEPTH] = (2**32 - 1).to_bytes(4, sys.byteorder)
    with raises(errno.EAGAIN):
        recursive.acquire()
    buf[DEPTH] = bytes(4)
    recursive.release()


def test_the_initializer_decides_about_recursion(recursive, buf):
    other = Mutex(buf, recursive=False)
    with other, other:
        pass


# Timeouts.


@pytest.mark.parametrize("timeout", [math.nan, -1, -0.001, -math.inf, Decimal(-1), Fraction(-1, 9)])
def test_bad_timeouts(mutex, timeout):
    with pytest.raises(ValueError, match="non-negative"):
        mutex.acquire(timeout=timeout)


@pytest.mark.parametrize("timeout", [math.inf, 1e10, 10**400, threading.TIMEOUT_MAX * 2])
def test_timeouts_that_are_too_large(mutex, timeout):
    with pytest.raises(OverflowError):
        mutex.acquire(timeout=timeout)


@pytest.mark.parametrize("timeout", ["1", b"1", [1], (), object(), 1j])
def test_timeouts_that_are_no_numbers(mutex, timeout):
    with pytest.raises(TypeError, match="timeout"):
        mutex.acquire(timeout=timeout)


@pytest.mark.parametrize(
    "timeout",
    [None, 0, -0.0, 1, 0.5, True, False, Decimal("0.5"), Fraction(1, 2), threading.TIMEOUT_MAX],
)
def test_good_timeouts(mutex, timeout):
    mutex.acquire(timeout=timeout)
    mutex.release()


@pytest.mark.parametrize(
    ("timeout", "number"),
    [
        (0, errno.EBUSY),
        (-0.0, errno.EBUSY),
        (False, errno.EBUSY),
        (1e-12, errno.ETIMEDOUT),
        (0.02, errno.ETIMEDOUT),
    ],
)
def test_how_short_waits_end(mutex, timeout, number):
    mutex.acquire()

    def wait():
        with raises(number):
            mutex.acquire(timeout=timeout)

    run(wait)
    mutex.release()


# Threads.


def test_a_waiter_leaves_the_interpreter_to_others(mutex, buf):
    order = []
    mutex.acquire()

    def wait():
        mutex.acquire(timeout=None)
        order.append("waiter")
        mutex.release()

    thread = start(wait)
    until(lambda: has_sleeper(buf))
    order.append("holder")
    mutex.release()
    join(thread)
    assert order == ["holder", "waiter"]


def test_threads_of_one_process_contend(mutex):
    count = 0

    def work():
        nonlocal count
        for i in range(500):
            mutex.acquire(timeout=None)
            seen = count
            if i % 16 == 0:
                os.sched_yield()
            count = seen + 1
            mutex.release()

    threads = [start(work) for _ in range(2)]
    for thread in threads:
        join(thread)
    assert count == 1000


def test_threads_make_and_drop_objects(mutex, buf):
    def work():
        for _ in range(200):
            mine = Mutex(buf)
            mine.acquire(timeout=None)
            mine.release()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threads = [start(work) for _ in range(4)]
        for thread in threads:
            join(thread)


# The rest.


def test_errors():
    error = SyncError("refused", errno.EBUSY, mutex="m")
    assert isinstance(error, OSError)
    assert error.errno == errno.EBUSY
    assert error.context == {"errno": errno.EBUSY, "mutex": "m"}
    assert str(error) == "[Errno 16] refused"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is SyncError
    assert (again.errno, again.strerror) == (error.errno, error.strerror)
    assert again.context == error.context


def test_references():
    mutex = Mutex()
    there = weakref.ref(mutex)
    assert there() is mutex
    del mutex
    assert there() is None
    memory = SharedMemory(create=True, size=4096)
    memory.unlink()
    memory.mutex = Mutex.from_shared_memory(memory)
    there = weakref.ref(memory.mutex)
    assert memory in gc.get_referents(memory.mutex)
    del memory.mutex
    assert there() is None


@pytest.mark.skipif(not hasattr(sys, "_is_gil_enabled"), reason="always has a GIL")
def test_no_gil_is_switched_on():
    import sysconfig

    assert sys._is_gil_enabled() == (not sysconfig.get_config_var("Py_GIL_DISABLED"))
