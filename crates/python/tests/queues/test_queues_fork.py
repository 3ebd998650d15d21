"""`pysync.boc`'s queues in the child of a fork."""

import os
import random
import sys
import threading
import weakref

import pytest
from pysync._pysync import queue_stats
from pysync.boc import TIMEOUT, drain, receive, send, set_tags
from queues_common import (
    CAPACITY,
    LONG,
    TAGS,
    Value,
    fork,
    start,
    stats_of,
    succeeds,
    wait_for_receivers,
)


def in_child(function):
    """Calls a function in a child, where it must not raise."""
    pid = fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        except BaseException:  # noqa: BLE001  # the child must not return
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    succeeds(pid)


class TestFork:
    """A child has empty queues without names, and no threads that wait at them."""

    def test_the_queues_of_a_child_are_empty_and_usable(self):
        for number in range(TAGS):
            send(f"t{number}", number)
        receivers = [
            start(receive, tags, timeout) for tags, timeout in [("t0", -1), (["t1", "t0"], LONG)]
        ]
        for number in range(2):
            assert receivers[number].join()[0] in ("t0", "t1")
        drain([f"t{number}" for number in range(2)])
        receivers = [
            start(receive, tags, timeout) for tags, timeout in [("t0", -1), (["t1", "t0"], LONG)]
        ]
        wait_for_receivers("t0", 2)

        def child():
            assert queue_stats() == []
            for number in range(TAGS):
                assert receive(f"new{number}", 0) == (TIMEOUT, None)
            for number in range(3):
                receiver = start(receive, ["new0", "new1", "new2"])
                wait_for_receivers("new2")
                send(f"new{number}", 1)
                assert receiver.join() == (f"new{number}", 1)
            set_tags([])
            for number in range(CAPACITY):
                send("a", number)
            drain("a")

        for _ in range(5):
            in_child(child)
        assert stats_of("t5")["length"] == 1
        for number in range(2):
            send("t0", number)
        assert {receiver.join() for receiver in receivers} == {("t0", 0), ("t0", 1)}

    def test_a_child_drops_what_was_queued(self):
        value = Value()
        alive = weakref.ref(value)
        send("a", value)
        del value

        def child():
            assert alive() is None

        in_child(child)
        assert receive("a", 0)[1] is alive()

    def test_children_of_a_process_whose_threads_are_in_the_middle(self):
        is_over = threading.Event()

        def use(number):
            # A fork without a GIL leaves objects locked that others are at. So each has objects of its own.
            own = random.Random(number)
            while not is_over.is_set():
                tags = own.sample(["a", "b", "c"], 2)
                send(tags[0], number)
                receive(tags, own.uniform(0, 0.0001))
                if own.random() < 0.05:
                    drain(tags)

        threads = [start(use, number) for number in range(3)]

        def child():
            send("a", 1)
            assert receive(["b", "a"]) == ("a", 1)
            assert receive(["b", "a"], 0.001) == (TIMEOUT, None)

        # Without a GIL each fork waits until all threads stand still, which lasts if the machine is busy.
        for _ in range(10):
            in_child(child)
        is_over.set()
        for thread in threads:
            thread.join()

    @pytest.mark.parametrize("call", [lambda: drain(["a", "b"]), lambda: set_tags(["a"])])
    def test_a_finalizer_that_forks(self, call):
        forking, children = [], []

        class Forks:
            def __del__(self):
                if not forking:
                    forking.append(True)
                    children.append(fork())

        for tag in ["a", "a", "b"]:
            send(tag, Forks())
        call()
        if children[0] == 0:
            code = 1
            try:
                assert queue_stats() == []
                send("a", 1)
                assert receive("a", 0) == ("a", 1)
                code = 0
            finally:
                os._exit(code)
        succeeds(children[0])
        assert receive(["a", "b"], 0) == (TIMEOUT, None)
