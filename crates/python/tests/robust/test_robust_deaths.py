"""The mutex and owners that die."""

import errno
import os
import signal

import pytest
from pysync.robust import Mutex, OwnerDied
from robust_common import (
    die_with,
    fork,
    has_sleeper,
    join,
    kill,
    raises,
    reap,
    start,
    until,
)


def test_a_hundred_killed_owners(mutex, buf):
    parts = (slice(256, 264), slice(264, 272))
    ready, write = os.pipe()

    def numbers():
        return [int.from_bytes(buf[part], "little") for part in parts]

    def add(part):
        buf[part] = (int.from_bytes(buf[part], "little") + 1).to_bytes(8, "little")

    def die_in_the_middle():
        mutex.acquire(timeout=60)
        add(parts[0])
        os.write(write, b"!")
        signal.pause()

    deaths = 0

    def go_on():
        nonlocal deaths
        try:
            mutex.acquire(timeout=60)
        except OwnerDied as died:
            deaths += 1
            with died as is_broken:
                assert is_broken
                first, second = numbers()
                assert first == second + 1
                add(parts[1])
                died.make_consistent()
        else:
            mutex.release()

    for i in range(100):
        pid = fork(die_in_the_middle)
        assert os.read(ready, 1) == b"!"
        waiter = None
        if i % 2:
            waiter = start(go_on)
            until(lambda: has_sleeper(buf))
        os.kill(pid, signal.SIGKILL)
        if waiter:
            join(waiter)
        else:
            go_on()
        reap(pid)
    os.close(ready)
    os.close(write)
    assert deaths == 100
    assert numbers() == [100, 100]
    with mutex:
        pass


def test_a_death_is_told_until_it_is_repaired(mutex):
    die_with(mutex)
    for _ in range(3):
        with pytest.raises(OwnerDied) as raised, mutex:
            raise AssertionError("entered")
        assert raised.value.mutex is mutex
        assert raised.value.errno == errno.EOWNERDEAD
        assert "has died" in repr(mutex)
    with raised.value as is_broken:
        assert is_broken
        raised.value.make_consistent()
    # Another that was told has nothing to do.
    with raised.value as is_broken:
        assert not is_broken
        raised.value.make_consistent()
    with mutex:
        pass


def test_data_that_is_not_repaired_is_given_up(mutex, buf):
    die_with(mutex)
    with pytest.raises(ZeroDivisionError), OwnerDied(mutex):
        raise ZeroDivisionError
    for call in (mutex.acquire, mutex.repair):
        with raises(errno.ENOTRECOVERABLE):
            call()
    with raises(errno.ENOTRECOVERABLE):
        Mutex(buf).acquire()
    mutex.initialize()
    with mutex:
        pass


def test_what_is_given_up_can_be_destroyed(mutex, buf):
    die_with(mutex)
    assert mutex.repair()
    mutex.release()
    other = Mutex(buf)
    other.destroy()
    with raises(errno.EINVAL):
        mutex.acquire()


def test_waiters_learn_that_the_data_is_given_up(mutex, buf):
    die_with(mutex)
    assert mutex.repair()

    def wait():
        with raises(errno.ENOTRECOVERABLE):
            mutex.acquire(timeout=None)

    thread = start(wait)
    until(lambda: has_sleeper(buf))
    mutex.release()
    join(thread)


def test_a_repair_may_use_the_mutex(recursive):
    die_with(recursive)
    assert recursive.repair()
    # It has been told, and is not told again.
    with recursive:
        recursive.acquire()
        recursive.release()
    assert recursive.repair()
    recursive.make_consistent()
    recursive.release()
    recursive.release()
    with recursive:
        pass


def test_only_the_owner_makes_it_consistent(mutex):
    with raises(errno.EPERM):
        mutex.make_consistent()
    die_with(mutex)
    with raises(errno.EPERM):
        mutex.make_consistent()


def test_an_owner_that_stands_still_is_not_dead(mutex):
    ready, write = os.pipe()

    def hold():
        mutex.acquire()
        os.write(write, b"!")
        signal.pause()

    pid = fork(hold)
    os.read(ready, 1)
    os.kill(pid, signal.SIGSTOP)
    with raises(errno.ETIMEDOUT):
        mutex.acquire(timeout=0.1)
    kill(pid)
    with pytest.raises(OwnerDied):
        mutex.acquire(timeout=60)
    os.close(ready)
    os.close(write)
