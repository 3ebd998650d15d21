"""What it costs to acquire a mutex and to release it, beside multiprocessing.Lock in the same run.

    python bench/mutex.py [--rounds N] [--plot FILE]

Each figure is the median of the rounds, in which the locks take turns, with the least and the most
of them. Behind it is the median of the ratios to multiprocessing.Lock in the same round.
"""

import argparse
import mmap
import multiprocessing
import os
import statistics
import sys
import threading
import time
import timeit

import plot
from pysync.robust import Mutex

PAIR = "lock.acquire(); lock.release()"
WITH = "with lock: pass"


def mutex(recursive):
    """Return a new mutex in memory that the children of a fork share."""
    made = Mutex(mmap.mmap(-1, 4096), recursive=recursive)
    made.initialize()
    return made


def nanoseconds(lock, statement, number):
    """Return how long a statement takes, on a lock that no other thread asks for."""
    return timeit.timeit(statement, number=number, globals={"lock": lock}) / number * 1e9


def contended(lock, number):
    """Return the time of an acquisition while two processes acquire the lock so often each."""
    ready, go = os.pipe(), os.pipe()
    children = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            os.write(ready[1], b"!")
            os.read(go[0], 1)
            for _ in range(number):
                lock.acquire()
                lock.release()
            os._exit(0)
        children.append(pid)
    for _ in children:
        os.read(ready[0], 1)
    began = time.perf_counter()
    os.write(go[1], b"!!")
    statuses = [os.waitpid(pid, 0)[1] for pid in children]
    took = time.perf_counter() - began
    for end in (*ready, *go):
        os.close(end)
    if any(statuses):
        sys.exit(f"a child has failed: {statuses}")
    return took / (2 * number) * 1e9


def main():
    """Measure what the arguments say, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--number", type=int, default=20_000, help="acquisitions in a round")
    plot.add_argument(parser, "multiprocessing.Lock")
    arguments = parser.parse_args()
    plot.check(arguments.plot)

    locks = {
        "multiprocessing.Lock": multiprocessing.Lock(),
        "multiprocessing.RLock": multiprocessing.RLock(),
        "threading.Lock": threading.Lock(),
        "Mutex": mutex(recursive=True),
        "Mutex, not recursive": mutex(recursive=False),
    }
    cases = {
        "acquire, release": lambda lock: nanoseconds(lock, PAIR, arguments.number),
        "with": lambda lock: nanoseconds(lock, WITH, arguments.number),
        "two processes": lambda lock: contended(lock, arguments.number),
    }
    print(sys.version)
    print(f"{'ns':24}" + "".join(f"{case:>30}" for case in cases))
    figures = {(name, case): [] for name in locks for case in cases}
    for _ in range(arguments.rounds):
        for case, measure in cases.items():
            for name, lock in locks.items():
                if case == "two processes" and name == "threading.Lock":
                    continue
                figures[name, case].append(measure(lock))
    base = {case: figures["multiprocessing.Lock", case] for case in cases}
    for name in locks:
        line = f"{name:24}"
        for case in cases:
            times = figures[name, case]
            if not times:
                line += f"{'-':>30}"
                continue
            ratios = [time / other for time, other in zip(times, base[case])]
            text = f"{statistics.median(times):.0f} ({min(times):.0f}–{max(times):.0f})"
            text += f" {statistics.median(ratios):.2f} ×"
            line += f"{text:>30}"
        print(line)
    if arguments.plot:
        rows = [
            (
                f"{name}: {case}",
                [other / time for time, other in zip(figures[name, case], base[case])],
            )
            for case in cases
            for name in locks
            if name != "multiprocessing.Lock"
        ]
        title = f"Acquire and release, Python {sys.version.split()[0]}"
        plot.save(arguments.plot, title, "multiprocessing.Lock", rows)


if __name__ == "__main__":
    main()
