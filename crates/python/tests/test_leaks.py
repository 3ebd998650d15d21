"""Nothing is left of an operation: no object, and no reference to one.

Each operation runs some hundred times to warm up, and as often again. The number of living objects must be
the same after both. So must be the total number of references, which a debug build of CPython has.
"""

import contextlib
import faulthandler
import gc
import io
import logging
import os
import sys
import threading
import weakref

import pytest
from pysync import _pysync, boc
from pysync.robust import Mutex, OwnerDied, SyncError

LONG = 30.0
"""No wait of a test is to last that long."""

SLACK = 40
"""How many references the interpreter's own caches may gain."""

MANY, FEW = 300, 100
"""How often an operation runs each time: more often than `SLACK`."""

KINDS = (boc.Cown, boc.PinnedCown, Mutex)

A, B = (f"tag {name}" for name in ["a", "b"])
"""Tags. References to a str that is a literal are not counted."""

LIVE = weakref.WeakSet()
"""The values that are there."""


class Value:
    """An object that is counted, and that the collector has to look at."""

    def __init__(self):
        self.itself = self
        LIVE.add(self)


class Failure(Exception):
    """What a body raises. It is counted too."""

    def __init__(self):
        super().__init__()
        LIVE.add(self)


@pytest.fixture(autouse=True)
def watchdog(capfd, monkeypatch):
    """Ends the process, with the stacks of all threads where they are seen, if a test hangs."""
    # The test run keeps what is logged.
    monkeypatch.setattr(logging.getLogger("pysync.boc"), "disabled", True)
    with capfd.disabled():
        stderr = os.dup(2)
    faulthandler.dump_traceback_later(8 * LONG, exit=True, file=stderr)
    boc.wait(LONG)
    boc.set_tags([])
    yield
    boc.wait(LONG)
    boc.set_tags([])
    faulthandler.cancel_dump_traceback_later()
    os.close(stderr)


def no_body():
    """Is the body of a behavior that does nothing."""


def settle():
    """Waits for what workers are about to drop, and collects what is garbage."""
    workers = _pysync.running()
    if workers:
        boc.quiesce(LONG)
        # A worker that has begun another body has dropped the one before.
        barrier = threading.Barrier(workers)
        for _ in range(workers):
            boc.whencall(barrier.wait, [], [LONG])
        boc.quiesce(LONG)
        del barrier
    for _ in range(4):
        gc.collect()


def objects():
    """Counts the values, and all objects of the package's own types."""
    ours = sum(type(it) in KINDS for it in gc.get_objects())
    return len(LIVE), ours, _pysync.pending()


def references():
    """Counts all references, if the interpreter does, but for those to the package's own types.

    PyO3 before 0.29.1 loses one of these with each object (its issue 6223). The types are never freed.
    """
    total = getattr(sys, "gettotalrefcount", None)
    return total() - sum(map(sys.getrefcount, KINDS)) if total else 0


OPERATIONS = {}


def operation(count):
    """Has a function be tested so many times. Called without arguments, it returns the operation."""

    def register(make):
        OPERATIONS[make.__name__] = (make, count)
        return make

    return register


@operation(MANY)
def send_and_receive():
    def use():
        boc.send(A, Value())
        boc.receive(A)
        boc.send(B, Value())
        boc.receive([A, B], 1)

    return use


@operation(MANY)
def receive_that_times_out():
    value = Value()

    def use():
        boc.receive([A, B], 0.00001)
        boc.receive(A, 0)
        boc.receive(A, 0, lambda: value)

    return use


@operation(MANY)
def receive_in_another_thread():
    def use():
        thread = threading.Thread(target=boc.receive, args=([A, B],))
        thread.start()
        boc.send(B, Value())
        thread.join()

    return use


@operation(MANY)
def drain_and_set_tags():
    def use():
        boc.send(A, Value())
        boc.drain(A)
        boc.send(B, Value())
        boc.set_tags([B, "c"])

    return use


@operation(MANY)
def calls_of_the_queues_that_fail():
    def use():
        for call in [
            lambda: boc.send(1, Value()),
            lambda: boc.receive([Value()]),
            lambda: boc.receive(A, Value()),
            lambda: boc.receive(A, 0, Value()),
            lambda: boc.set_tags([A, Value()]),
            lambda: boc.set_tags([str(number) for number in range(17)]),
        ]:
            with contextlib.suppress(TypeError, IndexError):
                call()

    return use


@operation(MANY)
def cowns():
    def use():
        cown = boc.Cown(Value())
        with cown as value:
            cown.value = [value, Value()]
        repr(cown)
        boc.PinnedCown(Value()).value = Value()
        # A cycle.
        value.cown = cown

    return use


@operation(MANY)
def cowns_without_a_value():
    def use():
        cown = boc.Cown(Value())
        with cown:
            cown.disown()
        with contextlib.suppress(RuntimeError):
            cown.acquire()
        boc.Cown(Value()).unwrap()

    return use


@operation(MANY)
def acquire():
    held = boc.Cown(Value())
    began, end = threading.Event(), threading.Event()

    def hold():
        with held:
            began.set()
            end.wait(LONG)

    def use():
        cown = boc.Cown(Value())
        cown.acquire(timeout=None)
        cown.acquire()
        cown.release()
        with contextlib.suppress(RuntimeError):
            held.acquire()
        with contextlib.suppress(TimeoutError):
            held.acquire(timeout=0.00001)
        with contextlib.suppress(TypeError):
            cown.acquire(timeout=Value())

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    began.wait(LONG)
    use.end = end.set
    return use


@operation(MANY)
def behaviors():
    shared = boc.Cown(Value())

    def use():
        own = boc.Cown(Value())

        @boc.when(own, shared, [own, shared])
        def result(own, shared, both, capture=Value()):  # noqa: B008
            own.value = shared.value
            boc.Cown(capture).acquire()
            return capture

        result.unwrap(timeout=LONG)
        boc.whencall(lambda own, value: value, [own], [Value()])

    return use


@operation(MANY)
def behaviors_that_fail():
    def use():
        def fail(cown, value):
            local = [cown, value]  # noqa: F841
            raise Failure

        result = boc.whencall(fail, [boc.Cown(Value())], [Value()])
        with contextlib.suppress(Failure):
            result.unwrap(timeout=LONG)
        result = boc.whencall(fail, [boc.Cown(Value())], [Value()])
        with contextlib.suppress(Failure):
            boc.whencall(lambda result: result.unwrap(), [result], []).unwrap(timeout=LONG)

    return use


@operation(FEW)
def exceptions_that_are_not_looked_at():
    def use():
        def fail(cown):
            raise Failure

        with contextlib.redirect_stderr(io.StringIO()):
            result = boc.whencall(fail, [boc.Cown(Value())], [])
            result.acquire(timeout=LONG)
            result.release()
            del result
            # One in a cycle.
            value = Value()
            value.result = boc.whencall(fail, [boc.Cown(value)], [])
            boc.quiesce(LONG)
            del value
            gc.collect()

    return use


@operation(MANY)
def behaviors_that_are_refused():
    def use():
        with contextlib.suppress(TypeError):
            boc.when(boc.Cown(Value()))(lambda: None)
        with contextlib.suppress(TypeError):
            boc.whencall(no_body, [boc.Cown(Value()), Value()], [Value()])
        with contextlib.suppress(TypeError):
            boc.whencall(Value(), [], [Value()])
        with contextlib.suppress(SyntaxError):

            @boc.when(boc.Cown(Value()))
            def _(cown):
                yield

    return use


@operation(FEW)
def behaviors_that_are_dropped():
    def use():
        gate, began = threading.Event(), threading.Event()
        cown = boc.Cown(Value())
        boc.start(1)
        boc.whencall(lambda cown: (began.set(), gate.wait(LONG)), [cown], [])
        began.wait(LONG)
        dropped = [boc.whencall(no_body, [cown], [Value()]) for _ in range(3)]
        opener = threading.Thread(target=gate.set)
        opener.start()
        boc.wait(0)
        opener.join()
        for result in dropped:
            # Some may have run by then, without the parameter that they want.
            with contextlib.suppress(RuntimeError, TypeError):
                result.unwrap()

    return use


@operation(FEW)
def runtimes():
    def use():
        boc.start(2)
        boc.whencall(Value, [], [])
        boc.wait(LONG, stats=True, noticeboard=True)

    return use


@operation(MANY)
def statistics():
    def use():
        boc.quiesce(LONG, stats=True)
        _pysync.queue_stats()

    return use


@operation(MANY)
def the_noticeboard():
    def use():
        boc.start()
        boc.notice_seed("seed", Value())
        boc.notice_write("key", Value())
        boc.notice_update("key", lambda value: [value, Value()])
        boc.whencall(lambda: boc.notice_read("seed"), [], []).unwrap(timeout=LONG)
        boc.whencall(lambda: boc.notice_write("key", Value()), [], [])
        boc.noticeboard()
        boc.quiesce(LONG, noticeboard=True)
        boc.notice_delete("key")
        boc.notice_delete("seed")
        boc.quiesce(LONG, noticeboard=True)

    return use


@operation(MANY)
def a_pump():
    pinned = boc.PinnedCown(Value())

    def fail(pinned):
        raise Failure

    def use():
        good = boc.whencall(lambda pinned, value: value, [pinned], [Value()])
        bad = [boc.whencall(fail, [pinned], []) for _ in range(2)]
        boc.pump(max_behaviors=2)
        with contextlib.suppress(Failure):
            boc.pump(raise_on_error=True)
        boc.quiesce(LONG)
        good.unwrap()
        for result in bad:
            with contextlib.suppress(Failure):
                result.unwrap()

    return use


@operation(MANY)
def mutexes():
    buffer = bytearray(4096)

    def use():
        mutex = Mutex(memoryview(buffer))
        mutex.initialize()
        with mutex:
            mutex.acquire(timeout=0)
            mutex.release()
        mutex.acquire(timeout=None)
        mutex.release()
        repr(mutex)
        mutex.destroy()
        Mutex().initialize()
        for call in [
            mutex.acquire,
            mutex.release,
            mutex.destroy,
            lambda: Mutex(b"immutable"),
            lambda: Mutex(bytearray(1)),
            lambda: Mutex(Value()),
            lambda: Mutex.from_shared_memory(Value()),
            lambda: Mutex._attach("no such memory", 0, True),
            lambda: mutex.acquire(timeout=-1),
            mutex.__reduce__,
        ]:
            with contextlib.suppress(SyncError, BufferError, ValueError, TypeError, OSError):
                call()

    return use


@operation(MANY)
def a_mutex_that_is_held():
    mutex = Mutex(bytearray(4096), recursive=False)
    mutex.initialize()
    began, end = threading.Event(), threading.Event()

    def hold():
        with mutex:
            began.set()
            end.wait(LONG)

    def use():
        for timeout in [0, 0.00001]:
            with contextlib.suppress(SyncError):
                mutex.acquire(timeout=timeout)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    began.wait(LONG)
    use.end = end.set
    return use


@operation(FEW)
def a_mutex_whose_owner_dies():
    mutex = Mutex(bytearray(4096))
    mutex.initialize()

    def die():
        thread = threading.Thread(target=mutex.acquire)
        thread.start()
        thread.join()

    def use():
        die()
        try:
            mutex.acquire(timeout=LONG)
        except OwnerDied as died:
            with died:
                died.make_consistent()
        die()
        with contextlib.suppress(SyncError):
            mutex.repair(timeout=LONG)
            # What is not repaired is given up.
            mutex.release()
            mutex.acquire()
        mutex.destroy()
        mutex.initialize()

    return use


@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_is_left(name):
    """The counts are the same after as many operations again."""
    make, count = OPERATIONS[name]
    use = make()

    def run():
        for _ in range(count):
            use()
        settle()

    try:
        # Caches, among them those of the code that counts.
        for _ in range(2):
            run()
            before, total = objects(), references()
        run()
        after = objects()
        grown = references() - total
        assert after == before
        assert grown < SLACK
    finally:
        getattr(use, "end", no_body)()


@pytest.mark.skipif(not hasattr(sys, "gettotalrefcount"), reason="no debug build")
def test_the_count_of_references_tells_of_a_leak():
    """One reference that is lost in each operation would be seen."""
    kept = []
    before = references()
    for _ in range(FEW):
        kept.append(Value)
    assert references() - before >= SLACK
