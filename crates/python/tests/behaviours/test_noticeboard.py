"""The noticeboard."""

import logging
import operator
import os
import pickle
import threading
import weakref
from collections.abc import Mapping
from functools import partial

import pytest
from behaviours_common import LONG, Alarm, alarm, collect, raise_alarm, run_python
from pysync.boc import (
    REMOVED,
    Cown,
    notice_delete,
    notice_read,
    notice_seed,
    notice_update,
    notice_write,
    noticeboard,
    quiesce,
    start,
    wait,
    when,
    whencall,
)


class Value:
    """Something that can be weakly referenced."""


def board():
    """Return what is on the board, after all that was written."""
    return quiesce(LONG, noticeboard=True)


def test_what_is_written_is_there():
    start()
    value = Value()
    notice_write("a", value)
    notice_write("b", None)
    notice_write("a", value)
    assert board() == {"a": value, "b": None}


def test_a_body_writes_and_another_reads():
    @when()
    def writer():
        notice_write("key", 1)

    board()

    @when()
    def reader():
        return notice_read("key"), notice_read("other"), notice_read("other", 5)

    assert reader.unwrap(timeout=LONG) == (1, None, 5)


def test_a_body_sees_one_snapshot():
    start()
    notice_write("key", 1)
    board()
    gate, written = threading.Event(), threading.Event()

    @when()
    def reader():
        before = notice_read("key")
        notice_write("key", 2)
        written.set()
        gate.wait(LONG)
        return before, notice_read("key"), noticeboard() is noticeboard()

    assert written.wait(LONG)
    # The second value is on the board, for all but the body.
    notice_write("last", 1)
    while notice_read("last") is None:
        pass
    assert notice_read("key") == 2
    gate.set()
    assert reader.unwrap(timeout=LONG) == (1, 1, True)
    assert whencall(notice_read, [], ["key"]).unwrap(timeout=LONG) == 2


def test_a_snapshot_goes_with_its_body():
    start()
    value = Value()
    gone = weakref.ref(value)
    notice_write("key", value)
    board()
    del value
    assert whencall(lambda: len(noticeboard()), [], []).unwrap(timeout=LONG) == 1
    notice_delete("key")
    board()
    collect()
    assert gone() is None


def test_a_snapshot_cannot_be_changed():
    start()
    notice_write("key", 1)
    assert board() == {"key": 1}
    snapshot = noticeboard()
    assert isinstance(snapshot, Mapping)
    with pytest.raises(TypeError):
        snapshot["key"] = 2
    with pytest.raises(TypeError):
        del snapshot["key"]
    # What a wait returns is the caller's own.
    mine = board()
    mine["key"] = 3
    assert notice_read("key") == 1


def test_updates_are_atomic():
    start(2)
    for _ in range(500):
        whencall(lambda cown: notice_update("sum", partial(operator.add, 1), 0), [Cown(0)], [])
    assert board() == {"sum": 500}


def test_an_update_gets_the_value_or_the_default():
    start()
    notice_write("none", None)
    seen = []
    notice_update("none", seen.append, default=1)
    notice_update("missing", lambda value: value + 1, default=1)
    notice_update("no default", lambda value: [value])
    assert board() == {"none": None, "missing": 2, "no default": [None]}
    assert seen == [None]


def test_an_update_may_remove():
    start()
    notice_write("key", 1)
    notice_update("key", lambda value: REMOVED)
    notice_update("missing", lambda value: REMOVED)
    assert board() == {}


def test_an_update_that_fails_changes_nothing(caplog):
    start()
    notice_write("key", 1)
    with caplog.at_level(logging.WARNING, logger="pysync.boc"):
        notice_update("key", lambda value: value / 0)
        assert board() == {"key": 1}
    assert "noticeboard_update('key') failed: division by zero" in caplog.text


def test_deletes():
    start()
    notice_write("a", 1)
    notice_write("b", 2)
    notice_delete("a")
    notice_delete("missing")
    assert board() == {"b": 2}


def test_there_is_room_for_64_keys(caplog):
    start()
    for i in range(65):
        notice_write(f"key{i}", i)
    with caplog.at_level(logging.WARNING, logger="pysync.boc"):
        assert board() == {f"key{i}": i for i in range(64)}
    assert "noticeboard_write('key64') failed" in caplog.text
    with pytest.raises(RuntimeError, match="64 keys"):
        notice_seed("another", 1)
    notice_write("key0", "again")
    notice_delete("key1")
    notice_write("another", 1)
    after = board()
    assert (after["key0"], after["another"], len(after)) == ("again", 1, 64)


WRITES = [
    lambda key: notice_write(key, 1),
    lambda key: notice_update(key, id),
    notice_delete,
    lambda key: notice_seed(key, 1),
    notice_read,
]


@pytest.mark.parametrize("write", WRITES)
def test_keys_are_checked(write):
    start()
    with pytest.raises(TypeError, match="noticeboard key must be a str"):
        write(123)
    with pytest.raises(ValueError, match="max 63 UTF-8 bytes"):
        write("k" * 64)
    with pytest.raises(ValueError, match="max 63 UTF-8 bytes"):
        write("k" * 61 + "\u20ac")
    with pytest.raises(ValueError, match="NUL"):
        write("a\0b")
    write("k" * 63)
    write("k" * 60 + "\u20ac")
    write("")
    board()


def test_a_function_is_checked():
    start()
    with pytest.raises(TypeError, match="callable"):
        notice_update("key", "no function")


def test_nothing_is_written_without_a_runtime():
    for verb, write in zip(("write to", "update", "delete from"), WRITES, strict=False):
        with pytest.raises(RuntimeError, match=f"cannot {verb} the noticeboard before"):
            write("key")
    assert noticeboard() == {}


def test_a_seed_starts_the_runtime_and_is_there_at_once():
    notice_seed("key", 1)
    assert notice_read("key") == 1
    notice_seed("key", 2)
    assert notice_read("key") == 2
    assert whencall(notice_read, [], ["key"]).unwrap(timeout=LONG) == 2


def test_a_worker_does_not_seed():
    result = whencall(notice_seed, [], ["key", 1])
    with pytest.raises(RuntimeError, match="primary interpreter"):
        result.unwrap(timeout=LONG)


def test_the_board_ends_with_the_runtime():
    start()
    notice_write("key", 1)
    assert wait(LONG, noticeboard=True) == {"key": 1}
    assert noticeboard() == {}
    start()
    assert wait(LONG, noticeboard=True) == {}
    start()
    notice_write("key", 2)
    result = wait(LONG, stats=True, noticeboard=True)
    assert result.noticeboard == {"key": 2}
    assert len(result.stats) >= 1


def test_writes_of_a_body_that_fails_are_there():
    @when()
    def result():
        notice_write("key", 1)
        raise ValueError

    assert board() == {"key": 1}
    with pytest.raises(ValueError):
        result.unwrap()


def test_cowns_on_the_board():
    start()
    notice_write("cowns", [Cown(i) for i in range(4)])
    board()

    @when()
    def result():
        return whencall(lambda cown: cown.value, [noticeboard()["cowns"][2]], [])

    assert result.unwrap(timeout=LONG).unwrap(timeout=LONG) == 2


def test_a_function_that_lasts():
    start()
    gate, began = threading.Event(), threading.Event()

    def slow(value):
        began.set()
        gate.wait(LONG)
        return "slow"

    notice_update("key", slow)
    assert began.wait(LONG)
    with pytest.raises(TimeoutError, match="noticeboard"):
        quiesce(0.01, noticeboard=True)
    with pytest.raises(RuntimeError, match="noticeboard thread did not shut down within"):
        wait(0.01)
    gate.set()
    assert wait(LONG, noticeboard=True) == {"key": "slow"}
    assert board() == {}


def test_a_signal_while_the_board_is_waited_for():
    start()
    gate = threading.Event()
    notice_update("key", lambda value: gate.wait(LONG))

    with pytest.raises(Alarm), alarm(raise_alarm, interval=0.05):
        quiesce(noticeboard=True)
    gate.set()
    assert board() == {"key": True}


def test_values_go():
    start()
    values = [Value() for _ in range(4)]
    gone = [weakref.ref(value) for value in values]
    notice_write("a", values[0])
    notice_write("a", values[1])
    notice_update("b", partial(lambda value, _: REMOVED, values[2]))
    notice_write("c", values[3])
    del values
    board()
    collect()
    assert [ref() is None for ref in gone] == [True, False, True, False]
    wait(LONG)
    collect()
    assert [ref() for ref in gone] == [None] * 4


def test_removed_is_one_object():
    assert repr(REMOVED) == "REMOVED"
    assert pickle.loads(pickle.dumps(REMOVED)) is REMOVED
    assert type(REMOVED)() is REMOVED


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_the_child_of_a_fork_has_a_board_of_its_own():
    program = """
import os
from pysync.boc import *
start()
notice_write("key", 1)
assert quiesce(20, noticeboard=True) == {"key": 1}
pid = os.fork()
if pid == 0:
    assert noticeboard() == {}
    start()
    notice_write("child", 1)
    assert wait(20, noticeboard=True) == {"child": 1}
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert wait(20, noticeboard=True) == {"key": 1}
"""
    code, _, errors = run_python(program, "-W", "ignore")
    assert code == 0, errors
