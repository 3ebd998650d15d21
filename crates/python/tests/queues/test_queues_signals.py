"""Signals that come while a thread waits at one of `pysync.boc`'s queues."""

import os
import signal
import threading
import time

import pytest
from pysync._pysync import queue_stats
from pysync.boc import TIMEOUT, receive, send, set_tags
from queues_common import (
    CAPACITY,
    LONG,
    fork,
    run,
    start,
    stats_of,
    succeeds,
    wait_for_receivers,
    wait_until,
)


class Stop(Exception):
    """What a signal handler raises."""


@pytest.fixture
def handle():
    """Sets a handler of SIGUSR1 for the test."""
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR1, before)


def interrupt(is_waiting, is_handled):
    """Sends signals from another thread once the main thread waits, until one is handled.

    One that comes after the last look of a thread that goes to sleep, and before it sleeps, does not
    wake it: as with all locks of Python.
    """

    def insist():
        wait_until(is_waiting)
        while not is_handled.wait(0.01):
            os.kill(os.getpid(), signal.SIGUSR1)

    return start(insist)


WAITS = {
    "one": lambda: receive("a"),
    "several": lambda: receive(["a", "b", "c"]),
    "one, timed": lambda: receive("a", LONG),
    "several, timed": lambda: receive(["a", "b", "c"], LONG),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
class TestSignals:
    """A wait ends on what a handler raises, and goes on if it raises nothing."""

    def test_a_handler_that_raises(self, wait, handle):
        is_handled = threading.Event()

        def stop(*_):
            if not is_handled.is_set():
                is_handled.set()
                raise Stop

        handle(stop)
        other = interrupt(lambda: stats_of("a").get("parked_receivers") == 1, is_handled)
        with pytest.raises(Stop):
            wait()
        other.join()
        assert all(queue["parked_receivers"] == 0 for queue in queue_stats())
        send("a", 1)
        assert wait() == ("a", 1)

    def test_a_handler_that_raises_nothing(self, wait, handle):
        is_handled = threading.Event()
        handle(lambda *_: is_handled.set())

        def then_send():
            interrupt(lambda: stats_of("a").get("parked_receivers") == 1, is_handled).join()
            wait_for_receivers("a")
            send("a", 1)

        other = start(then_send)
        assert wait() == ("a", 1)
        other.join()

    def test_a_handler_that_sends(self, wait, handle):
        is_handled = threading.Event()

        def send_once(*_):
            if not is_handled.is_set():
                is_handled.set()
                send("a", "from the handler")

        handle(send_once)
        other = interrupt(lambda: stats_of("a").get("parked_receivers") == 1, is_handled)
        assert wait() == ("a", "from the handler")
        other.join()

    def test_a_handler_that_sets_the_tags(self, wait, handle):
        is_handled = threading.Event()

        def set_once(*_):
            if not is_handled.is_set():
                is_handled.set()
                set_tags(["a"])
                send("a", 1)

        handle(set_once)
        other = interrupt(lambda: stats_of("a").get("parked_receivers") == 1, is_handled)
        assert wait() == ("a", 1)
        other.join()

    def test_a_handler_that_forks(self, wait, handle):
        is_handled, child = threading.Event(), []

        def fork_once(*_):
            if not is_handled.is_set():
                is_handled.set()
                child.append(fork())
                send("a", "child" if child[0] == 0 else "parent")

        handle(fork_once)
        other = interrupt(lambda: stats_of("a").get("parked_receivers") == 1, is_handled)
        received = wait()
        if child[0] == 0:
            os._exit(received != ("a", "child"))
        assert received == ("a", "parent")
        other.join()
        succeeds(child[0])


def test_a_sender_that_waits_for_room_is_interrupted(handle):
    """The wait is short, so that many are made."""
    sends, is_handled = threading.Event(), threading.Event()

    def stop(*_):
        if not is_handled.is_set():
            is_handled.set()
            raise Stop

    handle(stop)
    for number in range(CAPACITY):
        send("a", number)
    other = interrupt(sends.is_set, is_handled)
    with pytest.raises(Stop):
        sends.set()
        while True:
            with pytest.raises(RuntimeError, match="full"):
                send("a", 1)
    handle(signal.SIG_IGN)
    other.join()
    assert stats_of("a")["length"] == CAPACITY


def test_signals_do_not_prolong_a_wait(handle):
    """Each one interrupts the sleep; the deadline stays."""
    handled = []
    before = signal.signal(signal.SIGALRM, lambda *_: handled.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    try:
        start = time.monotonic()
        assert receive(["a", "b"], 0.2) == (TIMEOUT, None)
        assert time.monotonic() - start >= 0.2
        assert receive("a", 0.2) == (TIMEOUT, None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled


def test_ctrl_c():
    """A program that waits for ever ends as Python programs do."""
    script = """
        import os, signal, sys, threading, time
        from pysync.boc import receive

        def interrupt():
            while not over.wait(0.05):
                os.kill(os.getpid(), signal.SIGINT)

        over = threading.Event()
        threading.Thread(target=interrupt, daemon=True).start()
        try:
            receive(["a", "b"])
        except KeyboardInterrupt:
            over.set()
            print("interrupted")
    """
    assert run(script) == "interrupted\n"
