"""Behaviors: what runs when, with what, and what becomes of it."""

import builtins
import functools
import gc
import random
import sys
import threading
import time
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
from pysync import _pysync, boc
from pysync.boc import Cown, PinnedCown, quiesce, start, wait, when, whencall


class Value:
    """Something that can be weakly referenced."""


def add_one(cown):
    """Add one to the value."""
    cown.value += 1
    return cown.value


# Order.


def test_behaviors_of_one_cown_run_in_order():
    cown = Cown([])
    for i in range(1000):

        @when(cown)
        def _(cown, i=i):
            cown.value.append(i)

    quiesce(LONG)
    assert cown.unwrap() == list(range(1000))


def test_a_nested_behavior_comes_behind_what_is_queued():
    cown, gate = Cown([]), threading.Event()

    @when(cown)
    def _(cown):
        gate.wait(LONG)
        cown.value.append(1)

        @when(cown)
        def _(cown):
            cown.value.append(3)

    @when(cown)
    def _(cown):
        cown.value.append(2)

    gate.set()
    quiesce(LONG)
    assert cown.unwrap() == [1, 2, 3]


def test_a_result_is_a_cown_that_follows():
    cown = Cown(2)

    @when(cown)
    def plus(cown):
        return cown.value + 3

    @when(plus)
    def times(plus):
        return plus.value * 4

    @when(times, plus, cown)
    def result(times, plus, cown):
        return times.value, plus.value, cown.value

    assert result.unwrap(timeout=LONG) == (20, 5, 2)


def test_behaviors_of_several_cowns_exclude_each_other():
    start(2)
    accounts = [Cown(100) for _ in range(8)]
    rng = random.Random(1)
    for _ in range(2000):
        a, b = rng.sample(range(8), 2)

        amount = rng.randrange(10)

        @when(accounts[a], accounts[b])
        def _(a, b, amount=amount):
            a.value -= amount
            b.value += amount

    @when(accounts)
    def total(accounts):
        return sum(account.value for account in accounts)

    assert total.unwrap(timeout=LONG) == 800


def test_philosophers_do_not_deadlock():
    start(4)
    forks = [Cown(0) for _ in range(5)]

    def eat(i, hunger):
        if hunger == 0:
            return

        @when(forks[i], forks[(i + 1) % 5])
        def _(left, right):
            left.value += 1
            right.value += 1
            eat(i, hunger - 1)

    for i in range(5):
        eat(i, 50)
    quiesce(LONG)
    assert [fork.unwrap() for fork in forks] == [100] * 5


def test_a_behavior_without_cowns_runs():
    @when()
    def result():
        return 1

    assert result.unwrap(timeout=LONG) == 1


def test_a_long_chain_does_not_recurse():
    cown = Cown(0)

    def again(left):
        @when(cown)
        def _(cown):
            cown.value += 1
            if left:
                again(left - 1)

    again(5000)
    quiesce(LONG)
    assert cown.unwrap() == 5001


# Groups and duplicates.


@pytest.mark.parametrize("kind", [list, tuple])
def test_groups_reach_the_body_as_lists(kind):
    a, b, c = (Cown(i) for i in range(3))

    @when(kind([a, b]), c, kind([]), kind([c]))
    def result(first, c, empty, last):
        assert [type(group) for group in (first, empty, last)] == [list] * 3
        return [x.value for x in first], c.value, empty, [x.value for x in last]

    assert result.unwrap(timeout=LONG) == ([0, 1], 2, [], [2])


def test_a_group_is_what_it_was_when_it_was_asked_for():
    gate, group = threading.Event(), [Cown(1), Cown(2)]

    @when(group[0])
    def _(cown):
        gate.wait(LONG)

    @when(group)
    def result(group):
        group.append("of the body alone")
        return len(group), [cown.value for cown in group[:2]]

    group.clear()
    gate.set()
    assert result.unwrap(timeout=LONG) == (3, [1, 2])


def test_many_cowns():
    cowns = [Cown(i) for i in range(100)]

    @when(*cowns)
    def result(*cowns):
        return sum(cown.value for cown in cowns)

    assert result.unwrap(timeout=LONG) == sum(range(100))


C, D = "c", "d"


@pytest.mark.parametrize(
    "shape",
    [
        (C, C),
        (C, C, C),
        (C, D, C),
        ([C, C],),
        (C, [D, C]),
        ([C, D], [D, C], C),
    ],
    ids=str,
)
def test_a_cown_may_be_named_twice(shape):
    cowns = {C: Cown(1), D: Cown(10)}
    named = [[cowns[x] for x in item] if isinstance(item, list) else cowns[item] for item in shape]
    flat = [x for item in shape for x in item]

    for _ in range(3):

        @when(*named)
        def result(*args):
            held = [c for arg in args for c in (arg if isinstance(arg, list) else [arg])]
            for cown in held:
                cown.value += 1
            return [cown is cowns[name] for cown, name in zip(held, flat, strict=True)]

    assert all(result.unwrap(timeout=LONG))
    quiesce(LONG)
    assert cowns[C].unwrap() == 1 + 3 * flat.count(C)
    assert cowns[D].unwrap() == 10 + 3 * flat.count(D)


# Functions.


def test_captures_are_defaults():
    results = []
    for i in range(4):

        @when(Cown(10))
        def result(cown, i=i, factor=2):
            return cown.value * factor + i

        results.append(result)
    assert [result.unwrap(timeout=LONG) for result in results] == [20, 21, 22, 23]


def test_whencall_passes_captures():
    value = Value()
    result = whencall(lambda a, group, x, y: (a.value, len(group), x, y), [Cown(1), []], [2, value])
    assert result.unwrap(timeout=LONG) == (1, 0, 2, value)
    assert whencall(lambda: 5, (), ()).unwrap(timeout=LONG) == 5
    assert whencall(add_one, [Cown(1)], []).unwrap(timeout=LONG) == 2


def test_closures_and_globals_are_shared():
    seen = []

    @when(Cown(1))
    def result(cown):
        seen.append(cown.value)
        return seen

    assert result.unwrap(timeout=LONG) is seen
    assert seen == [1]


def test_decorators_below_when():
    def twice(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs) * 2

        return wrapper

    @when(Cown(3))
    @twice
    def result(cown):
        return cown.value

    assert result.unwrap(timeout=LONG) == 6


def test_any_callable_is_a_body():
    class Callable:
        def __call__(self, cown):
            return cown.value

        def method(self, cown, more=1):
            return cown.value + more

    assert when(Cown(1))(Callable()).unwrap(timeout=LONG) == 1
    assert when(Cown(1))(Callable().method).unwrap(timeout=LONG) == 2
    assert when(Cown(1))(functools.partial(lambda x, c: x + c.value, 5)).unwrap(timeout=LONG) == 6
    assert when(Cown(1), Cown(2))(max).unwrap(timeout=LONG) is not None


def test_shapes_that_do_not_fit():
    cown = Cown(0)
    with pytest.raises(TypeError, match=r"'f' takes 1 parameter\(s\) but @when lists 2 cown\(s\)"):

        @when(cown, cown)
        def f(a):
            pass

    with pytest.raises(TypeError, match="must each be a capture with a default value"):

        @when(cown)
        def g(a, b):
            pass

    with pytest.raises(TypeError, match="must each be a capture with a default value"):

        @when(cown)
        def h(a, b, c=1):
            pass

    with pytest.raises(TypeError, match="must each be a capture"):

        @when(cown)
        def i(a=1, b=2):
            pass


@pytest.mark.parametrize("item", [1, None, "c", {}, [1], (Cown(0), 1), [[Cown(0)]]])
def test_what_is_no_cown(item):
    with pytest.raises(TypeError, match="can only schedule over cowns or sequences of cowns"):
        when(item)(lambda x: None)
    with pytest.raises(TypeError, match="can only schedule over cowns or sequences of cowns"):
        whencall(lambda x: None, [item], [])


def test_what_is_no_function():
    with pytest.raises(TypeError, match="not a thunk name"):
        whencall("name", [], [])
    with pytest.raises(TypeError, match="is no function"):
        when()(5)
    with pytest.raises(SyntaxError, match="'f' is an async function"):

        @when()
        async def f():
            pass

    with pytest.raises(SyntaxError, match="'g' is a generator function"):

        @when()
        def g():
            yield


def carries_a_lock(lock=threading.Lock()):  # noqa: B008
    """Return what it has by default."""
    return lock


def test_strict_mode_refuses_what_bocpy_could_not_run():
    x = 1
    assert boc.strict() is False
    with pytest.raises(SyntaxError, match="'f' closes over 'x'.*x=x"):

        @when()
        def f():
            return x

    with pytest.raises(TypeError, match="is no function"):
        when(Cown(1))(Value().__init__)

    @when(Cown(1))
    def result(cown, x=x):
        return cown.value + x + len(builtins.__name__)

    assert result.unwrap(timeout=LONG) == 10
    assert boc.strict(False) is True

    @when()
    def again():
        return x

    assert again.unwrap(timeout=LONG) == 1


def test_strict_mode_refuses_what_bocpy_could_not_carry():
    inner, lock = Cown(1), threading.Lock()
    try:
        assert boc.strict() is False
        # A cown goes from one interpreter to another by itself.
        cowns = [inner, PinnedCown(lock)]
        assert Cown(cowns).unwrap() is cowns
        boc.send("behaviours-test", {"inner": inner})
        for refused in (
            lambda: Cown([lock]),
            lambda: boc.send("behaviours-test", lock),
            lambda: whencall(carries_a_lock, [], [lock]),
            lambda: when()(carries_a_lock),
        ):
            with pytest.raises(TypeError, match="cannot pickle"):
                refused()
    finally:
        boc.strict(False)
    assert boc.receive("behaviours-test", 0) == ("behaviours-test", {"inner": inner})
    assert boc.receive("behaviours-test", 0)[0] == boc.TIMEOUT
    assert Cown(lock).unwrap() is lock


def test_strict_mode_may_be_set_from_the_environment(monkeypatch):
    program = "from pysync import boc; print(boc.strict())"
    for value, before in (("1", "True"), ("0", "False")):
        monkeypatch.setenv("PYSYNC_BOC_STRICT", value)
        assert run_python(program)[:2] == (0, before + "\n")


def test_the_number_of_workers_may_be_set_from_the_environment(monkeypatch):
    program = "from pysync import boc; print(boc.WORKER_COUNT)"
    monkeypatch.setenv("BOCPY_WORKERS", "7")
    assert run_python(program)[:2] == (0, "7\n")
    monkeypatch.setenv("BOCPY_WORKERS", "many")
    assert int(run_python(program)[1]) >= 1


# Exceptions.


def test_an_exception_is_the_result():
    cown = Cown(0)

    @when(cown)
    def bad(cown):
        cown.value = 1
        raise KeyError("key")

    @when(bad, cown)
    def check(bad, cown):
        found = bad.exception, type(bad.value), cown.value
        bad.value = None
        return *found, bad.exception

    assert check.unwrap(timeout=LONG) == (True, KeyError, 1, False)


def test_an_exception_that_is_returned_is_a_value():
    @when()
    def result():
        return ValueError("just a value")

    assert isinstance(result.unwrap(timeout=LONG), ValueError)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, BaseException])
def test_workers_survive_any_exception(error):
    cown = Cown(0)

    @when(cown)
    def bad(cown):
        raise error("from a body")

    @when(cown)
    def good(cown):
        return "ran"

    assert good.unwrap(timeout=LONG) == "ran"
    with pytest.raises(error, match="from a body"):
        bad.unwrap(timeout=LONG)


@pytest.mark.parametrize("workers", [1, 2])
def test_200_exceptions_and_then_50_good_ones(workers, capsys):
    start(workers)
    for _ in range(200):

        @when(Cown(0))
        def _(cown):
            raise ZeroDivisionError

    results = []
    for i in range(50):

        @when(Cown(i))
        def result(cown):
            return cown.value

        results.append(result)
    assert [result.unwrap(timeout=LONG) for result in results] == list(range(50))
    del _
    wait(LONG)
    collect()
    assert capsys.readouterr().err.count("unhandled exception: ZeroDivisionError()") == 200


def test_a_body_that_recurses_without_end():
    class Nested:
        def __repr__(self):
            return repr([self])

    def recurse():
        recurse()

    for function in (recurse, lambda: repr(Nested())):
        with pytest.raises(RecursionError):
            whencall(function, [], []).unwrap(timeout=LONG)


# What a body owns.


def test_a_body_owns_what_it_has_asked_for():
    asked, other = Cown(1), Cown(2)

    @when(asked)
    def result(asked):
        assert asked.acquired
        asked.acquire()
        asked.release()
        assert asked.acquired
        with asked as value:
            assert value == 1
        assert asked.value == 1
        assert not other.acquired
        with pytest.raises(RuntimeError, match="does not own"):
            other.value  # noqa: B018
        with pytest.raises(RuntimeError, match="does not own"):
            in_thread(lambda: asked.value)
        return True

    assert result.unwrap(timeout=LONG)


def test_a_body_may_acquire_what_is_free():
    free = Cown([1])

    @when()
    def first():
        with free as value:
            value.append(2)
        free.acquire()
        # It is released at the end of the body.

    assert first.unwrap(timeout=LONG) is None

    @when(free)
    def second(free):
        return free.value

    assert second.unwrap(timeout=LONG) == [1, 2]


def test_a_body_does_not_wait():
    held, began = Cown(0), threading.Event()

    @when()
    def result():
        assert began.wait(LONG)
        errors = []
        for wrong in (
            held.acquire,
            lambda: held.acquire(timeout=None),
            lambda: held.acquire(timeout=1),
            lambda: held.unwrap(timeout=1),
            quiesce,
            wait,
        ):
            with pytest.raises(RuntimeError) as raised:
                wrong()
            errors.append(str(raised.value))
        return errors

    with held_elsewhere(held):
        began.set()
        errors = result.unwrap(timeout=LONG)
    assert "cannot acquire cown" in errors[0]
    assert all("must not wait" in error for error in errors[1:4])
    assert all("inside a behavior" in error for error in errors[4:])


# What bocpy gets wrong.


def test_a_behavior_waits_for_a_cown_that_the_main_thread_holds():
    cown = Cown(1)
    cown.acquire()

    @when(cown)
    def result(cown):
        return cown.value

    with pytest.raises(TimeoutError):
        quiesce(0.01)
    cown.value = 2
    cown.release()
    assert result.unwrap(timeout=LONG) == 2


def test_wait_with_a_timeout_while_a_body_has_a_cown_of_the_caller():
    cown, began, gate = Cown(0), threading.Event(), threading.Event()

    @when(cown)
    def running(cown):
        began.set()
        gate.wait(LONG)
        return "ran"

    @when(cown)
    def queued(cown):
        return "ran too"

    assert began.wait(LONG)
    threading.Timer(0.05, gate.set).start()
    wait(0.001)
    assert running.unwrap() == "ran"
    with pytest.raises(RuntimeError, match="behavior dropped during stop"):
        queued.unwrap()

    @when(cown)
    def next_runtime(cown):
        return "runs"

    assert next_runtime.unwrap(timeout=LONG) == "runs"


def test_what_a_body_schedules_last_does_not_wait_for_its_end():
    start(2)
    gate = threading.Event()

    @when()
    def outer():
        @when()
        def inner():
            gate.set()

        return gate.wait(LONG)

    assert outer.unwrap(timeout=LONG) is True


def test_sends_before_the_start_are_kept():
    if not hasattr(boc, "send"):
        pytest.skip("no queues")
    boc.send("behaviours-test", 1)
    start()
    assert boc.receive("behaviours-test", 1) == ("behaviours-test", 1)


def test_bodies_that_are_no_python_let_others_run():
    """The interpreter has a thread give way only where that runs Python."""
    start(1)
    cown, count = Cown(0), 200_000

    def some_are_seen_to_be_left():
        cown.acquire()
        for _ in range(count):
            whencall(len, [[cown]], [])
        cown.release()
        seen = set()
        while (pending := _pysync.pending()) > 0:
            seen.add(pending)
        return any(0 < pending < count for pending in seen)

    # On a busy machine this thread may not get a processor in all that time.
    assert any(some_are_seen_to_be_left() for _ in range(50))


# Start and end.


def test_start_is_idempotent():
    start(worker_count=2)
    start()
    start(worker_count=2)
    with pytest.raises(RuntimeError, match=r"bocpy.start\(worker_count=3\) was called but"):
        start(worker_count=3)
    start(module=("a.b", None))
    wait(LONG)
    start(worker_count=3)
    assert len(wait(LONG, stats=True)) == 3


@pytest.mark.parametrize("count", [0, -1, 5000])
def test_start_refuses_a_number(count):
    with pytest.raises((ValueError, OverflowError)):
        start(worker_count=count)


@pytest.mark.parametrize("module", ['a"b', ("a b", "file"), (1, "file"), ("", None)])
def test_start_refuses_a_module(module):
    with pytest.raises(ValueError, match="dotted Python module path"):
        start(module=module)


def test_workers_are_as_many_as_asked_for():
    barrier = threading.Barrier(3)
    start(3)

    def body():
        barrier.wait(LONG)
        return threading.get_ident()

    results = [whencall(body, [], []) for _ in range(3)]
    idents = {result.unwrap(timeout=LONG) for result in results}
    assert len(idents) == 3
    assert threading.get_ident() not in idents


def test_the_default_is_one_worker_or_more():
    assert boc.WORKER_COUNT >= 1
    start()
    assert len(wait(LONG, stats=True)) == boc.WORKER_COUNT


def test_wait_without_a_runtime():
    assert wait() is None
    assert wait(stats=True) == []
    assert wait(noticeboard=True) == {}
    assert wait(stats=True, noticeboard=True) == boc.WaitResult([], {})
    assert quiesce(stats=True, noticeboard=True) == ([], {})


def test_runtimes_follow_each_other():
    cown = Cown(0)
    for i in range(20):
        whencall(add_one, [cown], [])
        wait(LONG)
        assert cown.value == i + 1


def test_statistics():
    start(2)
    cowns = [Cown(0) for _ in range(10)]
    for i in range(200):
        whencall(add_one, [cowns[i % 10]], [])
    stats = quiesce(LONG, stats=True)
    assert [worker["worker_index"] for worker in stats] == [0, 1]
    assert sum(worker["popped_local"] + worker["popped_via_steal"] for worker in stats) == 200
    assert len(stats[0]) == 14
    assert all(type(count) is int for worker in stats for count in worker.values())


def test_quiesce_times_out():
    gate = threading.Event()
    whencall(gate.wait, [], [LONG])
    for timeout in (0, -1, 0.001):
        with pytest.raises(TimeoutError, match="did not reach quiescence within timeout="):
            quiesce(timeout)
    with pytest.raises(ValueError, match="NaN"):
        quiesce(float("nan"))
    gate.set()
    quiesce(float("inf"))


def test_behaviors_are_refused_while_the_runtime_stops():
    began, gate = threading.Event(), threading.Event()

    @when()
    def running():
        began.set()
        gate.wait(LONG)
        return _error_of(lambda: whencall(add_one, [Cown(0)], []))

    assert began.wait(LONG)

    def release():
        # The runtime is stopping once another thread is refused.
        deadline = time.monotonic() + LONG
        while time.monotonic() < deadline:
            if _error_of(lambda: whencall(add_one, [Cown(0)], [])) is not None:
                break
            time.sleep(0.001)
        gate.set()

    thread = threading.Thread(target=release)
    thread.start()
    wait(0)
    thread.join(LONG)
    assert running.unwrap() == "runtime is shutting down"


def _error_of(function):
    try:
        function()
    except RuntimeError as error:
        return str(error)
    return None


def test_other_threads_schedule_too():
    start(2)
    cown = Cown(0)

    def schedule():
        for _ in range(500):
            whencall(add_one, [cown], [])

    threads = [threading.Thread(target=schedule) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    quiesce(LONG)
    assert cown.unwrap() == 2000


# Signals.


@pytest.mark.parametrize("timeout", [None, LONG])
@pytest.mark.parametrize("waits", [quiesce, wait])
def test_a_handler_runs_during_a_wait(waits, timeout):
    gate = threading.Event()
    result = whencall(gate.wait, [], [LONG])
    with alarm(gate.set):
        waits(timeout)
    assert result.unwrap(timeout=LONG) is True


@pytest.mark.parametrize("timeout", [None, LONG])
@pytest.mark.parametrize("waits", [quiesce, wait])
def test_a_handler_that_raises_ends_a_wait(waits, timeout):
    gate = threading.Event()
    result = whencall(gate.wait, [], [LONG])
    with pytest.raises(Alarm), alarm(raise_alarm):
        waits(timeout)
    gate.set()
    assert result.unwrap(timeout=LONG) is True
    waits(LONG)


def test_a_handler_that_raises_ends_a_stop():
    """The timeout of the wait is over, and a body is waited for."""
    gate = threading.Event()
    began = threading.Event()

    @when()
    def running():
        began.set()
        gate.wait(LONG)

    assert began.wait(LONG)
    with pytest.raises(Alarm), alarm(raise_alarm):
        wait(0)
    with pytest.raises(RuntimeError, match="shutting down"):
        whencall(add_one, [Cown(0)], [])
    gate.set()
    wait(LONG)
    assert whencall(add_one, [Cown(0)], []).unwrap(timeout=LONG) == 1


# References.


def test_nothing_of_a_behavior_is_left():
    things = [Value() for _ in range(5)]
    gone = [weakref.ref(thing) for thing in things]
    cowns = [Cown(things[0]), Cown(things[1]), Cown(0)]
    gone += [weakref.ref(cown) for cown in cowns]

    def schedule(capture, own):
        @when(cowns[0], cowns[1:])
        def body(one, group, capture=capture):
            assert own
            one.value, group[0].value = group[0].value, one.value
            return capture

        return weakref.ref(body), whencall(lambda x, y: y, [cowns[2]], [things[4]])

    body, other = schedule(things[2], things[3])
    gone += [body, weakref.ref(other)]
    quiesce(LONG)
    cowns.clear()
    things.clear()
    del other
    collect()
    assert [ref() for ref in gone] == [None] * len(gone)


def test_nothing_of_a_behavior_that_was_dropped_is_left():
    gate, began = threading.Event(), threading.Event()
    cown, value = Cown(0), Value()
    gone = [weakref.ref(cown), weakref.ref(value)]

    @when(cown)
    def _(cown):
        began.set()
        gate.wait(LONG)

    result = whencall(lambda cown, value: value, [cown], [value])
    gone.append(weakref.ref(result))
    assert began.wait(LONG)
    threading.Timer(0.05, gate.set).start()
    wait(0)
    with pytest.raises(RuntimeError, match="dropped"):
        result.unwrap()
    del cown, value, result, _
    collect()
    assert [ref() for ref in gone] == [None] * len(gone)


def test_nothing_of_an_exception_is_left():
    value = Value()
    gone = weakref.ref(value)

    @when(Cown(value))
    def result(cown):
        local = cown.value  # noqa: F841
        raise ValueError

    del value
    with pytest.raises(ValueError):
        result.unwrap(timeout=LONG)
    del result
    quiesce(LONG)
    collect()
    assert gone() is None


def test_references_are_steady():
    cown, value = Cown(0), Value()

    def body(cown, value):
        cown.value += 1
        return value

    def schedule():
        for _ in range(100):
            whencall(body, [cown], [value])
            whencall(body, [[cown, cown]], [value]).acquired  # noqa: B018
        quiesce(LONG)
        with pytest.raises(AttributeError):
            whencall(body, [[cown]], [value]).unwrap(timeout=LONG)
        collect()

    def counts():
        return [sys.getrefcount(thing) for thing in (cown, value, body)]

    schedule()
    before = counts()
    objects = len(gc.get_objects())
    schedule()
    assert counts() == before
    assert len(gc.get_objects()) - objects < 50


def test_a_value_that_a_body_replaces_goes():
    class Dropped:
        def __del__(self):
            dropped.set()

    dropped = threading.Event()

    @when(Cown(Dropped()))
    def _(cown):
        cown.value = None

    quiesce(LONG)
    # Without a global lock the thread that has made it frees it.
    collect()
    assert dropped.is_set()


def test_the_drop_of_a_capture_may_schedule():
    results = []

    class Dropped:
        def __del__(self):
            results.append(whencall(add_one, [Cown(5)], []))

    whencall(lambda cown, capture: None, [Cown(0)], [Dropped()])
    quiesce(LONG)
    assert results[0].unwrap(timeout=LONG) == 6


def test_pending_behaviors_are_counted():
    gate = threading.Event()
    cown = Cown(0)
    whencall(lambda cown: gate.wait(LONG), [cown], [])
    for _ in range(9):
        whencall(add_one, [cown], [])
    assert _pysync.pending() == 10
    gate.set()
    quiesce(LONG)
    assert _pysync.pending() == 0
