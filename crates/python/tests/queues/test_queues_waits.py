"""Receivers of `pysync.boc`'s queues that wait, alone and among many threads."""

import random
import threading
import time

import pytest
from pysync._pysync import queue_stats
from pysync.boc import TIMEOUT, drain, receive, send, set_tags
from queues_common import LONG, TAGS, start, stats_of, wait_for_receivers, wait_until


class TestWaits:
    """A receiver looks at all tags, sleeps, and is woken by each of them."""

    def test_no_timeout_is_one_look_at_all_tags(self):
        for _ in range(100):
            send("b", 1)
            assert receive(["a", "b"], 0) == ("b", 1)
            assert receive(["a", "b"], 0) == (TIMEOUT, None)

    def test_no_tag_starves(self):
        tags = ["a", "b", "c"]
        for number in range(300):
            send(tags[number % 3], number)
        first = [receive(tags)[0] for _ in range(30)]
        assert set(first) == set(tags)

    @pytest.mark.parametrize("timeout", [0, 0.01, 1e-9])
    def test_timeout(self, timeout):
        before = time.monotonic()
        assert receive("a", timeout) == (TIMEOUT, None)
        assert time.monotonic() - before >= timeout
        assert receive(["a", "b"], timeout, lambda: "late") == "late"
        with pytest.raises(ZeroDivisionError):
            receive("a", timeout, lambda: 1 // 0)
        assert receive("a", timeout, None)[0] is TIMEOUT
        assert receive(tags="a", timeout=timeout, after=lambda: 5) == 5

    @pytest.mark.parametrize("timeout", [-1, -0.5, float("-inf"), float("inf"), 1e300, LONG])
    @pytest.mark.parametrize("count", [1, 2, 4, 16, 40])
    def test_each_tag_wakes(self, count, timeout):
        tags = [f"t{number % TAGS}" for number in range(count)]
        for tag in dict.fromkeys(tags):
            receiver = start(receive, tags, timeout)
            wait_for_receivers(tag)
            send(tag, 1)
            assert receiver.join() == (tag, 1)
        assert all(queue["parked_receivers"] == 0 for queue in queue_stats())

    def test_one_message_wakes_one_receiver(self):
        receivers = [start(receive, ["a", f"b{number}"], LONG) for number in range(4)]
        wait_for_receivers("a", 4)
        send("b2", "mine")
        assert receivers.pop(2).join() == ("b2", "mine")
        wait_for_receivers("a", 3)
        for number in range(3):
            send("a", number)
        assert sorted(receiver.join()[1] for receiver in receivers) == [0, 1, 2]

    def test_a_message_of_the_last_moment_is_received_or_left(self):
        received = 0
        for number in range(300):
            sender = start(send, "a", number)
            tag, value = receive(["b", "a"], random.uniform(0, 0.0003))
            sender.join()
            if tag == TIMEOUT:
                tag, value = receive("a", 0)
            assert (tag, value) == ("a", number)
            received += 1
        assert received == 300

    def test_drain_ends_though_others_send(self):
        is_over = threading.Event()

        def send_on():
            while not is_over.is_set():
                try:
                    send("a", 1)
                except RuntimeError:
                    pass

        senders = [start(send_on) for _ in range(2)]
        for _ in range(20):
            drain("a")
        is_over.set()
        for sender in senders:
            sender.join()


class TestThreads:
    """Each message is received once, and none that can be received is slept on."""

    def test_eight_producers_and_eight_consumers(self):
        threads, messages = 8, 1_000
        tags = ["a", "b", "c"]

        def produce(producer):
            for number in range(messages):
                send(tags[number % 3], (producer, number))

        def consume():
            mine = []
            while True:
                tag, value = receive([*tags, "over"])
                if tag == "over":
                    return mine
                mine.append((tag, *value))

        consumers = [start(consume) for _ in range(threads)]
        producers = [start(produce, producer) for producer in range(threads)]
        for producer in producers:
            producer.join()
        wait_until(lambda: all(queue["length"] == 0 for queue in queue_stats()))
        for _ in consumers:
            send("over", None)
        received = [consumer.join() for consumer in consumers]
        for mine in received:
            last = {}
            for tag, producer, number in mine:
                assert last.get((tag, producer), -1) < number, "out of order"
                last[tag, producer] = number
        everything = sorted(message[1:] for mine in received for message in mine)
        assert everything == [(p, number) for p in range(threads) for number in range(messages)]

    @pytest.mark.parametrize("timeout", [-1, LONG])
    def test_no_wake_is_lost(self, timeout):
        """The sender begins as the receiver goes to sleep, or before, or after."""
        rounds = 3_000

        def answer():
            for number in range(rounds):
                assert receive(["x", "ping"], timeout) == ("ping", number)
                if random.random() < 0.1:
                    time.sleep(random.uniform(0, 0.0001))
                send("pong", number)

        other = start(answer)
        for number in range(rounds):
            if number % 10 == 0:
                wait_for_receivers("ping")
            send("ping", number)
            assert receive("pong", timeout) == ("pong", number)
        other.join()

    def test_a_receiver_that_leaves_passes_its_wake_on(self):
        """Receivers with short timeouts come and go, and those without are woken nevertheless."""
        messages = 2_000
        is_over = threading.Event()

        def wait_briefly():
            mine = 0
            while not is_over.is_set():
                mine += receive(["b", "a"], random.uniform(0, 0.0002))[0] == "a"
            return mine

        def wait_long():
            mine = 0
            while receive(["a", "over"])[0] == "a":
                mine += 1
            return mine

        brief = [start(wait_briefly) for _ in range(3)]
        long = [start(wait_long) for _ in range(2)]
        for number in range(messages):
            send("a", number)
            if number % 7 == 0:
                wait_until(lambda: stats_of("a")["length"] == 0)
        wait_until(lambda: stats_of("a")["length"] == 0)
        is_over.set()
        for _ in long:
            send("over", None)
        assert sum(receiver.join() for receiver in brief + long) == messages

    def test_lists_that_change_meanwhile(self):
        tags = ["a", "b"]
        is_over = threading.Event()

        def change():
            while not is_over.is_set():
                tags.append("c")
                tags.clear()
                tags.extend(["a", "b"])

        changer = start(change)
        for _ in range(2_000):
            for call in [lambda: receive(tags, 0), lambda: drain(tags), lambda: set_tags(tags)]:
                try:
                    call()
                except (RuntimeError, IndexError):
                    pass
        is_over.set()
        changer.join()

    def test_a_waiting_thread_lets_others_run(self):
        """Some receivers sleep, and the one that wakes them has to get the GIL."""
        receivers = [start(receive, "a", LONG) for _ in range(4)]
        wait_for_receivers("a", 4)
        assert sum(range(1000)) == 499_500
        for number in range(4):
            send("a", number)
        assert sorted(receiver.join()[1] for receiver in receivers) == [0, 1, 2, 3]
