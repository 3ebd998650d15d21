"""The end of the interpreter, whatever the workers do by then; and forks."""

import os

import pytest
from behaviours_common import run_python

START = """
import threading, time
from pysync.boc import *
cown, began = Cown(0), threading.Event()
"""

PROGRAMS = {
    "workers that sleep": "start(4)",
    "behaviors that have not run": """
for _ in range(10_000):
    whencall(lambda cown: None, [cown], [])
""",
    "a body that ends soon": """
whencall(lambda cown: (began.set(), time.sleep(0.05)), [cown], [])
began.wait()
""",
    "a body that counts for ever": """
@when(cown)
def _(cown):
    began.set()
    while True:
        cown.value += 1
began.wait()
""",
    "bodies that sleep for ever": """
start(4)
barrier = threading.Barrier(5)
def body():
    barrier.wait()
    while True:
        time.sleep(0.0001)
for _ in range(4):
    whencall(body, [], [])
barrier.wait()
""",
    "a body that waits for a message": """
@when(cown)
def _(cown):
    began.set()
    receive("never")
began.wait()
""",
    "a body in the drop of a value": """
class Dropped:
    def __del__(self):
        began.set()
        time.sleep(0.05)
whencall(lambda cown: bool(Dropped()), [cown], [])
began.wait()
""",
    "a behavior of a pinned cown": "whencall(lambda pinned: None, [PinnedCown(0)], [])",
    "a cown that the main thread holds": """
cown.acquire()
whencall(lambda cown: None, [cown], [])
""",
    "a cown that another thread waits for": """
cown.acquire()
thread = threading.Thread(target=lambda: (began.set(), cown.acquire(timeout=None)), daemon=True)
thread.start()
began.wait()
""",
    "a function on the noticeboard's thread": """
start()
notice_update("key", lambda value: (began.set(), time.sleep(1000)))
began.wait()
""",
    "a function that is called at the end": """
import atexit
def late():
    assert whencall(lambda: 5, [], []).unwrap(timeout=60) == 5
    print("late")
atexit.register(late)
""",
}


ENDED = {
    "in the drop of a capture": """
start(1)
def outer():
    whencall(lambda cown, dropped: None, [cown], [Dropped()])
whencall(outer, [], [])
""",
    "in the drop of a result": """
start(1)
def outer():
    whencall(Dropped, [], [])
whencall(outer, [], [])
""",
    "in the drop of a value": """
def body():
    with Cown(Dropped()) as value:
        del value
whencall(body, [], [])
""",
    "in the drop of a cown that the body has acquired": """
def body():
    Cown(Dropped()).acquire()
whencall(body, [], [])
""",
    "in the drop of what was noted": """
start()
whencall(lambda: _pysync.set_body_note(Dropped()), [], [])
""",
    "in an assignment": """
def assign():
    other = Cown(Dropped())
    with other:
        other.value = None
threading.Thread(target=assign, daemon=True).start()
""",
    "in a drain": """
def drain_it():
    send("tag", Dropped())
    drain("tag")
threading.Thread(target=drain_it, daemon=True).start()
""",
    "in set_tags": """
def set_them():
    send("tag", Dropped())
    set_tags([])
threading.Thread(target=set_them, daemon=True).start()
""",
    "in what receive calls after a timeout": """
threading.Thread(target=lambda: receive("tag", 0, hold), daemon=True).start()
""",
    "in a wait for a body": """
import logging
logging.disable()
whencall(hold, [], [])
def waits():
    began.wait(60)
    wait(0)
threading.Thread(target=waits, daemon=True).start()
began.wait(60)
while True:
    try:
        whencall(hold, [], [])
    except RuntimeError:
        # The thread has stopped the runtime, and waits for the first one.
        break
""",
    "as it writes to stderr": """
class Stderr:
    def write(self, text):
        hold()
    def flush(self):
        pass
sys.stderr = Stderr()
def fail():
    raise ValueError
start(1)
whencall(lambda: whencall(fail, [], []) and None, [], [])
""",
}


@pytest.mark.parametrize("name", ENDED)
def test_a_thread_that_is_ended_does_no_harm(name):
    """It attaches while the interpreter is being finalized. Before 3.14 that unwinds it."""
    program = (
        START
        + """
import os, sys
from pysync import _pysync
read, write = os.pipe()
def hold(read=os.read, fd=read):
    began.set()
    read(fd, 1)
class Dropped:
    def __del__(self, hold=hold):
        hold()
class Last:
    def __del__(self, write=os.write, fd=write, sleep=time.sleep):
        write(fd, b"!")
        # In which the other attaches.
        sleep(0.1)
sys.last_of_all = Last()
"""
        + ENDED[name]
        + "assert began.wait(60)"
    )
    code, out, errors = run_python(program)
    assert (code, out, errors) == (0, "", "")


def test_a_body_gives_back_what_the_drop_of_an_acquired_cown_acquires():
    program = (
        START
        + """
other = Cown(5)
class Acquires:
    def __del__(self):
        other.acquire()
def body():
    Cown(Acquires()).acquire()
start(1)
whencall(body, [], []).unwrap(timeout=60)
quiesce(60)
assert whencall(lambda other: other.value, [other], []).unwrap(timeout=60) == 5
"""
    )
    assert run_python(program) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no limits of memory")
def test_a_start_that_gets_no_threads_fails():
    program = """
import resource
from pysync.boc import *
with open("/proc/self/statm") as file:
    pages = int(file.read().split()[0])
limit = pages * resource.getpagesize() + (200 << 20)
_, most = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (limit, most))
try:
    start(1000)
except RuntimeError as error:
    print("refused")
resource.setrlimit(resource.RLIMIT_AS, (most, most))
assert whencall(lambda: 5, [], []).unwrap(timeout=60) == 5
"""
    assert run_python(program) == (0, "refused\n", "")


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_interpreter_ends(name):
    code, out, errors = run_python(START + PROGRAMS[name])
    assert (code, errors) == (0, "")
    assert out == ("late\n" if "at the end" in name else "")


def test_nothing_is_scheduled_once_the_interpreter_ends():
    program = """
import atexit
def later():
    try:
        whencall(lambda: 5, [], [])
    except RuntimeError as error:
        print(error)
# Called after what the package has registered itself.
atexit.register(later)
from pysync.boc import *
"""
    code, out, errors = run_python(program)
    assert (code, errors) == (0, "")
    assert "bocpy runtime is not running" in out


def test_an_exit_code_is_kept():
    code, _, errors = run_python(START + "start(2)\nraise SystemExit(3)")
    assert (code, errors) == (3, "")


FORKS = {
    "idle workers": "start(2)",
    "workers that are busy": """
start(2)
def again(cown):
    cown.value += 1
    try:
        whencall(again, [cown], [])
    except RuntimeError:
        # The interpreter ends.
        pass
for _ in range(4):
    whencall(again, [Cown(0)], [])
""",
    "no runtime": "",
    "a runtime that was stopped": "start(2); wait()",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("name", FORKS)
def test_a_child_has_a_runtime_of_its_own(name):
    program = (
        START
        + FORKS[name]
        + """
import os
free = Cown(5)
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        result = whencall(lambda free: free.value + 1, [free], [])
        assert result.unwrap(timeout=60) == 6
        pinned = whencall(lambda pinned: threading.get_ident(), [PinnedCown(0)], [])
        assert pump().executed == 1
        assert pinned.unwrap() == threading.get_ident()
        quiesce(60)
        wait()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
# That of the parent goes on.
assert whencall(lambda free: free.value, [free], []).unwrap(timeout=60) == 5
"""
    )
    code, _, errors = run_python(program, "-W", "ignore")
    assert (code, errors) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_body_may_fork():
    program = (
        START
        + """
import os
@when(cown)
def result(cown):
    pid = os.fork()
    if pid == 0:
        cown.value += 1
        assert cown.value == 1
        inner = whencall(lambda: 7, [], [])
        os._exit(0)
    return os.waitpid(pid, 0)[1]
assert result.unwrap(timeout=60) == 0
wait()
assert cown.value == 0
"""
    )
    code, _, errors = run_python(program, "-W", "ignore")
    assert (code, errors) == (0, "")
