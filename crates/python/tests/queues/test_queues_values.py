"""Values and tags of `pysync.boc`'s queues, and what is refused."""

import enum
import gc
import sys
import threading
import weakref

import pytest
from pysync._pysync import queue_stats
from pysync.boc import TIMEOUT, drain, receive, send, set_tags
from queues_common import CAPACITY, LONG, TAGS, Value, start, wait_for_receivers


class TestValues:
    """Objects are handed over as they are."""

    @pytest.mark.parametrize("make", [Value, object, list, lambda: (i for i in ()), threading.Lock])
    def test_identity_is_kept(self, make):
        value = make()
        send("a", value)
        tag, received = receive("a")
        assert (tag, received is value) == ("a", True)

    def test_the_tag_comes_back_as_it_was_given(self):
        letters = ["a", "b"]
        name = "".join(letters)
        send("ab", 1)
        assert receive(name, 0)[0] is name
        send("ab", 1)
        assert receive(["x", name], 0)[0] is name

    @pytest.mark.parametrize("many", [list, tuple, iter, dict.fromkeys, lambda it: (i for i in it)])
    def test_tags_may_come_from_any_iterable(self, many):
        send("b", 1)
        assert receive(many(["a", "b"]), 0) == ("b", 1)
        send("b", 1)
        drain(many(["a", "b"]))
        assert receive(many(["a", "b"]), 0) == (TIMEOUT, None)

    def test_a_subclass_of_str_is_one_tag(self):
        class Kind(str, enum.Enum):
            WORK = "work"

        send(Kind.WORK, 1)
        assert receive("work", 0) == ("work", 1)
        send("work", 2)
        tag, value = receive(Kind.WORK, 0)
        assert (tag is Kind.WORK, value) == (True, 2)
        send("work", 3)
        drain(Kind.WORK)
        assert receive([Kind.WORK], 0)[0] == TIMEOUT
        set_tags([Kind.WORK])
        assert [queue["tag"] for queue in queue_stats()] == ["work"]

    @pytest.mark.parametrize("tag", ["", "a\0b", "ä", "\U0001f600", "x" * 10_000, TIMEOUT])
    def test_any_str_is_a_tag(self, tag):
        send(tag, 1)
        assert receive(tag, 0) == (tag, 1)
        assert receive(tag[:-1] + "?", 0) == (TIMEOUT, None)

    def test_what_is_queued_is_no_garbage(self):
        value = Value()
        value.itself = value
        alive = weakref.ref(value)
        send("a", value)
        del value
        gc.collect()
        assert receive("a", 0)[1] is alive()
        gc.collect()
        assert alive() is None


class TestErrors:
    """The types and the texts are bocpy's."""

    @pytest.mark.parametrize(
        ("call", "error", "text"),
        [
            (lambda: send(1, 2), TypeError, "argument 1 must be str, not int"),
            (lambda: send(None, 2), TypeError, "argument 1 must be str, not None"),
            (lambda: send("a"), TypeError, ""),
            (lambda: send(tag="a", contents=1), TypeError, ""),
            (lambda: send("\ud800", 1), UnicodeEncodeError, "surrogates"),
            (lambda: receive("\ud800", 0), UnicodeEncodeError, "surrogates"),
            (lambda: receive(["a", "\ud800"], 0), UnicodeEncodeError, "surrogates"),
            (lambda: receive([]), RuntimeError, "tags must contain at least one value"),
            (lambda: receive([1]), TypeError, "tag must be a str"),
            (lambda: receive(["a", 1]), TypeError, "tags must contain only str objects"),
            (lambda: receive(1), TypeError, "tags must either be a single str or a list/tuple"),
            (lambda: receive("a", None), TypeError, "must be real number, not NoneType"),
            (lambda: receive("a", "1"), TypeError, "must be real number, not str"),
            (lambda: receive("a", float("nan")), ValueError, "timeout must not be NaN"),
            (lambda: receive("a", 0, 1), TypeError, "'int' object is not callable"),
            (lambda: drain(1), TypeError, "tags must be a list/tuple"),
            (lambda: drain(["a", 1]), TypeError, "tags must contain only str objects"),
            (lambda: drain("\ud800"), UnicodeEncodeError, "surrogates"),
            (lambda: drain(tags="a"), TypeError, ""),
            (lambda: set_tags(1), TypeError, "Tags must provide __len__"),
            (lambda: set_tags(iter("a")), TypeError, "Tags must provide __len__"),
            (lambda: set_tags({"a": 1}), TypeError, "Tags must provide __len__"),
            (lambda: set_tags({"a"}), TypeError, ""),
            (lambda: set_tags([1]), TypeError, "Tags must contain only str objects"),
            (lambda: set_tags("x" * 17), IndexError, "Only 16 or fewer tags supported"),
            (lambda: set_tags(tags=[]), TypeError, ""),
        ],
    )
    def test_text(self, call, error, text):
        send("kept", 1)
        with pytest.raises(error) as raised:
            call()
        assert text in str(raised.value)
        assert receive("kept", 0) == ("kept", 1)

    def test_an_error_of_an_iterator_is_passed_on(self):
        def tags():
            yield "a"
            raise LookupError("no more")

        for call in [receive, drain]:
            with pytest.raises(LookupError, match="no more"):
                call(tags())

    def test_no_tag_is_left(self):
        for number in range(TAGS):
            send(f"t{number}", number)
        with pytest.raises(KeyError, match="No queue available for tag 'x': tag capacity exceeded"):
            send("x", 0)
        for tags in ["x", ["x"], ["t1", "x"]]:
            for timeout in [0, 1, -1]:
                with pytest.raises(KeyError, match="No message queue found for tag: 'x'"):
                    receive(tags, timeout)
        drain("x")
        assert [receive(f"t{number}")[1] for number in range(TAGS)] == list(range(TAGS))

    def test_a_full_queue(self):
        for number in range(CAPACITY):
            send("a", number)
        value = Value()
        before = sys.getrefcount(value)
        with pytest.raises(RuntimeError, match="Message queue is full"):
            send("a", value)
        assert sys.getrefcount(value) == before
        send("b", 1)
        assert [receive("a", 0)[1] for _ in range(CAPACITY)] == list(range(CAPACITY))
        send("a", value)

    def test_a_sender_waits_a_moment_for_receivers_to_make_room(self):
        count = 20 * CAPACITY

        def take():
            return [receive("a")[1] for _ in range(count)]

        receiver = start(take)
        failures = 0
        for number in range(count):
            while True:
                try:
                    send("a", number)
                    break
                except RuntimeError:
                    failures += 1
        assert receiver.join() == list(range(count))
        # The receiver may be kept from running for longer than the moment. A sender that did not wait would
        # fail some thousand times until the receiver gets the GIL.
        assert failures < 100


class TestSetTags:
    """All is checked first, and then done in one step."""

    @pytest.mark.parametrize("bad", [["x", 3], ["x", "\ud800"], [f"{i}" for i in range(17)]])
    def test_a_bad_element_changes_nothing(self, bad):
        for number in range(TAGS):
            send(f"t{number}", number)
        before = queue_stats()
        with pytest.raises((TypeError, UnicodeEncodeError, IndexError)):
            set_tags(bad)
        assert queue_stats() == before
        set_tags([])
        for number in range(TAGS):
            send(f"new{number}", number)

    def test_a_name_that_stands_there_twice_has_one_tag(self):
        set_tags(["a", "b", "a"])
        assert [queue["tag"] for queue in queue_stats()] == ["a", "b"]

    def test_others_may_claim_what_is_left(self):
        set_tags(["a", "b"])
        for number in range(TAGS - 2):
            send(f"t{number}", number)
        with pytest.raises(KeyError):
            send("x", 0)

    @pytest.mark.parametrize("timeout", [-1, LONG])
    @pytest.mark.parametrize("tags", ["a", ["b", "a"]])
    def test_a_receiver_waits_on_under_the_new_tags(self, tags, timeout):
        receiver = start(receive, tags, timeout)
        wait_for_receivers("a")
        set_tags(["c", "a"])
        send("a", 1)
        assert receiver.join() == ("a", 1)

    @pytest.mark.parametrize("timeout", [-1, LONG])
    @pytest.mark.parametrize("tags", ["a", ["b", "a"]])
    def test_a_receiver_whose_tag_is_gone_fails(self, tags, timeout):
        receiver = start(receive, tags, timeout)
        wait_for_receivers("a")
        set_tags(["b"] + [f"t{number}" for number in range(TAGS - 1)])
        with pytest.raises(RuntimeError, match="Tag invalidated during receive"):
            receiver.join()
