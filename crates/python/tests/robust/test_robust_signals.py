"""Signals to a thread that waits for the mutex."""

import os
import signal
import threading

import pytest
from pysync.robust import OwnerDied
from robust_common import fork, has_sleeper, join, kill, start, succeeds, until


class Stop(Exception):
    pass


@pytest.fixture
def stopping():
    def stop(*_):
        raise Stop

    old = signal.signal(signal.SIGUSR1, stop)
    yield
    signal.signal(signal.SIGUSR1, old)


@pytest.mark.parametrize("timeout", [None, 60])
def test_a_signal_ends_a_wait(mutex, buf, stopping, timeout):
    pid = fork(lambda: mutex.acquire() or signal.pause())
    until(lambda: "held" in repr(mutex))

    def interrupt():
        until(lambda: has_sleeper(buf))
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = start(interrupt)
    with pytest.raises(Stop):
        mutex.acquire(timeout=timeout)
    join(thread)
    kill(pid)
    # The waiter that has gone has left nothing behind.
    with pytest.raises(OwnerDied):
        mutex.acquire(timeout=60)


def test_control_c(mutex, buf):
    pid = fork(lambda: mutex.acquire() or signal.pause())
    until(lambda: "held" in repr(mutex))

    def interrupt():
        until(lambda: has_sleeper(buf))
        os.kill(os.getpid(), signal.SIGINT)

    thread = start(interrupt)
    with pytest.raises(KeyboardInterrupt), mutex:
        raise AssertionError("entered")
    join(thread)
    kill(pid)


def test_a_signal_that_another_thread_gets(mutex, buf, stopping):
    pid = fork(lambda: mutex.acquire() or signal.pause())
    until(lambda: "held" in repr(mutex))
    over = threading.Event()
    other = start(lambda: over.wait(60))

    def interrupt():
        until(lambda: has_sleeper(buf))
        signal.pthread_kill(other.ident, signal.SIGUSR1)

    thread = start(interrupt)
    with pytest.raises(Stop):
        mutex.acquire(timeout=None)
    over.set()
    join(thread)
    join(other)
    kill(pid)


def test_a_handler_that_returns_does_not_end_the_wait(mutex, buf):
    handled = 0

    def count(*_):
        nonlocal handled
        handled += 1

    old = signal.signal(signal.SIGUSR1, count)
    ready, write = os.pipe()

    def hold():
        mutex.acquire()
        os.write(write, b"!")
        os.read(go, 1)
        mutex.release()

    go, let = os.pipe()
    pid = fork(hold)
    os.read(ready, 1)

    def interrupt():
        for i in range(1, 21):
            until(lambda: has_sleeper(buf))
            os.kill(os.getpid(), signal.SIGUSR1)
            until(lambda i=i: handled >= i)
        os.write(let, b"!")

    thread = start(interrupt)
    mutex.acquire(timeout=None)
    mutex.release()
    join(thread)
    signal.signal(signal.SIGUSR1, old)
    succeeds(pid)
    assert handled >= 20
    for end in (ready, write, go, let):
        os.close(end)
