"""The mutex and the buffer that it is in."""

import errno
import gc
import mmap
import pickle
import threading
import warnings
from multiprocessing.shared_memory import SharedMemory

import pytest
from pysync.robust import Mutex
from robust_common import die_with, join, raises, start, until


def test_a_bytearray_keeps_its_size():
    memory = bytearray(256)
    mutex = Mutex(memory)
    mutex.initialize()
    with mutex, pytest.raises(BufferError):
        memory.append(1)
    for change in (memory.clear, lambda: memory.extend(b"x"), lambda: memory.__delitem__(0)):
        with pytest.raises(BufferError):
            change()
    del mutex
    memory.append(1)


def test_a_mapping_stays_open():
    memory = mmap.mmap(-1, 4096)
    mutex = Mutex(memory)
    mutex.initialize()
    with mutex:
        with pytest.raises(BufferError):
            memory.close()
        with pytest.raises(BufferError):
            memory.resize(8192)
    del mutex
    memory.close()


def test_shared_memory_stays_open():
    memory = SharedMemory(create=True, size=4096)
    try:
        mutex = Mutex(memory.buf)
        mutex.initialize()
        with mutex, pytest.raises(BufferError):
            memory.close()
        with pytest.raises(BufferError):
            memory.close()
        del mutex
        memory.close()
    finally:
        memory.unlink()


def test_a_slice_may_be_released(buf):
    part = memoryview(buf)[64:256]
    mutex = Mutex(part[64:])
    mutex.initialize()
    with pytest.raises(BufferError):
        buf.close()
    with mutex:
        pass


def test_an_object_that_is_dropped_while_it_is_held():
    memory = bytearray(256)
    mutex = Mutex(memory, recursive=False)
    mutex.initialize()
    mutex.acquire()
    with pytest.warns(ResourceWarning, match="while a thread of this process holds it"):
        del mutex
    with pytest.raises(BufferError):
        memory.append(1)
    # The owner still holds it.
    again = Mutex(memory)
    with raises(errno.EDEADLK):
        again.acquire()


def test_an_object_that_is_dropped_while_another_thread_holds_it():
    memory = bytearray(256)
    mutex = Mutex(memory)
    mutex.initialize()
    held, over = threading.Event(), threading.Event()
    box = [mutex]

    def hold():
        box[0].acquire()
        held.set()
        assert over.wait(60)

    thread = start(hold)
    assert held.wait(60)
    del mutex
    with pytest.warns(ResourceWarning):
        box.clear()
    over.set()
    join(thread)
    with pytest.raises(BufferError):
        memory.append(1)


def test_the_warning_leaves_an_exception_alone():
    memory = bytearray(256)

    def fail():
        mutex = Mutex(memory)
        mutex.initialize()
        mutex.acquire()
        raise ZeroDivisionError

    def swallow():
        try:
            fail()
        except ZeroDivisionError as error:
            error.__traceback__ = None
        gc.collect()

    with pytest.warns(ResourceWarning):
        swallow()


def test_what_was_released_is_dropped_in_silence():
    memory = bytearray(256)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mutex = Mutex(memory)
        mutex.initialize()
        with mutex, mutex:
            pass
        other = Mutex(memory)
        other.acquire()
        # It is not this one that holds the mutex.
        del mutex
        other.release()
        del other
    memory.append(1)


def test_an_owner_that_has_died_needs_no_memory():
    memory = bytearray(256)
    mutex = Mutex(memory)
    mutex.initialize()
    die_with(mutex)
    until(lambda mutex=mutex: "has died" in repr(mutex))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del mutex
    memory.append(1)


def test_what_is_acquired_through_one_object_is_released_through_it(recursive, buf):
    other = Mutex(buf)
    recursive.acquire()
    with raises(errno.EPERM):
        other.release()
    other.acquire()
    other.release()
    with raises(errno.EPERM):
        other.release()
    recursive.release()


def test_two_mappings_of_one_memory():
    memory = SharedMemory(create=True, size=4096)
    try:
        first = Mutex.from_shared_memory(memory)
        first.initialize()
        second = pickle.loads(pickle.dumps(first))
        # The outer one is released last, and its mapping stays until then.
        first.acquire()
        second.acquire()
        first.release()
        with pytest.warns(ResourceWarning):
            del first
        del second
        third = Mutex(memory.buf)
        assert "held by thread" in repr(third)
        del third
    finally:
        memory.unlink()
