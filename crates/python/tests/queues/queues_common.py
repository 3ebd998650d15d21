"""What the tests of the queues share."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

from pysync._pysync import queue_stats

TAGS = 16
CAPACITY = 16_384
LONG = 3600.0
"""No wait of a test lasts so long: the watchdog ends it."""


class Value:
    """An object of its own, which can be referred to weakly."""


def stats_of(tag):
    """Says what is known of a queue; nothing if it has not been used."""
    return next((queue for queue in queue_stats() if queue["tag"] == tag), {})


def wait_until(condition):
    """Looks until something is so."""
    while not condition():
        # One that only gives way gets the processor last of all, if the machine is busy.
        time.sleep(0.001)


def wait_for_receivers(tag, count=1):
    """Waits until so many threads sleep in `receive` with this tag."""
    wait_until(lambda: stats_of(tag).get("parked_receivers") == count)


def start(target, *args):
    """Starts a thread, whose result `join` returns, or raises."""
    thread = Thread(target, args)
    thread.start()
    return thread


class Thread(threading.Thread):
    """A thread that does not lose what its function returns or raises."""

    def __init__(self, function, arguments):
        super().__init__(daemon=True)
        self.function, self.arguments = function, arguments
        self.result = self.error = None

    def run(self):
        """Calls the function."""
        try:
            self.result = self.function(*self.arguments)
        except BaseException as error:  # noqa: BLE001  # join raises it
            self.error = error

    def join(self, timeout=None):
        """Waits for the end, and passes it on."""
        super().join(timeout)
        if self.error is not None:
            raise self.error
        return self.result


def run(script, *, timeout=180, python=sys.executable, **options):
    """Runs a script in an interpreter of its own, which must succeed and complain of nothing."""
    done = subprocess.run(
        [python, "-X", "faulthandler", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **options,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def fork():
    """Forks, though there are other threads. The child has two minutes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        signal.alarm(120)
    return pid


def succeeds(pid):
    """Waits for a child, which must exit with 0."""
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
