# Ends interpreters whose daemon threads wait for locks, events, sections and each other.
import subprocess
import sys

PROGRAM = """
import queue, threading, time
lock = threading.Lock(); lock.acquire()
shared = {}
def for_lock(): lock.acquire()
def for_event(): threading.Event().wait()
def for_timeout():
    while True: lock.acquire(timeout=0.001)
def for_section():
    while True:
        shared.update({1: 2}); shared.copy(); shared.clear()
def for_queue(): queue.SimpleQueue().get()
for target in (for_lock, for_event, for_timeout, for_section, for_queue):
    for _ in range(3):
        threading.Thread(target=target, daemon=True).start()
time.sleep(0.05)
"""
for n in range(40):
    done = subprocess.run([sys.executable, "-c", PROGRAM], timeout=60, capture_output=True)
    assert done.returncode == 0, (n, done)
