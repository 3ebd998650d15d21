"""The mutex and other processes: pickles, forks, the end of an interpreter."""

import copy
import errno
import gc
import mmap
import multiprocessing
import pickle
import subprocess
import sys
import warnings
from multiprocessing.shared_memory import SharedMemory

import pytest
from pysync.robust import Mutex
from robust_common import (
    WAITERS,
    fork,
    has_sleeper,
    raises,
    succeeds,
    until,
)


def count_up(mutex, name):
    memory = SharedMemory(name=name)
    try:
        for _ in range(200):
            with mutex:
                memory.buf[512] = (memory.buf[512] + 1) % 251
    finally:
        memory.close()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_pickles_attach_in_another_process(method):
    memory = SharedMemory(create=True, size=4096)
    context = multiprocessing.get_context(method)
    try:
        mutex = Mutex.from_shared_memory(memory, 256)
        mutex.initialize()
        assert mutex.shared
        arguments = (mutex, memory.name)
        processes = [context.Process(target=count_up, args=arguments) for _ in range(2)]
        for process in processes:
            process.start()
        count_up(*arguments)
        for process in processes:
            process.join(90)
            assert process.exitcode == 0
        assert memory.buf[512] == 600 % 251
        del mutex, arguments, processes, process
        gc.collect()
        memory.close()
    finally:
        memory.unlink()


def test_what_a_pickle_keeps():
    memory = SharedMemory(create=True, size=4096)
    try:
        plain = Mutex.from_shared_memory(memory, recursive=False)
        plain.initialize()
        for copied in (pickle.loads(pickle.dumps(plain)), copy.copy(plain)):
            again = pickle.loads(pickle.dumps(copied))
            again.acquire()
            with raises(errno.EDEADLK):
                plain.acquire()
            again.release()
            again.destroy()
            again.initialize()
            with again, raises(errno.EDEADLK):
                again.acquire()
    finally:
        memory.unlink()


def test_the_name_has_gone():
    memory = SharedMemory(create=True, size=4096)
    name = memory.name
    data = pickle.dumps(Mutex.from_shared_memory(memory))
    memory.unlink()
    with pytest.raises(FileNotFoundError) as raised:
        pickle.loads(data)
    assert raised.value.filename == name


def test_places_in_shared_memory():
    memory = SharedMemory(create=True, size=4096)
    try:
        for offset in (4, 4096 - 120, 5000, 2**63):
            with pytest.raises(ValueError):
                Mutex.from_shared_memory(memory, offset)
        with pytest.raises(OverflowError):
            Mutex.from_shared_memory(memory, -8)
        Mutex.from_shared_memory(memory, 4096 - 128).initialize()
    finally:
        memory.unlink()
    for other in (memory.buf, b"x", None):
        with pytest.raises(TypeError, match="SharedMemory"):
            Mutex.from_shared_memory(other)


@pytest.mark.parametrize("make", [Mutex, lambda: Mutex(bytearray(128))])
def test_memory_without_a_name_is_not_pickled(make):
    with pytest.raises(TypeError, match="from_shared_memory"):
        pickle.dumps(make())


def test_a_child_is_not_the_owner(recursive):
    recursive.acquire()
    recursive.acquire()

    def child():
        with raises(errno.EPERM):
            recursive.release()
        with raises(errno.EPERM):
            recursive.make_consistent()
        with raises(errno.EBUSY):
            recursive.acquire(timeout=0)
        with raises(errno.ETIMEDOUT):
            recursive.acquire(timeout=0.01)

    succeeds(fork(child))
    recursive.release()
    recursive.release()
    succeeds(fork(lambda: recursive.acquire(timeout=0) or recursive.release()))


def test_a_child_waits_for_its_parent(mutex, buf):
    mutex.acquire()

    def child():
        mutex.acquire(timeout=None)
        mutex.release()

    pid = fork(child)
    until(lambda: has_sleeper(buf))
    mutex.release()
    succeeds(pid)


def test_a_child_drops_what_its_parent_holds():
    memory = mmap.mmap(-1, 4096)
    mutex = Mutex(memory)
    mutex.initialize()
    mutex.acquire()

    def child():
        nonlocal mutex
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mutex = None
            gc.collect()
        memory.close()

    succeeds(fork(child))
    mutex.release()


@pytest.mark.parametrize("timeout", ["None", "60"])
def test_shutdown_with_a_blocked_thread(timeout):
    program = f"""
import mmap, os, threading
from pysync.robust import Mutex
memory = mmap.mmap(-1, 4096)
mutex = Mutex(memory)
mutex.initialize()
mutex.acquire()
for _ in range(4):
    threading.Thread(target=mutex.acquire, kwargs={{"timeout": {timeout}}}, daemon=True).start()
while not int.from_bytes(memory[40:44], "little") & {WAITERS}:
    os.sched_yield()
print("over")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, timeout=60, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "over\n"), done
    assert "panic" not in done.stderr, done
