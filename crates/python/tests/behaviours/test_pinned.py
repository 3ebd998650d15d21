"""Pinned cowns, whose behaviors run on the main thread."""

import logging
import threading
import time

import pytest
from behaviours_common import LONG, Alarm, alarm, collect, in_thread, raise_alarm, run_python
from pysync import _pysync, boc
from pysync.boc import Cown, PinnedCown, PumpResult, pump, quiesce, start, wait, when, whencall

MAIN = threading.get_ident()


def ident(*cowns):
    """Tell the thread."""
    return threading.get_ident()


@pytest.mark.parametrize("kinds", ["p", "pp", "pu", "up", "uup", "[u]p", "[up]"])
def test_behaviors_of_pinned_cowns_run_on_the_main_thread(kinds):
    made = {"p": lambda: PinnedCown(0), "u": lambda: Cown(0)}
    args, group = [], None
    for kind in kinds:
        if kind == "[":
            group = []
        elif kind == "]":
            args.append(group)
            group = None
        else:
            (args if group is None else group).append(made[kind]())
    on_main = whencall(ident, args, [])
    elsewhere = whencall(ident, [Cown(0)], [])
    quiesce(LONG)
    assert on_main.unwrap() == MAIN
    assert elsewhere.unwrap() != MAIN


def test_the_main_thread_always_owns_a_pinned_cown():
    pinned = PinnedCown([])
    assert pinned.acquired
    pinned.value.append(1)
    pinned.acquire()
    pinned.release()
    pinned.disown()
    with pinned as value:
        assert value == [1]
    for wrong in (pinned.acquire, pinned.release, pinned.disown, pinned.unwrap):
        with pytest.raises(RuntimeError, match="pinned cown .* from non-main interpreter"):
            in_thread(wrong)
    with pytest.raises(RuntimeError, match="does not own"):
        in_thread(lambda: pinned.value)
    assert not in_thread(lambda: pinned.acquired)
    assert pinned.unwrap() == [1]
    assert isinstance(pinned, Cown)


def test_pinned_cowns_are_made_on_the_main_thread():
    with pytest.raises(RuntimeError, match="main interpreter"):
        in_thread(lambda: PinnedCown(0))

    @when()
    def result():
        PinnedCown(0)

    with pytest.raises(RuntimeError, match="main interpreter"):
        result.unwrap(timeout=LONG)


def test_pump_runs_what_is_ready():
    results = [whencall(ident, [PinnedCown(0)], []) for _ in range(10)]
    assert _pysync.lane_len() == 10
    assert pump(max_behaviors=3) == PumpResult(3, False, 0)
    assert pump() == PumpResult(7, False, 0)
    assert pump() == (0, False, 0)
    assert {result.unwrap() for result in results} == {MAIN}


def test_pump_ends_at_its_deadline():
    def body(cown):
        end = time.monotonic() + 0.002
        while time.monotonic() < end:
            pass

    for _ in range(5):
        whencall(body, [PinnedCown(0)], [])
    assert pump(deadline_ms=1) == PumpResult(1, True, 0)
    assert pump(deadline_ms=100_000) == PumpResult(4, False, 0)


def test_exceptions_are_results():
    def fail(cown):
        raise ValueError("pinned")

    results = [whencall(fail, [PinnedCown(0)], []) for _ in range(3)]
    assert pump() == PumpResult(3, False, 3)
    for result in results:
        with pytest.raises(ValueError, match="pinned"):
            result.unwrap()


def test_pump_may_raise_the_first_exception():
    def fail(cown):
        raise ValueError(cown.value)

    results = [whencall(fail, [PinnedCown(i)], []) for i in range(3)]
    with pytest.raises(ValueError, match="0"):
        pump(raise_on_error=True)
    assert pump() == PumpResult(2, False, 2)
    for result in results:
        with pytest.raises(ValueError):
            result.unwrap()


@pytest.mark.parametrize("waits", [pump, lambda: quiesce(LONG), lambda: wait(LONG)])
def test_what_is_no_error_ends_a_pump(waits):
    def interrupt(cown):
        raise KeyboardInterrupt("from a body")

    bad = whencall(interrupt, [PinnedCown(0)], [])
    good = whencall(ident, [PinnedCown(0)], [])
    with pytest.raises(KeyboardInterrupt, match="from a body"):
        waits()
    assert _pysync.lane_len() == 1
    assert pump() == PumpResult(1, False, 0)
    with pytest.raises(KeyboardInterrupt, match="from a body"):
        bad.unwrap()
    assert good.unwrap() == MAIN


def test_pump_is_not_reentrant():
    @when(PinnedCown(0))
    def result(cown):
        errors = []
        for wrong in (pump, quiesce, wait, lambda: Cown(0).acquire(timeout=1)):
            with pytest.raises(RuntimeError) as raised:
                wrong()
            errors.append(str(raised.value))
        return errors

    assert pump() == PumpResult(1, False, 0)
    errors = result.unwrap()
    assert "not reentrant" in errors[0]
    assert all("inside a behavior" in error for error in errors[1:3])
    assert "must not wait" in errors[3]


def test_pump_needs_a_runtime_and_the_main_thread():
    with pytest.raises(RuntimeError, match="bocpy.start"):
        pump()
    start()
    with pytest.raises(RuntimeError, match="main interpreter"):
        in_thread(pump)

    @when()
    def result():
        pump()

    with pytest.raises(RuntimeError, match="main interpreter"):
        result.unwrap(timeout=LONG)


@pytest.mark.parametrize("bad", [0, -1, 1.5, "1", True, False])
@pytest.mark.parametrize("name", ["deadline_ms", "max_behaviors"])
def test_bounds_are_positive_ints(name, bad):
    start()
    with pytest.raises(TypeError, match=f"{name} must be None or a positive int, got"):
        pump(**{name: bad})


def test_bounds_have_an_end():
    start()
    most = 9_223_372_036_853
    assert pump(deadline_ms=most) == (0, False, 0)
    assert pump(max_behaviors=most * 1000) == (0, False, 0)
    for call in (lambda: pump(deadline_ms=most + 1), lambda: boc.set_pump_watchdog(most + 1)):
        with pytest.raises(OverflowError, match="exceeds"):
            call()


def test_waits_of_other_threads_are_refused_while_there_are_pinned_cowns():
    start()
    pinned = PinnedCown(0)
    for waits in (quiesce, wait):
        with pytest.raises(RuntimeError, match="main interpreter"):
            in_thread(lambda waits=waits: waits(LONG))
    del pinned, waits
    collect()
    in_thread(lambda: quiesce(LONG))


def test_a_wait_wakes_for_what_becomes_ready():
    """Workers and the main thread take turns, much faster than a wait looks by itself."""
    boc.set_wait_pump_poll(60_000)
    try:
        pinned, cown = PinnedCown(0), Cown(0)

        def on_main(pinned, left):
            pinned.value += 1
            if left:
                whencall(elsewhere, [cown], [left - 1])

        def elsewhere(cown, left):
            cown.value += 1
            whencall(on_main, [pinned], [left])

        whencall(elsewhere, [cown], [200])
        quiesce(LONG)
        assert (pinned.value, cown.unwrap()) == (201, 201)
    finally:
        boc.set_wait_pump_poll(50)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, None])
def test_the_poll_is_a_positive_int(bad):
    with pytest.raises(TypeError, match="positive int"):
        boc.set_wait_pump_poll(bad)


def test_a_signal_in_a_pinned_body():
    def body(cown):
        while True:
            time.sleep(0.001)

    result = whencall(body, [PinnedCown(0)], [])
    with pytest.raises(Alarm), alarm(raise_alarm):
        quiesce(LONG)
    with pytest.raises(Alarm):
        result.unwrap(timeout=LONG)


def test_a_wait_that_is_over_runs_no_more_of_what_is_ready():
    start()
    results = [whencall(ident, [PinnedCown(0)], []) for _ in range(200)]
    with pytest.raises(TimeoutError):
        quiesce(0)
    left = _pysync.lane_len()
    assert 0 < left < 200
    wait(0)
    left_at_the_end = 0
    assert _pysync.lane_len() == 0
    for result in results:
        try:
            assert result.unwrap() == MAIN
        except RuntimeError as error:
            assert "dropped during stop" in str(error)
            left_at_the_end += 1
    assert 0 < left_at_the_end < left


def test_what_waits_for_a_body_is_dropped_at_the_end_of_a_wait():
    began, gate, cown = threading.Event(), threading.Event(), Cown(0)

    @when(cown)
    def running(cown):
        began.set()
        gate.wait(LONG)

    result = whencall(ident, [PinnedCown(0), cown], [])
    assert began.wait(LONG)
    threading.Timer(0.05, gate.set).start()
    wait(0)
    with pytest.raises(RuntimeError, match="dropped during stop"):
        result.unwrap()


def test_the_watchdog_tells_of_a_wait():
    told = []
    boc.set_pump_watchdog(1, lambda severity, text: told.append((severity, text)))
    whencall(ident, [PinnedCown(0)], [])
    whencall(ident, [PinnedCown(0)], [])
    time.sleep(0.01)
    pump(max_behaviors=1)
    pump()
    assert len(told) == 1
    assert told[0][0] == 0
    assert "depth=2" in told[0][1]
    quiesce(LONG)
    pump()
    assert len(told) == 1


def test_the_watchdog_writes_to_the_log(caplog):
    boc.set_pump_watchdog(1)
    whencall(ident, [PinnedCown(0)], [])
    time.sleep(0.01)
    with caplog.at_level(logging.WARNING, logger="bocpy.pump"):
        quiesce(LONG)
    assert [record.name for record in caplog.records] == ["bocpy.pump"]


def test_the_watchdog_is_off_at_first_and_checks_its_arguments():
    for bad in (0, -5, 1.5, True, "1"):
        with pytest.raises(TypeError, match="positive int or None"):
            boc.set_pump_watchdog(bad)
    with pytest.raises(TypeError, match="callable"):
        boc.set_pump_watchdog(1, 5)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_watchdog_that_raises_does_no_harm():
    def fail(severity, text):
        raise ValueError("from the watchdog")

    boc.set_pump_watchdog(1, fail)
    result = whencall(ident, [PinnedCown(0)], [])
    time.sleep(0.01)
    assert pump() == (1, False, 0)
    assert result.unwrap() == MAIN


def test_pinned_cowns_across_a_fork():
    program = """
import os, threading
from pysync.boc import *
pinned = PinnedCown([1])
@when(pinned)
def lost(pinned):
    pinned.value.append("in the parent")
pid = os.fork()
if pid == 0:
    @when(pinned, PinnedCown(0))
    def result(pinned, other):
        return threading.current_thread() is threading.main_thread()
    # The behavior of the parent has the old cown, and is not there.
    @when(PinnedCown(0))
    def new(pinned):
        return threading.current_thread() is threading.main_thread()
    assert pump().executed == 1
    assert new.unwrap(timeout=60)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
wait()
assert pinned.value == [1, "in the parent"]
"""
    code, _, errors = run_python(program, "-W", "ignore")
    assert code == 0, errors
