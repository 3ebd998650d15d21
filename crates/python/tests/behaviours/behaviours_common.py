"""What the tests of behaviors share."""

import contextlib
import gc
import signal
import subprocess
import sys
import threading

#: No wait of a test is to last that long.
LONG = 30.0


def run_python(program, *args, timeout=6 * LONG):
    """Run a program in another Python. Returns its exit code, its output and its errors."""
    done = subprocess.run(
        [sys.executable, *args, "-c", program],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def in_thread(function):
    """Call a function in another thread. Returns its result, or raises its exception."""
    result = []

    def target():
        try:
            result.append((True, function()))
        except BaseException as error:  # noqa: BLE001  # the caller raises it
            result.append((False, error))

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(LONG)
    assert result, "the thread does not end"
    is_result, value = result[0]
    if is_result:
        return value
    raise value


@contextlib.contextmanager
def held_elsewhere(cown):
    """Have another thread hold a cown. It lives meanwhile: a dead one's ident is used again."""
    began, end = threading.Event(), threading.Event()

    def hold():
        with cown:
            began.set()
            end.wait(LONG)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert began.wait(LONG)
        yield
    finally:
        end.set()
        thread.join(LONG)


class Alarm(KeyboardInterrupt):
    """What the handler of an alarm raises."""


def raise_alarm():
    """Raise what ends a wait."""
    raise Alarm


@contextlib.contextmanager
def alarm(handler, interval=0.0):
    """Have a signal call a handler, once, some time after the block has begun.

    With an interval it is sent again until the handler has run: one that comes right before a
    thread sleeps does not wake it.
    """

    def run(*_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        handler()

    before = signal.signal(signal.SIGALRM, run)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, interval)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def collect():
    """Collect all garbage, also what other threads have left to its owner."""
    for _ in range(3):
        gc.collect()
