# Subinterpreters in threads of their own, each with threads that share a dictionary and a lock.
import threading

import _interpreters as interpreters

PROGRAM = """
import threading
lock, shared, count = threading.Lock(), {}, 0
def work(n):
    global count
    for i in range(200):
        with lock:
            count += 1
        shared[i] = n
        shared.copy()
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert count == 800 and len(shared) == 200
"""
failures = []


def run():
    for _ in range(5):
        interpreter = interpreters.create("legacy")
        failure = interpreters.exec(interpreter, PROGRAM)
        if failure is not None:
            failures.append(failure)
        interpreters.destroy(interpreter)


threads = [threading.Thread(target=run) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures
