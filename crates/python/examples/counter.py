"""Four processes count in shared memory, and one of them is killed in the middle of it.

The memory holds a mutex, a total, and how much of it is of which process. They have to agree, and do
not while a process is between its two stores. The next one that acquires the mutex is told that its
owner has died, and makes them agree.
"""

import multiprocessing
import os
import signal
import struct
from multiprocessing.shared_memory import SharedMemory

from pysync.robust import Mutex, OwnerDied

WORKERS = 4
ROUNDS = 1000

NUMBERS = struct.Struct(f"<{1 + WORKERS}q")


class Counter:
    """A total and its parts, behind the mutex."""

    def __init__(self, memory, mutex):
        self.memory = memory
        self.mutex = mutex

    def read(self):
        total, *parts = NUMBERS.unpack_from(self.memory.buf, Mutex.SIZE)
        return total, parts

    def write(self, total, parts):
        NUMBERS.pack_into(self.memory.buf, Mutex.SIZE, total, *parts)

    def add(self, worker, die):
        try:
            with self.mutex:
                total, parts = self.read()
                self.write(total + 1, parts)
                if die:
                    os.kill(os.getpid(), signal.SIGKILL)
                parts[worker] += 1
                self.write(total + 1, parts)
        except OwnerDied as died:
            self.repair(died)
            self.add(worker, die)

    def repair(self, died):
        with died as is_broken:
            if is_broken:
                total, parts = self.read()
                print(f"an owner has died: the total is {total}, and its parts {sum(parts)}")
                self.write(sum(parts), parts)
                died.make_consistent()


def work(name, mutex, worker):
    memory = SharedMemory(name=name)
    counter = Counter(memory, mutex)
    for i in range(ROUNDS):
        counter.add(worker, die=worker == 0 and i == ROUNDS // 2)
    memory.close()


def main():
    memory = SharedMemory(create=True, size=4096)
    try:
        mutex = Mutex.from_shared_memory(memory)
        mutex.initialize()
        processes = multiprocessing.get_context("spawn")
        workers = [
            processes.Process(target=work, args=(memory.name, mutex, worker))
            for worker in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        counter = Counter(memory, mutex)
        try:
            mutex.acquire()
        except OwnerDied as died:
            # The worker that was killed was the last.
            counter.repair(died)
            mutex.acquire()
        total, parts = counter.read()
        mutex.release()
        print(f"{total} = {' + '.join(map(str, parts))}")
        assert [worker.exitcode for worker in workers] == [-signal.SIGKILL, 0, 0, 0]
        assert total == sum(parts) == ROUNDS // 2 + (WORKERS - 1) * ROUNDS
        del mutex, counter
        memory.close()
    finally:
        memory.unlink()


if __name__ == "__main__":
    main()
