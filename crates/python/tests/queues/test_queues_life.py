"""How long `pysync.boc`'s queues keep what is in them, and how the interpreter ends with them."""

import gc
import sys
import sysconfig
import weakref

import pytest
from pysync.boc import TIMEOUT, drain, receive, send, set_tags
from queues_common import Value, run


class TestFinalizers:
    """Values are dropped with no lock held, so that they may do anything."""

    @pytest.mark.parametrize("discard", [lambda: drain("a"), lambda: set_tags([])])
    def test_a_finalizer_may_use_the_queues(self, discard):
        done = []

        class Busy:
            def __del__(self):
                send("from __del__", 1)
                assert receive(["x", "from __del__"], 0) == ("from __del__", 1)
                drain(["a", "b"])
                set_tags(["y"])
                done.append(1)

        for _ in range(3):
            send("a", Busy())
        discard()
        assert len(done) == 3

    def test_values_are_dropped_at_once(self):
        for discard in [lambda: drain("a"), lambda: set_tags([]), lambda: receive("a", 0)]:
            value = Value()
            alive = weakref.ref(value)
            send("a", value)
            del value
            assert alive() is not None
            discard()
            assert alive() is None

    def test_a_finalizer_that_fails_leaves_the_others(self, monkeypatch):
        failed = []
        monkeypatch.setattr(sys, "unraisablehook", lambda error: failed.append(error.exc_type))

        class Fails:
            def __del__(self):
                raise LookupError

        for discard in [lambda: drain("a"), lambda: set_tags([])]:
            failed.clear()
            for _ in range(3):
                send("a", Fails())
            discard()
            assert failed == [LookupError] * 3

    def test_reference_counts_are_steady(self):
        value, tags = Value(), ["a", "b"]
        held = [value, tags, *tags, TIMEOUT, None]
        held = [it for it in held if sys.getrefcount(it) < 1 << 28]

        def use(count):
            for number in range(count):
                send("a", value)
                receive("a")
                send("b", value)
                receive(tags, 1)
                receive(tags, 0)
                receive("a", 0, lambda: value)
                send("a", value)
                drain(tags)
                if number % 100 == 0:
                    send("a", value)
                    set_tags(["a", "b"])
                    for call in [
                        lambda: send(1, value),
                        lambda: receive([value]),
                        lambda: receive("a", 0, value),
                        lambda: set_tags(["a", value]),
                    ]:
                        with pytest.raises(TypeError):
                            call()

        use(200)
        gc.collect()
        before = [sys.getrefcount(it) for it in held]
        total = getattr(sys, "gettotalrefcount", lambda: 0)
        total_before = total()
        use(10_000)
        gc.collect()
        # None of the calls above is made less than 100 times; some references are the interpreter's own.
        grown = [sys.getrefcount(it) - count for it, count in zip(held, before)]
        assert max(map(abs, grown)) < 50
        assert total() - total_before < 50


SLEEPERS = {
    "one": "receive('a')",
    "several": "receive(['a', 'b', 'c'])",
    "one, timed": "receive('a', 1000)",
    "several, timed": "receive(['a', 'b'], 1000)",
}


BUSY = {
    "timeouts": "receive(['a', 'b'], 0.0001)",
    "messages": "send('c', Noisy()); receive(['a', 'c'], 0.0001)",
    "a full queue": "fill()",
    "set_tags": "set_tags(['a', 'b']); receive('a', 0.0001)",
}


class TestShutdown:
    """The interpreter ends, whatever daemon threads do in the queues."""

    PRELUDE = """
        import atexit, faulthandler, os, sys, threading, time
        from pysync.boc import drain, receive, send, set_tags
        from pysync._pysync import queue_stats

        faulthandler.dump_traceback_later(150, exit=True)

        def parked():
            return sum(queue["parked_receivers"] for queue in queue_stats())

        class Noisy:
            def __init__(self, text=None):
                self.text = text
            def __del__(self):
                if self.text:
                    print(self.text, flush=True)

        def fill():
            try:
                send("full", 1)
            except RuntimeError:
                pass

        def thread(body):
            threading.Thread(target=body, daemon=True).start()
    """

    @pytest.mark.parametrize("end", ["", "os._exit(0)", "sys.exit()", "send('a', 1)"])
    @pytest.mark.parametrize("sleep", SLEEPERS.values(), ids=SLEEPERS.keys())
    def test_daemons_that_sleep(self, sleep, end):
        run(f"""{self.PRELUDE}
        for _ in range(3):
            thread(lambda: {sleep})
        while parked() < 3:
            time.sleep(0)
        {end}
        """)

    @pytest.mark.parametrize("sleep", SLEEPERS.values(), ids=SLEEPERS.keys())
    def test_daemons_that_are_woken_while_the_interpreter_ends(self, sleep):
        out = run(f"""{self.PRELUDE}
        for _ in range(3):
            thread(lambda: {sleep})
        while parked() < 3:
            time.sleep(0)

        class Wakes:
            def __init__(self, send):
                self.send = send
            def __del__(self):
                for number in range(3):
                    self.send("a", number)

        atexit.register(send, "a", 1)
        last = Wakes(send)
        sys.last_of_all = Wakes(send)
        print("ends")
        """)
        assert out == "ends\n"

    @pytest.mark.parametrize("body", BUSY.values(), ids=BUSY.keys())
    def test_daemons_that_are_busy(self, body):
        for _ in range(3):
            run(
                f"""{self.PRELUDE}
            rounds = 0

            def work():
                global rounds
                while True:
                    {body}
                    rounds += 1

            for _ in range(3):
                thread(work)
            while rounds < 50:
                time.sleep(0)
            """.replace("\n    ", "\n")
            )

    def test_values_are_dropped_while_the_interpreter_is_there(self):
        out = run(f"""{self.PRELUDE}
        for number in range(3):
            send("a", Noisy(number + 1))
        send("b", Noisy("b"))
        thread(lambda: receive(["c", "d"]))
        while not parked():
            time.sleep(0)
        print("ends", flush=True)
        """)
        assert out.split() == ["ends", "1", "2", "3", "b"]


class TestInterpreters:
    """Which interpreters the module is for."""

    @pytest.mark.skipif(
        not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="only without a GIL"
    )
    def test_the_gil_stays_off(self):
        script = """
            import sys
            import pysync.boc
            print(sys._is_gil_enabled())
        """
        assert run(script) == "False\n"

    def test_sub_interpreters_are_refused(self):
        script = """
            import sys
            try:
                import _interpreters as interpreters
                kinds = [(), ("legacy",)]
            except ImportError:
                import _xxsubinterpreters as interpreters
                kinds = [()]

            attempt = '''
            import sys
            try:
                import pysync.boc
            except ImportError as error:
                print(error)
            else:
                print("imported")
            sys.stdout.flush()
            '''.replace("            ", "")

            def in_subinterpreters():
                for kind in kinds:
                    interpreters.run_string(interpreters.create(*kind), attempt)

            in_subinterpreters()
            from pysync.boc import receive, send
            in_subinterpreters()
            send("a", 1)
            print(receive("a"))
        """
        with_gil = "pysync can be imported in the main interpreter only"
        of_its_own = "module pysync._pysync does not support loading in subinterpreters"
        *refused, used = run(script).splitlines()
        assert refused and set(refused) <= {with_gil, of_its_own}
        assert used == "('a', 1)"
