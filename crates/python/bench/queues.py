"""Times `pysync.boc`'s queues beside bocpy's, in turns, in one process.

    pip install bocpy==0.14.0
    python queues.py [--rounds N] [--quick] [--plot FILE]

Without bocpy, ours are timed alone. What is printed of each is the median over the rounds, and the least and the
greatest of them in brackets. Other work on the machine makes both slower: compare within one run only.
"""

import argparse
import os
import platform
import random
import statistics
import sys
import threading
import time

import plot
import pysync.boc

try:
    import bocpy
except ImportError:
    bocpy = None

LONG = 60.0
"""A timeout that never ends a wait here."""

UNTIMED = -1


def wake(module, count, timeout, samples):
    """How long it takes from a send until a receiver that sleeps has the message, in microseconds."""
    tags = [f"w{number}" for number in range(count)]
    asked = tags[0] if count == 1 else tags
    received, ready, latencies = [], threading.Semaphore(0), []

    def receive():
        for _ in range(samples):
            module.receive(asked, timeout)
            received.append(time.perf_counter_ns())
            ready.release()

    receiver = threading.Thread(target=receive)
    receiver.start()
    for _ in range(samples):
        # The receiver is asleep by then, and one that polls does so as seldom as it ever will.
        time.sleep(random.uniform(0.004, 0.008))
        tag = random.choice(tags)
        sent = time.perf_counter_ns()
        module.send(tag, None)
        ready.acquire()
        latencies.append((received[-1] - sent) / 1e3)
    receiver.join()
    return statistics.median(latencies)


def send_all(module, tag, messages):
    """Sends many messages, and again those for which there was no room."""
    for number in range(messages):
        while True:
            try:
                module.send(tag, number)
                break
            except RuntimeError:
                time.sleep(0)


def stream(module, producers, timeout, messages):
    """How many thousand messages a second go from some threads to one that receives them all."""
    senders = [
        threading.Thread(target=send_all, args=(module, "s", messages // producers))
        for _ in range(producers)
    ]
    begin = time.perf_counter()
    for sender in senders:
        sender.start()
    for _ in range(messages // producers * producers):
        module.receive("s", timeout)
    seconds = time.perf_counter() - begin
    for sender in senders:
        sender.join()
    return messages / seconds / 1e3


def ping_pong(module, trips):
    """How many thousand times a second a message goes to another thread and an answer comes back."""

    def answer():
        for _ in range(trips):
            module.send("pong", module.receive("ping")[1])

    other = threading.Thread(target=answer)
    other.start()
    begin = time.perf_counter()
    for number in range(trips):
        module.send("ping", number)
        module.receive("pong")
    seconds = time.perf_counter() - begin
    other.join()
    return trips / seconds / 1e3


def alone(module, pairs):
    """How many thousand messages a second one thread sends and receives itself."""
    begin = time.perf_counter()
    for number in range(pairs):
        module.send("a", number)
        module.receive("a")
    return pairs / (time.perf_counter() - begin) / 1e3


def measures(scale):
    """What is measured: a name, a function of a module, whether less is better, and the goal if there is one."""
    samples = max(10, int(60 * scale))
    many = max(1_000, int(40_000 * scale))
    return [
        ("wake, timed, 1 tag, µs", lambda m: wake(m, 1, LONG, samples), True, 5),
        ("wake, timed, 4 tags, µs", lambda m: wake(m, 4, LONG, samples), True, 20),
        ("wake, untimed, 1 tag, µs", lambda m: wake(m, 1, UNTIMED, samples), True, None),
        ("wake, untimed, 4 tags, µs", lambda m: wake(m, 4, UNTIMED, samples), True, None),
        ("1 to 1, untimed, k/s", lambda m: stream(m, 1, UNTIMED, many), False, 3),
        ("1 to 1, timed, k/s", lambda m: stream(m, 1, LONG, many), False, None),
        ("3 to 1, untimed, k/s", lambda m: stream(m, 3, UNTIMED, many), False, None),
        ("ping-pong, k trips/s", lambda m: ping_pong(m, many // 4), False, None),
        ("one thread, k pairs/s", lambda m: alone(m, many), False, None),
    ]


def text(values):
    """The median, and the least and the greatest."""
    digits = 0 if statistics.median(values) >= 100 else 1
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def gains(table, scale):
    """The name of each measure, and how much faster ours was in each round."""
    for name, _, is_less_better, _ in measures(scale):
        rounds = zip(table[name][bocpy], table[name][pysync.boc])
        # Without the unit.
        name = name.rpartition(", ")[0]
        yield name, [them / us if is_less_better else us / them for them, us in rounds]


def main():
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description="Times pysync.boc's queues beside bocpy's.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="few rounds of few messages")
    plot.add_argument(parser, "bocpy")
    arguments = parser.parse_args()
    plot.check(arguments.plot, "bocpy")
    rounds, scale = (2, 0.1) if arguments.quick else (arguments.rounds, 1)

    gil = "without a GIL" if not getattr(sys, "_is_gil_enabled", lambda: True)() else "with a GIL"
    print(f"Python {platform.python_version()} {gil}, {os.cpu_count()} processors")
    print(f"load before: {os.getloadavg()[0]:.1f}; {rounds} rounds")
    modules = [module for module in (bocpy, pysync.boc) if module is not None]
    table = {}
    for _ in range(rounds):
        for name, measure, *_ in measures(scale):
            for module in random.sample(modules, len(modules)):
                module.set_tags([])
                table.setdefault(name, {}).setdefault(module, []).append(measure(module))
    print(f"load after: {os.getloadavg()[0]:.1f}\n")

    print(f"{'':26}{'bocpy':>26}{'pysync.boc':>26}  gain (goal)")
    for name, _, is_less_better, goal in measures(scale):
        row = table[name]
        ours = row[pysync.boc]
        theirs = row.get(bocpy)
        gain = ""
        if theirs:
            gain = statistics.median(theirs) / statistics.median(ours)
            gain = f"{gain if is_less_better else 1 / gain:.1f} ×"
            gain += f" ({goal} ×)" if goal else ""
        print(f"{name:26}{text(theirs) if theirs else '–':>26}{text(ours):>26}  {gain}")

    if arguments.plot:
        title = f"pysync.boc's queues, Python {platform.python_version()} {gil}"
        plot.save(arguments.plot, title, "bocpy", gains(table, scale))


if __name__ == "__main__":
    main()
