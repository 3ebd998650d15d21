"""Cowns outside of behaviors: who owns them, how they are acquired, and what becomes of values."""

import copy
import gc
import pickle
import sys
import threading
import weakref

import pytest
from behaviours_common import (
    LONG,
    Alarm,
    alarm,
    collect,
    held_elsewhere,
    in_thread,
    raise_alarm,
    run_python,
)
from pysync import boc
from pysync.boc import Cown, PinnedCown, quiesce, start, wait, when

NOT_OWNED = "The current interpreter does not own this cown"


class Value:
    """Something that can be weakly referenced."""


def test_a_cown_is_made_free():
    start()
    cown = Cown(1)
    assert not cown.acquired
    with pytest.raises(RuntimeError, match=NOT_OWNED):
        cown.value  # noqa: B018
    with pytest.raises(RuntimeError, match=NOT_OWNED):
        cown.value = 2
    with pytest.raises(RuntimeError, match=NOT_OWNED):
        cown.exception  # noqa: B018
    with pytest.raises(RuntimeError, match=NOT_OWNED):
        cown.exception = True


def test_the_owner_reads_and_writes():
    value = [1]
    cown = Cown(value)
    cown.acquire()
    assert cown.acquired
    assert cown.value is value
    assert cown.get() is value
    cown.value = 2
    assert cown.value == 2
    cown.set(3)
    cown.acquire()
    assert cown.value == 3
    cown.release()
    assert not cown.acquired
    cown.release()


def test_a_context_has_the_value():
    cown = Cown("a")
    with cown as value:
        assert value == "a"
        assert cown.acquired
    assert not cown.acquired
    with pytest.raises(ZeroDivisionError), cown:
        1 / 0  # noqa: B018
    assert not cown.acquired


def test_a_value_cannot_be_deleted():
    cown = Cown(1)
    with cown, pytest.raises(AttributeError):
        del cown.value


def test_another_thread_is_another_owner():
    cown = Cown(1)
    me = threading.get_ident()

    def other():
        return threading.get_ident(), cown.acquired, _error(cown.acquire), _error(cown.release)

    with cown:
        ident, acquired, acquire, release = in_thread(other)
        assert not acquired
        assert acquire == (
            RuntimeError,
            f"{ident} cannot acquire cown (already acquired by {me})",
        )
        assert release == (RuntimeError, f"{ident} cannot release cown (acquired by {me})")
        with pytest.raises(RuntimeError, match=NOT_OWNED):
            in_thread(lambda: cown.value)
    with held_elsewhere(cown), pytest.raises(RuntimeError, match="cannot acquire"):
        cown.acquire()


def _error(function):
    try:
        function()
    except RuntimeError as error:
        return type(error), str(error)
    return None


def test_acquire_waits_if_it_may():
    cown = Cown(0)
    cown.acquire()
    with pytest.raises(TimeoutError):
        in_thread(lambda: cown.acquire(timeout=0.001))
    with pytest.raises(RuntimeError, match="cannot acquire"):
        in_thread(lambda: cown.acquire(timeout=0))

    def other():
        waits.set()
        cown.acquire(timeout=LONG)
        value = cown.value
        cown.release()
        return value

    waits = threading.Event()
    results = []
    thread = threading.Thread(target=lambda: results.append(other()))
    thread.start()
    assert waits.wait(LONG)
    cown.value = 5
    cown.release()
    thread.join(LONG)
    assert results == [5]


def test_acquire_comes_behind_what_was_asked_before():
    cown = Cown([])
    for i in range(100):

        @when(cown)
        def _(cown, i=i):
            cown.value.append(i)

    cown.acquire(timeout=LONG)
    assert cown.value == list(range(100))

    @when(cown)
    def _(cown):
        cown.value.append("later")

    assert len(cown.value) == 100
    cown.release()
    quiesce(LONG)
    with cown as value:
        assert value[100:] == ["later"]


def test_a_request_that_gives_up_is_in_no_ones_way():
    cown = Cown(0)
    cown.acquire()
    with pytest.raises(TimeoutError):
        in_thread(lambda: cown.acquire(timeout=0.001))

    @when(cown)
    def result(cown):
        return "ran"

    cown.release()
    assert result.unwrap(timeout=LONG) == "ran"


@pytest.mark.parametrize("timeout", [float("nan"), "1"])
def test_acquire_refuses_what_is_no_timeout(timeout):
    with pytest.raises((ValueError, TypeError)):
        Cown(0).acquire(timeout=timeout)


def test_what_a_timeout_raises_itself_is_passed_on():
    class Timeout:
        def __float__(self):
            raise Alarm

    with pytest.raises(Alarm):
        Cown(0).acquire(timeout=Timeout())
    with pytest.raises(OverflowError):
        Cown(0).acquire(timeout=10**400)


def test_a_signal_runs_its_handler_while_acquire_waits():
    cown = Cown(0)
    ready, done, was_done = threading.Event(), threading.Event(), []

    def holder():
        with cown:
            ready.set()
            was_done.append(done.wait(LONG))

    thread = threading.Thread(target=holder)
    thread.start()
    assert ready.wait(LONG)
    with alarm(done.set, interval=0.05):
        cown.acquire(timeout=2 * LONG)
    cown.release()
    thread.join(LONG)
    assert was_done == [True]


@pytest.mark.parametrize("timeout", [None, LONG])
@pytest.mark.parametrize("waits", [Cown.acquire, Cown.unwrap])
def test_a_handler_that_raises_ends_a_wait(waits, timeout):
    cown = Cown(0)
    with held_elsewhere(cown), pytest.raises(Alarm), alarm(raise_alarm, interval=0.05):
        waits(cown, timeout=timeout)
    # It was taken off the queue.
    cown.acquire()


def test_a_disowned_cown_is_of_no_use():
    value = Value()
    gone = weakref.ref(value)
    cown = Cown(value)
    del value
    with pytest.raises(RuntimeError, match="cannot disown cown"):
        cown.disown()
    cown.acquire()
    cown.disown()
    collect()
    assert gone() is None
    for use in (cown.acquire, lambda: cown.acquire(timeout=1), cown.unwrap):
        with pytest.raises(RuntimeError, match="permanently unavailable"):
            use()

    @when(cown)
    def result(cown):
        raise AssertionError("it runs")

    with pytest.raises(RuntimeError, match="permanently unavailable"):
        result.unwrap(timeout=LONG)


def test_unwrap_takes_the_value():
    value = Value()
    cown = Cown(value)
    assert cown.unwrap() is value
    assert cown.unwrap() is None
    with cown:
        cown.value = 1
        assert cown.unwrap() == 1
        assert cown.value is None
        assert cown.acquired


def test_unwrap_raises_what_a_body_has_raised():
    error = ValueError("once")

    @when()
    def result():
        raise error

    with pytest.raises(ValueError, match="once") as raised:
        result.unwrap(timeout=LONG)
    assert raised.value is error
    # The place in the body is in its traceback.
    assert raised.traceback[-1].name == "result"
    quiesce(LONG)
    assert result.unwrap() is None


def test_unwrap_of_what_is_in_flight():
    gate, began, used, other = threading.Event(), threading.Event(), Cown(0), Cown(1)

    @when(used)
    def slow(used):
        began.set()
        gate.wait(LONG)
        return 5

    assert began.wait(LONG)
    for cown in (slow, used):
        with pytest.raises(RuntimeError, match="still in flight"):
            cown.unwrap()
        with pytest.raises(TimeoutError):
            cown.unwrap(timeout=0.001)
    # Another cown is not concerned, but for bocpy.
    assert other.unwrap() == 1
    boc.strict()
    with pytest.raises(RuntimeError, match="still in flight"):
        other.unwrap()
    gate.set()
    assert slow.unwrap(timeout=LONG) == 5
    quiesce(LONG)
    assert used.unwrap() == 0


def test_unwrap_of_what_another_thread_holds():
    cown = Cown(0)
    with held_elsewhere(cown), pytest.raises(RuntimeError, match="cannot acquire"):
        cown.unwrap()


def test_an_exception_is_a_value_that_was_raised():
    cown = Cown(ValueError("a"))
    with cown:
        assert cown.exception is False
        cown.exception = True
        assert cown.exception is True
        cown.value = 1
        assert cown.exception is False


def test_an_exception_that_is_not_looked_at_is_reported(capsys):
    def fail():
        @when()
        def result():
            raise ValueError("nobody looks")

        result.acquire(timeout=LONG)
        result.release()

    fail()
    quiesce(LONG)
    collect()
    assert "contains an unhandled exception: ValueError('nobody looks')" in capsys.readouterr().err


@pytest.mark.parametrize("look", ["unwrap", "write", "clear"])
def test_an_exception_that_is_looked_at_is_not_reported(capsys, look):
    @when()
    def result():
        raise ValueError("seen")

    quiesce(LONG)
    if look == "unwrap":
        with pytest.raises(ValueError, match="seen"):
            result.unwrap()
    else:
        with result:
            if look == "write":
                result.value = None
            else:
                result.exception = False
    del result
    collect()
    assert capsys.readouterr().err == ""


def test_an_exception_in_a_cycle_is_reported(capsys):
    """The collector has cleared the exception when the cown is told, and its text is gone."""

    def fail():
        own = []

        @when()
        def result():
            own.append("the frame has the list, and that has the result")
            raise ValueError("in a cycle")

        own.append(result)
        result.acquire(timeout=LONG)
        result.release()

    for _ in range(10):
        fail()
    quiesce(LONG)
    collect()
    assert capsys.readouterr().err.count("contains an unhandled exception: ") == 10


def test_cowns_are_equal_only_to_themselves():
    a, b = Cown(1), Cown(1)
    assert a == a.impl
    assert a != b
    assert a != 1
    assert len({a, b, a}) == 2
    assert hash(a) == hash(a)


def test_cowns_have_an_order():
    cowns = [Cown(i) for i in range(20)]
    backwards = cowns[::-1]
    assert sorted(cowns) == sorted(backwards)
    assert (cowns[0] < cowns[1]) != (cowns[1] < cowns[0])
    assert not cowns[0] < cowns[0]
    with pytest.raises(TypeError):
        cowns[0] < 1  # noqa: B015


def test_names_of_a_cown():
    assert boc.CownCapsule is Cown
    cown = Cown("x")
    assert cown.impl is cown
    assert "<not owner>" in repr(cown)
    with cown:
        assert repr(cown).startswith("Cown(0x")
        assert repr(cown).endswith(", value='x')")
    assert repr(PinnedCown(1)).startswith("PinnedCown(0x")
    assert Cown[int].__origin__ is Cown


def test_a_cown_may_be_a_class_of_ones_own():
    class Account(Cown):
        def balance(self):
            return self.value

    account = Account(5)

    @when(account)
    def result(account):
        return account.balance()

    assert result.unwrap(timeout=LONG) == 5


def test_a_cown_in_a_cown_stays_one():
    inner = Cown(1)
    outer = Cown(inner)
    with outer as value:
        assert value is inner


def test_cowns_are_not_copied():
    for copies in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copies(Cown(1))


def test_no_value_survives_its_cown():
    values = [Value() for _ in range(10)]
    gone = [weakref.ref(value) for value in values]
    cowns = [Cown(value) for value in values]
    cown_gone = [weakref.ref(cown) for cown in cowns]
    del values
    assert all(ref() is not None for ref in gone)
    del cowns
    collect()
    assert all(ref() is None for ref in gone + cown_gone)


def test_a_value_that_is_replaced_goes():
    value = Value()
    gone = weakref.ref(value)
    cown = Cown(value)
    del value
    with cown:
        cown.value = None
    collect()
    assert gone() is None


def test_the_drop_of_a_value_may_use_the_cown():
    class Dropped:
        def __del__(self):
            seen.append(cown.value)

    seen = []
    cown = Cown(Dropped())
    with cown:
        cown.value = "next"
        collect()
    assert seen == ["next"]


def test_cycles_through_cowns_are_collected():
    value = Value()
    value.cown = Cown(value)
    pinned = PinnedCown(value)
    value.pinned = pinned
    gone = [weakref.ref(value), weakref.ref(value.cown), weakref.ref(pinned)]
    del value, pinned
    collect()
    assert [ref() for ref in gone] == [None] * 3


def test_the_collector_sees_the_value():
    value = [1]
    cown = Cown(value)
    assert value in gc.get_referents(cown)


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="no reference counts")
def test_references_to_a_value_are_steady():
    value = Value()
    before = sys.getrefcount(value)
    cowns = [Cown(value) for _ in range(10)]
    assert sys.getrefcount(value) == before + 10
    for cown in cowns:
        with cown:
            assert cown.value is value
            cown.value = value
    assert sys.getrefcount(value) == before + 10
    assert cowns[0].unwrap() is value
    assert sys.getrefcount(value) == before + 9
    del cowns, cown
    collect()
    assert sys.getrefcount(value) == before


def test_after_wait_all_cowns_are_at_hand():
    cown = Cown(1)
    start()

    @when(cown)
    def result(cown):
        cown.value += 1
        raise ValueError("kept")

    with pytest.raises(RuntimeError, match=NOT_OWNED):
        cown.value  # noqa: B018
    wait(LONG)
    assert cown.value == 2
    cown.value = 7
    assert isinstance(result.value, ValueError)
    assert result.exception is True
    with pytest.raises(RuntimeError, match=NOT_OWNED):
        in_thread(lambda: cown.value)

    # The next behavior gets it all the same.
    @when(cown)
    def after(cown):
        return cown.value

    assert after.unwrap(timeout=LONG) == 7
    with pytest.raises(RuntimeError, match=NOT_OWNED):
        cown.value  # noqa: B018
    result.exception = False if result.acquire() is None else None
    result.release()


def test_after_wait_what_another_thread_holds_is_its_own():
    cown = Cown(1)
    start()
    wait(LONG)
    with held_elsewhere(cown), pytest.raises(RuntimeError, match=NOT_OWNED):
        cown.value  # noqa: B018


def test_threads_take_turns():
    cown = Cown(0)
    turns = 2000

    def count():
        for _ in range(turns):
            cown.acquire(timeout=LONG)
            cown.value += 1
            cown.release()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert cown.unwrap() == 4 * turns


def test_a_cown_that_is_held_across_a_fork():
    program = """
import os
from pysync.boc import Cown, when, wait
cown, held = Cown(1), Cown(2)
held.acquire()
pid = os.fork()
if pid == 0:
    assert held.value == 2
    held.release()
    with cown as value:
        assert value == 1
    @when(cown, held)
    def result(a, b):
        return a.value + b.value
    assert result.unwrap(timeout=60) == 3
    wait()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert held.acquired
"""
    code, _, errors = run_python(program, "-W", "ignore")
    assert code == 0, errors
