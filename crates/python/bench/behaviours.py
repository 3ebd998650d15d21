"""Behaviors per second, of this package and of bocpy if it is installed.

    python behaviours.py [--rounds 5] [--workers 1] [--json FILE] [--plot FILE] [WORKLOAD ...]

Each sample is a process of its own, and the libraries take turns, so that both meet the same load.
The table has medians. ``busy`` has bodies of 100 microseconds on cowns of their own: there the
number of workers counts, on a Python without a global lock.
"""

import argparse
import importlib
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time

LIBRARIES = {"pysync": "pysync.boc", "bocpy": "bocpy"}
COWNS = 32


def nothing(c):
    """Touch the value as little as a behavior can."""
    c.value += 1


def nothing_pair(a, b):
    """Touch the values of two cowns."""
    a.value += 1
    b.value += 1


def spin(c, turns=0):
    """Count, which takes as long on each run."""
    total = 0
    for i in range(turns):
        total += i & 3
    c.value = total


def run(boc, workload, n, turns):
    """Schedule ``n`` behaviors and wait for them. Returns the seconds to schedule, and in all."""
    cowns = [boc.Cown(0) for _ in range(COWNS)]
    whencall = boc.whencall
    begin = time.perf_counter()
    if workload == "one":
        for _ in range(n):
            whencall(nothing, [cowns[0]], [])
    elif workload == "disjoint":
        for i in range(n):
            whencall(nothing, [cowns[i % COWNS]], [])
    elif workload == "pairs":
        for i in range(n):
            whencall(nothing_pair, [cowns[i % COWNS], cowns[(i + 1) % COWNS]], [])
    elif workload == "decorated":
        for i in range(n):

            @boc.when(cowns[i % COWNS])
            def _(c):
                c.value += 1

    elif workload == "busy":
        for i in range(n):
            whencall(spin, [cowns[i % COWNS]], [turns])
    else:
        raise SystemExit(f"no such workload: {workload}")
    scheduled = time.perf_counter()
    boc.quiesce()
    end = time.perf_counter()
    return scheduled - begin, end - begin


def calibrate():
    """Find how many turns of :func:`spin` last 100 microseconds."""

    class Box:
        value = 0

    turns = 1000
    best = min(_time(spin, Box, turns) for _ in range(50))
    return max(1, int(turns * 100e-6 / best))


def _time(function, *args):
    begin = time.perf_counter()
    function(*args)
    return time.perf_counter() - begin


def child(library, workload, workers, n, turns):
    """Take one sample, and print it."""
    boc = importlib.import_module(LIBRARIES[library])
    boc.start(worker_count=workers)
    run(boc, workload, max(1, n // 10), turns)
    scheduling, whole = run(boc, workload, n, turns)
    boc.wait()
    print(json.dumps({"scheduling": scheduling, "whole": whole}))


def sample(library, workload, workers, n, turns):
    """Take one sample in a process of its own."""
    command = [sys.executable, __file__, "--child", library, workload]
    command += ["--workers", str(workers), "--count", str(n), "--turns", str(turns)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True).stdout
    return json.loads(out.splitlines()[-1])


def gains(samples):
    """Name each workload, with how much faster ours was in each round."""
    for (workload, workers, name), ours in samples.items():
        if name == "pysync":
            rounds = zip(ours, samples[workload, workers, "bocpy"])
            yield f"{workload}, {workers} worker(s)", [us[0] / them[0] for us, them in rounds]


def main():
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*")
    parser.add_argument("--child", nargs=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=0)
    parser.add_argument("--json")
    # Here, since bocpy's workers load this file, and would not find the other.
    import plot

    plot.add_argument(parser, "bocpy")
    args = parser.parse_args()
    if args.child:
        child(*args.child, args.workers, args.count, args.turns)
        return

    plot.check(args.plot, "bocpy")
    gil = "" if getattr(sys, "_is_gil_enabled", lambda: True)() else " free-threaded"
    print(f"# Python {platform.python_version()}{gil}, {os.cpu_count()} processors")
    libraries = [name for name, module in LIBRARIES.items() if importlib.util.find_spec(module)]
    turns = calibrate()
    cases = []
    for workload in args.workloads or ["one", "disjoint", "pairs", "decorated", "busy"]:
        counts = (1, 2) if workload == "busy" else (args.workers,)
        cases += [(workload, workers, name) for workers in counts for name in libraries]
    samples = {case: [] for case in cases}
    for _ in range(args.rounds):
        for case in cases:
            workload, workers, name = case
            n = args.count // 10 if workload == "busy" else args.count
            result = sample(name, workload, workers, n, turns)
            samples[case].append((n / result["whole"], n / result["scheduling"]))
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"# thousands of behaviors a second, median of {args.rounds}; load average {load}")
    print(f"{'workload':<10} {'workers':>7} {'library':<8} {'rate':>8} {'least':>8} {'most':>8}")
    for (workload, workers, name), found in samples.items():
        rates = [rate / 1000 for rate, _ in found]
        middle = statistics.median(rates)
        print(
            f"{workload:<10} {workers:>7} {name:<8} "
            f"{middle:>8.1f} {min(rates):>8.1f} {max(rates):>8.1f}"
        )
    if args.json:
        rows = [[*case, found] for case, found in samples.items()]
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"python": sys.version, "load": load, "rows": rows}, file, indent=1)
    if args.plot:
        title = f"Behaviors of pysync.boc, Python {platform.python_version()}{gil}"
        plot.save(args.plot, title, "bocpy", gains(samples))


if __name__ == "__main__":
    main()
