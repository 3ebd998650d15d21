"""Processes count in shared memory, and one of them is killed in the middle of it.

    python counter.py [--processes 4] [--rounds 1000]

The memory holds a mutex, a total, and how much of it is of which process. They have to agree, and
do not while a process is between its two stores. The next one that acquires the mutex is told that
its owner has died, and makes them agree.
"""

import argparse
import contextlib
import multiprocessing
import os
import signal
import struct
import sys
from multiprocessing.shared_memory import SharedMemory

from pysync.robust import Mutex, OwnerDied

#: After so many seconds a process that does not end is killed.
PATIENCE = 120


class Counter:
    """A total and its parts, behind the mutex."""

    def __init__(self, memory, mutex, processes):
        self.memory = memory
        self.mutex = mutex
        self.numbers = struct.Struct(f"<{1 + processes}q")

    @contextlib.contextmanager
    def held(self):
        """Hold the mutex. ``with mutex`` does so too, and waits for a second at most."""
        self.mutex.acquire(timeout=None)
        try:
            yield
        finally:
            self.mutex.release()

    def read(self):
        """Return the total and the list of its parts."""
        total, *parts = self.numbers.unpack_from(self.memory.buf, Mutex.SIZE)
        return total, parts

    def write(self, total, parts):
        """Store the total and its parts."""
        self.numbers.pack_into(self.memory.buf, Mutex.SIZE, total, *parts)

    def add(self, worker, dies):
        """Count one more for a process, or die half way through."""
        try:
            with self.held():
                total, parts = self.read()
                self.write(total + 1, parts)
                if dies:
                    os.kill(os.getpid(), signal.SIGKILL)
                parts[worker] += 1
                self.write(total + 1, parts)
        except OwnerDied as died:
            self.repair(died)
            self.add(worker, dies)

    def repair(self, died):
        """Make the total agree with its parts, unless another process has done it before."""
        with died as is_broken:
            if is_broken:
                total, parts = self.read()
                print(f"an owner has died: the total is {total}, and its parts {sum(parts)}")
                self.write(sum(parts), parts)
                died.make_consistent()

    def final(self):
        """Return what :meth:`read` does, once all processes have ended."""
        try:
            with self.held():
                return self.read()
        except OwnerDied as died:
            # The process that was killed was the last one.
            self.repair(died)
            return self.final()


def work(name, mutex, worker, args):
    """Count. The first process dies when it has done half of its rounds."""
    memory = SharedMemory(name=name)
    counter = Counter(memory, mutex, args.processes)
    for i in range(args.rounds):
        counter.add(worker, dies=worker == 0 and i == args.rounds // 2)
    memory.close()


def count(args):
    """Run the processes. Returns how each has ended, the total, and its parts."""
    memory = SharedMemory(create=True, size=4096)
    try:
        mutex = Mutex.from_shared_memory(memory)
        mutex.initialize()
        # A new Python, which gets the mutex by pickle.
        context = multiprocessing.get_context("spawn")
        processes = [
            context.Process(target=work, args=(memory.name, mutex, worker, args))
            for worker in range(args.processes)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(PATIENCE)
            # Does nothing to one that has ended.
            process.kill()
            process.join()
        total, parts = Counter(memory, mutex, args.processes).final()
        # It has the memory, which is closed after it.
        del mutex
        memory.close()
        return [process.exitcode for process in processes], total, parts
    finally:
        memory.unlink()


def main():
    """Count, and compare with what there must be. Returns the exit code."""
    parser = argparse.ArgumentParser(description="A counter of processes, one of which is killed.")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1000)
    args = parser.parse_args()
    if not 2 <= args.processes <= 64 or args.rounds < 1:
        parser.error("from 2 to 64 processes count, each of them at least once")

    codes, total, parts = count(args)
    print(f"{total} = {' + '.join(map(str, parts))}")
    others = args.processes - 1
    is_right = (
        codes == [-signal.SIGKILL] + [0] * others
        and parts == [args.rounds // 2] + [args.rounds] * others
        and total == sum(parts)
    )
    if not is_right:
        print(f"WRONG: the processes ended with {codes}")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
