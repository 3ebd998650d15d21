"""What the tests of the mutex share."""

import errno
import os
import signal
import sys
import threading
import traceback
import warnings

from pysync.robust import SyncError

# The word of the mutex, and what is in it while threads sleep on it. A test reads it to know that.
WORD = slice(40, 44)
WAITERS = 0x80000000
DEPTH = slice(12, 16)


# The children that are not waited for yet.
CHILDREN = set()


def raises(number):
    """Expects a `SyncError` with this number."""

    class Raises:
        def __enter__(self):
            return self

        def __exit__(self, exc_type, error, _traceback):
            assert error is not None, f"no SyncError {errno.errorcode[number]}"
            if not isinstance(error, SyncError):
                return False
            assert errno.errorcode[error.errno] == errno.errorcode[number], error
            assert error.context == {"errno": number}
            return True

    return Raises()


def fork(body):
    """Runs `body` in a child, which exits with 0 if it returns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        CHILDREN.add(pid)
        return pid
    try:
        # Its watchdog: the parent's is a thread, which it has not.
        signal.alarm(100)
        body()
        os._exit(0)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        os._exit(1)


def reap(pid):
    CHILDREN.discard(pid)
    return os.waitpid(pid, 0)[1]


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    reap(pid)


def succeeds(pid):
    status = reap(pid)
    assert status == 0, f"the child has ended with {status:#x}"


def run(body):
    """Runs `body` in a thread, and passes on what it raises."""
    thread = start(body)
    join(thread)


def start(body, *arguments):
    def main():
        try:
            body(*arguments)
        except BaseException as error:  # noqa: BLE001
            thread.error = error

    thread = threading.Thread(target=main)
    thread.error = None
    thread.start()
    return thread


def join(thread):
    thread.join(60)
    assert not thread.is_alive()
    if thread.error:
        raise thread.error


def until(condition):
    while not condition():
        os.sched_yield()


def has_sleeper(buf):
    return bool(int.from_bytes(buf[WORD], sys.byteorder) & WAITERS)


def die_with(mutex):
    """A thread that ends while it holds the mutex."""
    run(lambda: mutex.acquire(timeout=60))
